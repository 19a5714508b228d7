"""Two prompts of unequal lengths, made equally long: the shorter of two stretches that differ gets
tokens in front, so that its last token stands where the other's does.

That last token is where a subject's facts are found (Meng et al. 2022, arXiv 2202.05262). The
model reads the padding, so both runs are of prompts with it: their metrics say what it did.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlxterp_engine.experiments.alignment import padded
from mlxterp_engine.experiments.patching import PairRequest
from mlxterp_engine.interpretable import InterpretableModel


def padded_prompts(
    model: InterpretableModel, request: PairRequest, rows: Sequence[list[int]]
) -> list[list[int]]:
    """The ids of both prompts, padded where the request says with what."""
    if request.pad is None or len(rows) != 2:
        return list(rows)
    return list(padded(rows[0], rows[1], model.tokens.single(request.pad, "pad")).rows)


def padding(model: InterpretableModel, request: PairRequest) -> dict[str, list[int]]:
    """Which positions of which prompt were filled, for `meta`; nothing where none was."""
    if request.pad is None or not request.prompts:
        return {}
    rows = [model.encode(text, request.bos, request.chat) for text in request.prompts]
    at = padded(rows[0], rows[1], model.tokens.single(request.pad, "pad")).at
    return {name: found for name, found in zip(("clean", "corrupt"), at, strict=True) if found}
