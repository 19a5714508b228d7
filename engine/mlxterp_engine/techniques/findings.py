"""What a technique takes and gives: prompts as the model reads them, arrays, contracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlxterp_engine.experiments import Contract

import numpy as np


@dataclass(frozen=True)
class Prompted:
    """A prompt in ids, and the exact text of each."""

    ids: list[int]
    tokens: list[str]


Prompts = Sequence[Prompted]
"""The request's `prompts`, in their order; none where it reads a corpus."""


@dataclass(frozen=True, eq=False)
class Findings:
    """arrays: under the contract's names, float32 or int32. strings: words beside ids.

    headline: the finding in one line, as the research log lists it; figures: its numbers.
    tokens: of the prompts, where the run itself chose them. absent: NaNs of places that there are
    not, such as a short subject's middle: no cell that failed.
    """

    arrays: dict[str, np.ndarray]
    contracts: dict[str, Contract]
    strings: dict[str, Any] = field(default_factory=dict)
    headline: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    text: str | None = None
    texts: list[str] | None = None
    tokens: list[list[str]] | None = None
    absent: int = 0
