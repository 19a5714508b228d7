"""What a technique takes and gives: prompts as the model reads them, arrays, contracts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlxterp_engine.experiments import Contract

import numpy as np


@dataclass(frozen=True)
class Prompted:
    """A prompt in ids, and the exact text of each."""

    ids: list[int]
    tokens: list[str]


@dataclass(frozen=True, eq=False)
class Findings:
    """arrays: under the contract's names, float32 or int32. strings: words beside ids."""

    arrays: dict[str, np.ndarray]
    contracts: dict[str, Contract]
    strings: dict[str, Any] = field(default_factory=dict)
