"""What every request of the screen shares: model, device, BOS, chat template."""

from __future__ import annotations

from mlxterp_engine.experiments import DEFAULT_MODEL, ModelCard
from mlxterp_engine.experiments.request import CHOICES, Bos, Device, DTypeChoice
from mlxterp_engine.worker.tasks import OpenModel

import msgspec


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Everything above the prompt that changes what a number means."""

    model: str = DEFAULT_MODEL
    device: Device = "auto"
    dtype: DTypeChoice = "auto"
    bos: Bos = "auto"
    chat: bool = False

    def request_fields(self) -> dict[str, object]:
        return msgspec.structs.asdict(self)

    def open_model(self) -> OpenModel:
        return OpenModel(model=self.model, device=self.device, dtype=self.dtype)

    def with_next_bos(self) -> Setting:
        choices = CHOICES["bos"]
        following = choices[(choices.index(self.bos) + 1) % len(choices)]
        return msgspec.structs.replace(self, bos=following)

    def bos_in_words(self, card: ModelCard | None) -> str:
        """on, off, or what auto comes to for this model."""
        if self.bos != "auto":
            return self.bos
        if card is None:
            return "auto"
        return "auto (on)" if card.adds_bos else "auto (off)"
