"""What the engine process works with: it opens models, keeps the last one open, and runs tasks.

A task in whose middle another one opens a model keeps its own, and who asks for that one gets the
same.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from mlxterp_engine import backend
from mlxterp_engine.experiments import AnyPart, BadInput, ModelCard, Price, Request, Started, Step
from mlxterp_engine.experiments.request import Bos, Device, DTypeChoice
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.models import calls
from mlxterp_engine.models.fetch import fetch
from mlxterp_engine.models.inspect_model import list_models
from mlxterp_engine.models.load import keeping_free
from mlxterp_engine.models.tokens import Tokens
from mlxterp_engine.models.weights_hash import weights_sha256
from mlxterp_engine.opening import timed_opening
from mlxterp_engine.reproductions import making
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.techniques.doctor import examine
from mlxterp_engine.techniques.execute import execute, price
from mlxterp_engine.worker.tasks import (
    Examine,
    Examined,
    GetModel,
    ListModels,
    ModelFetched,
    ModelOpened,
    ModelsListed,
    OpenModel,
    Outcome,
    Reproduce,
    Task,
)

Working = Generator[Started | Step | AnyPart, None, Outcome]
Wanted = tuple[str, Device, DTypeChoice]


@dataclass(frozen=True, eq=False)
class _Opened:
    """A model, and the seconds that it took to open."""

    model: InterpretableModel
    seconds: float


class Workbench:
    """Lives on the main thread, which owns MLX; only `tokenize` and `price` go elsewhere."""

    def __init__(self) -> None:
        self._open: _Opened | None = None
        self._in_use: WeakValueDictionary[Wanted, _Opened] = WeakValueDictionary()

    @property
    def card(self) -> ModelCard | None:
        return None if self._open is None else self._open.model.card

    @property
    def at_rest(self) -> bool:
        """Whether another task may begin in the middle of the one that runs."""
        return not calls.in_use()

    @contextmanager
    def aside(self, price: Price | None) -> Iterator[None]:
        """Around another task in the middle of one of this price: its numbers stay what they
        would have been, and its memory is not given away."""
        with backend.put_back(), keeping_free(self._still_needed(price)):
            yield

    def price(self, task: Task) -> Price | None:
        """None where the task is no experiment, or needs a model that is not open."""
        if not isinstance(task, Request | Reproduce):
            return None
        opened = self._in_use.get(self._wanted(task))
        if opened is None:
            return None
        if isinstance(task, Reproduce):
            return making.price(opened.model, task)
        return price(opened.model, task)

    def perform(self, task: Task, unfinished: Unfinished | None = None) -> Working:
        """Progress and parts on the way; the outcome is the generator's value.

        unfinished: where an experiment that is stopped leaves what it has.
        """
        if type(task) in _PERFORM:
            return _PERFORM[type(task)](self, task)
        return self._experiment(task, unfinished)

    def tokenize(self, text: str, bos: Bos, chat: bool) -> tuple[list[int], list[str]]:
        """Ids and exact strings under the open model; empty for an empty text."""
        tokens = self._opened_tokens
        ids = tokens.encode(text, bos, chat) if text or chat else []
        return ids, tokens.strings(ids)

    def pieces(self, text: str) -> tuple[list[int], list[str]]:
        """The same of a text that stands within another, as an answer does."""
        tokens = self._opened_tokens
        ids = tokens.pieces(text)
        return ids, tokens.strings(ids)

    def memory(self) -> tuple[int, int]:
        """Bytes that MLX holds now, and its peak."""
        return backend.memory()

    @property
    def _opened_tokens(self) -> Tokens:
        if self._open is None:
            raise BadInput("no model is open yet; wait for it, or open one with :model NAME")
        return self._open.model.tokens

    def _experiment(self, request: Any, unfinished: Unfinished | None) -> Working:
        opened = yield from self._opened(request)
        return (yield from execute(opened.model, request, opened.seconds, unfinished))

    def _open_model(self, task: OpenModel) -> Working:
        opened = yield from self._opened(task)
        return ModelOpened(opened.model.card)

    def _opened(self, task: Any) -> Generator[Step, None, _Opened]:
        """The task's model, opened unless it is; the one before stays until the new one is there.

        Open are the last one and those that the caller's generators hold.
        """
        wanted = self._wanted(task)
        opened = self._in_use.get(wanted)
        if opened is None:
            parts, seconds = yield from timed_opening(task.model, task.device, task.dtype)
            opened = _Opened(InterpretableModel.of(parts), seconds)
            self._in_use[wanted] = opened
        self._open = opened
        backend.settle(opened.model.place)
        return opened

    def _still_needed(self, price: Price | None) -> int:
        """Bytes that a task of this price may yet take, beyond those that it holds."""
        if price is None:
            return 0
        weights = sum(opened.model.card.weight_bytes for opened in self._in_use.values())
        return max(0, price.bytes - max(0, backend.memory()[0] - weights))

    def _get_model(self, task: GetModel) -> Working:
        located = yield from fetch(task.model)
        assert located.path is not None  # fetched
        size = sum(file.stat().st_size for file in _files(located.path))
        return ModelFetched(
            located.reference,
            str(located.path),
            size,
            located.provenance,
            weights_sha256(located.path),
        )

    def _list_models(self, task: ListModels) -> Working:
        yield from ()
        return ModelsListed(list_models())

    def _examine(self, task: Examine) -> Working:
        return Examined((yield from examine(task)))

    def _reproduce(self, task: Reproduce) -> Working:
        opened = yield from self._opened(task)
        return (yield from making.make_card(opened.model, task, opened.seconds))

    @staticmethod
    def _wanted(task: Any) -> Wanted:
        """What tells one opening from another: a folder's name means another in another folder."""
        path = Path(task.model)
        reference = str(path.absolute()) if path.is_dir() else task.model
        return reference, task.device, task.dtype


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


_PERFORM: dict[type, Any] = {
    OpenModel: Workbench._open_model,
    GetModel: Workbench._get_model,
    ListModels: Workbench._list_models,
    Examine: Workbench._examine,
    Reproduce: Workbench._reproduce,
}
