"""What a lens says of itself: `lens.json`, the half of its folder that no array needs.

Light: the screen reads it to list the lenses there are, and imports neither mlx nor numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mlxterp_engine.experiments.errors import BadInput

import msgspec

DESCRIPTION = "lens.json"
FORMAT = "mlxterp lens"
VERSION = 1
LensKind = Literal["tuned", "ridge"]


class LensModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model that a lens belongs to.

    sha256: over its weights, as `models info` shows it. unembedding_sha256: over what stands
    outside its blocks, as the model applies it (`lenses.identity`); dtype: in which numbers.
    layers: its blocks, which is how many translators there are.
    """

    reference: str
    architecture: str
    sha256: str
    unembedding_sha256: str
    dtype: str
    d_model: int
    layers: int


class LensFit(msgspec.Struct, frozen=True, kw_only=True):
    """How it was fitted. tokens: read in all, a text that was read twice counted twice.

    corpus: what was read, in words; corpus_sha256: over its texts. optimizer: in words, with its
    numbers; init: what it began with. ridge: the penalty of each translator. The last three are
    None where there is none.
    """

    corpus: str
    corpus_sha256: str
    tokens: int
    seed: int
    steps: int = 1
    tokens_per_step: int | None = None
    sequence_length: int | None = None
    optimizer: str | None = None
    init: str | None = None
    ridge: list[float] | None = None


class LensHeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """What it is worth on text that it was not fitted to: means over so many tokens.

    kl, kl_logit_lens: [translator], nats, KL(final ‖ lens) and of the logit lens beside it.
    """

    text: str
    tokens: int
    kl: list[float]
    kl_logit_lens: list[float]
    kl_unigram: float | None = None


class LensDescription(msgspec.Struct, frozen=True, kw_only=True):
    """`lens.json`. created: UTC, ISO 8601."""

    kind: LensKind
    model: LensModel
    fit: LensFit
    held_out: LensHeldOut | None
    versions: dict[str, str]
    created: str
    format: str = FORMAT
    version: int = VERSION


class _Version(msgspec.Struct):
    format: str
    version: int


def read_description(folder: Path) -> LensDescription:
    """BadInput where the folder has none, or one that is damaged, foreign, or newer."""
    return decoded(_bytes(folder), folder / DESCRIPTION)


def decoded(data: bytes, path: Path) -> LensDescription:
    """The description in these bytes, which came from `path`."""
    try:
        begins = msgspec.json.decode(data, type=_Version)
        if begins.format != FORMAT:
            raise msgspec.ValidationError(f"its format is {begins.format!r}")
        if begins.version > VERSION:
            raise BadInput(
                f"{path} is of version {begins.version} and this program reads version {VERSION}; "
                "update it, or fit the lens again"
            )
        return msgspec.json.decode(data, type=LensDescription)
    except msgspec.DecodeError as error:  # a ValidationError is one
        raise BadInput(
            f"{path} is no description of a lens ({error}); name a folder that train-tuned-lens or "
            "train-ridge-lens wrote"
        ) from None


def encoded(description: LensDescription) -> bytes:
    return msgspec.json.format(msgspec.json.encode(description), indent=1) + b"\n"


def check_fits(name: str, of: LensModel, model: LensModel) -> None:
    """BadInput where a lens was fitted to another model, or to another unembedding.

    The unembedding can only be compared where both are in the same numbers.
    """
    if of.sha256 != model.sha256:
        raise BadInput(
            f"lens {name} was fitted to {of.reference} (weights {of.sha256[:8]}…) and this model "
            f"is {model.reference} (weights {model.sha256[:8]}…); open that one, or fit a lens "
            f"of this one with: mlxterp-tui run train-ridge-lens --model {model.reference}"
        )
    if (of.layers, of.d_model) != (model.layers, model.d_model):
        raise BadInput(
            f"lens {name} says of {of.reference} {of.layers} blocks of width {of.d_model}, and it "
            f"has {model.layers} of width {model.d_model}; fit the lens again"
        )
    if of.dtype == model.dtype and of.unembedding_sha256 != model.unembedding_sha256:
        raise BadInput(
            f"lens {name} was fitted through another unembedding of {of.reference} "
            f"({of.unembedding_sha256[:8]}…, now {model.unembedding_sha256[:8]}…); fit it again"
        )


def _bytes(folder: Path) -> bytes:
    try:
        return (folder / DESCRIPTION).read_bytes()
    except OSError as error:
        raise BadInput(
            f"{folder} holds no {DESCRIPTION} that can be read ({error.strerror}); name a folder "
            "that train-tuned-lens or train-ridge-lens wrote, or one of the package tuned-lens "
            "(config.json and params.pt)"
        ) from None
