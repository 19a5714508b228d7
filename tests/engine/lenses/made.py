"""Lenses for tests: of random translators, of a model that is open."""

from __future__ import annotations

from pathlib import Path

from mlxterp_engine import InterpretableModel
from mlxterp_engine.lenses import folder
from mlxterp_engine.lenses.description import LensDescription, LensFit, LensHeldOut, LensModel
from mlxterp_engine.lenses.identity import identity
from mlxterp_engine.lenses.translators import Translators

import mlx.core as mx


def random_translators(layers: int, d_model: int, seed: int = 0, size: float = 0.1) -> Translators:
    weight, bias = (mx.random.key(2 * seed), mx.random.key(2 * seed + 1))
    return Translators(
        mx.random.normal((layers, d_model, d_model), key=weight) * size / d_model**0.5,
        mx.random.normal((layers, d_model), key=bias) * size,
    )


def description(model: LensModel) -> LensDescription:
    return LensDescription(
        kind="ridge",
        model=model,
        fit=LensFit(corpus="made up", corpus_sha256="c" * 64, tokens=1000, seed=3),
        held_out=LensHeldOut(
            text="made up too",
            tokens=100,
            kl=[0.5] * model.layers,
            kl_logit_lens=[5.0] * model.layers,
            kl_unigram=3.25,
        ),
        versions={"mlx": "0.32.4"},
        created="2026-11-21T12:00:00Z",
    )


def toy(layers: int = 3, d_model: int = 4) -> LensModel:
    return LensModel(
        reference="toy",
        architecture="llama",
        sha256="a" * 64,
        unembedding_sha256="b" * 64,
        dtype="float32",
        d_model=d_model,
        layers=layers,
    )


def of(model: InterpretableModel) -> LensModel:
    return identity(model.card, model.net, model.anatomy)


def written(
    where: Path, model: InterpretableModel, translators: Translators | None = None
) -> Translators:
    """A folder with a lens of the model, random by default."""
    card = model.card
    made = translators or random_translators(card.layers, card.d_model)
    folder.write(where, made, description(of(model)))
    return made
