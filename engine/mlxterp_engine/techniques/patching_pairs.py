"""Patching over a set of pairs: each pair's maps, their means and their spread."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlxterp_engine.corpora.ioi import PromptPair, ioi_pairs
from mlxterp_engine.experiments import BadInput, Contract
from mlxterp_engine.experiments.patching import BY_POSITION, PairRequest
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Prompted
from mlxterp_engine.techniques.patching import Pair, check_lengths
from mlxterp_engine.techniques.patching_cells import Z_POS, Asked
from mlxterp_engine.techniques.patching_metric import answers_of
from mlxterp_engine.techniques.patching_padding import padded_prompts

import msgspec
import numpy as np

IOI = "ioi"


def pairs_of(model: InterpretableModel, request: PairRequest) -> list[Pair]:
    """The pairs as the model reads them. BadInput names the line or the pair that is wrong."""
    assert request.pairs is not None
    if request.pairs == IOI:
        texts = _made(model, request)
    else:
        texts = read_pairs(Path(os.path.expanduser(request.pairs)))
    pairs = []
    for number, text in enumerate(texts[: request.count], start=1):
        try:
            pairs.append(_pair(model, request, text))
            check_lengths(pairs[-1])
        except BadInput as error:
            raise BadInput(f"pair {number} of {request.pairs}: {error}") from None
    return pairs


def check_alike(pairs: Sequence[Pair], asked: Asked) -> None:
    """Maps by position are averaged only where all pairs have equally many tokens."""
    by_position = [name for name in asked.maps if name in (*BY_POSITION, Z_POS)]
    lengths = [len(pair.clean.ids) for pair in pairs]
    if by_position and len(set(lengths)) > 1:
        other = next(i for i, length in enumerate(lengths) if length != lengths[0])
        raise BadInput(
            f"pair 1 has {lengths[0]} tokens and pair {other + 1} has {lengths[other]}, so that "
            f"positions don't correspond; take sites by head (z,q,k,v,pattern) without "
            f"{by_position[0]}, or pairs of one length"
        )


def read_pairs(path: Path) -> list[PromptPair]:
    """One JSON object a line: clean, corrupt, and answer and wrong where the metric needs them."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise BadInput(f"{path} can't be read ({reason}); give a .jsonl file, or ioi") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise BadInput(f"{path} holds no pairs; give a line for each, with clean and corrupt")
    return [_read(path, number, line) for number, line in numbered]


def _read(path: Path, number: int, line: str) -> PromptPair:
    example = '{"clean": "…", "corrupt": "…", "answer": " Mary", "wrong": " John"}'
    try:
        found: Any = json.loads(line)
        return msgspec.convert(found, PromptPair)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise BadInput(f"line {number} of {path} is no pair ({error}); give {example}") from None


def _made(model: InterpretableModel, request: PairRequest) -> list[PromptPair]:
    def is_one_token(text: str) -> bool:
        try:
            model.tokens.single(text)
        except BadInput:
            return False
        return True

    return ioi_pairs(request.count, request.seed, is_one_token)


def _pair(model: InterpretableModel, request: PairRequest, text: PromptPair) -> Pair:
    whole = msgspec.structs.replace(
        request,
        clean=text.clean,
        corrupt=text.corrupt,
        answer=text.answer,
        wrong=text.wrong,
        pairs=None,
    )
    rows = [model.encode(prompt, request.bos, request.chat) for prompt in whole.prompts]
    rows = padded_prompts(model, request, rows)
    clean, corrupt = (Prompted(ids, model.tokens.strings(ids)) for ids in rows)
    return Pair(clean, corrupt, answers_of(model, text.answer, text.wrong))


def summed_up(
    maps: Mapping[str, Sequence[np.ndarray]], ends: Sequence[tuple[float, float]]
) -> dict[str, np.ndarray]:
    """NAME and NAME_sd [layer, at], mean and spread over the pairs; NAME_pairs [pair, layer, at].

    sd: of the sample, with n − 1; of a single pair there is none, and the array is left out. NaN
    where it is NaN in any pair.
    """
    arrays: dict[str, np.ndarray] = {}
    columns = {"clean_metric": [clean for clean, _ in ends]}
    columns["corrupt_metric"] = [corrupt for _, corrupt in ends]
    for name, found in {**columns, **maps}.items():
        stacked = np.stack([np.asarray(values, dtype=np.float32) for values in found])
        arrays[name] = stacked.mean(axis=0, dtype=np.float64).astype(np.float32)
        if len(found) > 1:
            spread = stacked.std(axis=0, ddof=1, dtype=np.float64)
            arrays[f"{name}_sd"] = np.asarray(spread, dtype=np.float32)
        arrays[f"{name}_pairs"] = stacked
    return arrays


def worst(contracts: Sequence[Mapping[str, Contract]]) -> dict[str, Contract]:
    """Of each contract that of the pair with the largest error; NaN is the largest."""
    found: dict[str, Contract] = {}
    for own in contracts:
        for name, contract in own.items():
            if name not in found or _badness(contract) > _badness(found[name]):
                found[name] = contract
    return found


def _badness(contract: Contract) -> tuple[bool, float]:
    return math.isnan(contract.error), contract.error
