"""What the engine process works with: it opens models, keeps one open, and runs tasks."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from mlxterp_engine import backend
from mlxterp_engine.experiments import AnyPart, BadInput, ModelCard, Price, Request, Started, Step
from mlxterp_engine.experiments.request import Bos, Device, DTypeChoice
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.models.fetch import fetch
from mlxterp_engine.models.inspect_model import list_models
from mlxterp_engine.models.weights_hash import weights_sha256
from mlxterp_engine.opening import timed_opening
from mlxterp_engine.reproductions import making
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


class Workbench:
    """Lives on the main thread, which owns MLX; only `tokenize` and `price` go elsewhere."""

    def __init__(self) -> None:
        self._model: InterpretableModel | None = None
        self._opened_as: tuple[str, Device, DTypeChoice] | None = None
        self._load_seconds = 0.0

    @property
    def card(self) -> ModelCard | None:
        return None if self._model is None else self._model.card

    def price(self, task: Task) -> Price | None:
        """None where the task is no experiment, or needs another model than the open one."""
        if (
            not isinstance(task, Request | Reproduce)
            or self._model is None
            or self._wanted(task) != self._opened_as
        ):
            return None
        if isinstance(task, Reproduce):
            return making.price(self._model, task)
        return price(self._model, task)

    def perform(self, task: Task) -> Working:
        """Progress and parts on the way; the outcome is the generator's value."""
        return (
            _PERFORM[type(task)](self, task) if type(task) in _PERFORM else self._experiment(task)
        )

    def tokenize(self, text: str, bos: Bos, chat: bool) -> tuple[list[int], list[str]]:
        """Ids and exact strings under the open model; empty for an empty text."""
        if self._model is None:
            raise BadInput("no model is open yet; wait for it, or open one with :model NAME")
        ids = self._model.tokens.encode(text, bos, chat) if text or chat else []
        return ids, self._model.tokens.strings(ids)

    def memory(self) -> tuple[int, int]:
        """Bytes that MLX holds now, and its peak."""
        return backend.memory()

    def _experiment(self, request: Any) -> Working:
        model = yield from self._open(request)
        return (yield from execute(model, request, self._load_seconds))

    def _open_model(self, task: OpenModel) -> Working:
        model = yield from self._open(task)
        return ModelOpened(model.card)

    def _open(self, task: Any) -> Generator[Step, None, InterpretableModel]:
        """The model, opened unless it is the open one, which stays until the new one is there."""
        wanted = self._wanted(task)
        if self._model is None or wanted != self._opened_as:
            parts, seconds = yield from timed_opening(task.model, task.device, task.dtype)
            self._model, self._opened_as = InterpretableModel.of(parts), wanted
            self._load_seconds = seconds
        backend.settle(self._model.place)
        return self._model

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
        model = yield from self._open(task)
        return (yield from making.make_card(model, task, self._load_seconds))

    @staticmethod
    def _wanted(task: Any) -> tuple[str, Device, DTypeChoice]:
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
