"""Texts to measure on and to train on, split once and for all."""
