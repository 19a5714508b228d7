"""Lenses that are fitted: their translators, how they are fitted, kept and measured."""
