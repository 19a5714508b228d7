"""What went wrong in this session: told as a notice, and kept with its details for `:errors`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mlxterp_engine.experiments import EngineError
from mlxterp_tui.screens.errors import Trouble


class Troubles:
    """Oldest first. notify: shows a notice, with severity and seconds."""

    def __init__(self, notify: Callable[..., None]) -> None:
        self._notify = notify
        self._kept: list[Trouble] = []

    def __iter__(self) -> Iterator[Trouble]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, at: int) -> Trouble:
        return self._kept[at]

    def keep(self, trouble: Trouble) -> None:
        """Without a notice: somebody else shows it."""
        self._kept.append(trouble)

    def report(self, error: EngineError) -> None:
        """A notice with the sentence; the details are for `:errors`."""
        self.keep(Trouble(str(error), error.details))
        more = "\n(E or :errors for details)" if error.details else ""
        self._notify(f"{error}{more}", severity="error", timeout=8, markup=False)

    def once(self, error: EngineError) -> None:
        """Report what may come up again and again, the first time only."""
        if all(trouble.sentence != str(error) for trouble in self):
            self.report(error)

    def of_files(self, sentences: Sequence[str]) -> None:
        """One notice for all that was wrong with the files of the user."""
        self._kept += [Trouble(sentence) for sentence in sentences]
        if sentences:
            more = f"\n(and {len(sentences) - 1} more: :errors)" if len(sentences) > 1 else ""
            self._notify(sentences[0] + more, severity="warning", timeout=10, markup=False)
