"""The lenses that are kept for the open model: their names and kinds, in the order of the shelf."""

from __future__ import annotations

from collections.abc import Callable

from mlxterp_engine.experiments import BadInput, LogitLens, ModelCard
from mlxterp_engine.experiments.tuned_lens import TunedLens


class KeptLenses:
    """Reads the shelf whenever it is asked: a training may just have put one there."""

    def __init__(self, card: Callable[[], ModelCard | None]) -> None:
        self._card = card
        self._kinds: dict[str, str] = {}

    def names(self) -> list[str]:
        """Of the open model's; none before it is open."""
        from mlxterp_engine.lenses.shelf import kept

        card = self._card()
        found = kept(card.sha256) if card is not None else []
        self._kinds |= {lens.name: lens.description.kind for lens in found}
        return [lens.name for lens in found]

    def after(self, name: str) -> str:
        """The next one, "" (the logit lens) behind the last."""
        names = self.names()
        if not names:
            raise BadInput(
                "no lens is kept for this model yet: :train ridge makes one; :lens FOLDER takes "
                "one from elsewhere"
            )
        around = ["", *names]
        at = around.index(name) if name in around else 0
        return around[(at + 1) % len(around)]

    def in_words(self, request: LogitLens | None) -> str:
        """`logit lens`, `ridge lens NAME`."""
        if not isinstance(request, TunedLens):
            return "logit lens"
        if request.lens not in self._kinds:
            self.names()
        return f"{self._kinds.get(request.lens, 'tuned')} lens {request.lens}"
