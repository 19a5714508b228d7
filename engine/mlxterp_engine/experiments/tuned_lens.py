"""The tuned lens (Belrose et al. 2023): the logit lens through a trained map to the last layer."""

from __future__ import annotations

from mlxterp_engine.experiments.logit_lens import LogitLens
from mlxterp_engine.experiments.request import check_prompt


class TunedLens(LogitLens, frozen=True, kw_only=True, tag="tuned-lens"):
    """Translate the residual stream after every block, then unembed it.

    lens: a folder that `train-tuned-lens` or `train-ridge-lens` wrote, one in the format of the
    package tuned-lens, or the name of one in the data folder.
    """

    lens: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check_prompt("lens", self.lens)
