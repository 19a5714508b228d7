"""From a request to a result: the one path for panes, command line, Python and replay."""

from __future__ import annotations

import time
from collections.abc import Generator
from importlib import metadata

from mlxterp_engine.experiments import (
    AnyPart,
    AnyRequest,
    Array,
    BadInput,
    Meta,
    Price,
    Result,
    Started,
    Step,
    parameters_of,
)
from mlxterp_engine.experiments.patching import PairRequest
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.models.load import available_memory
from mlxterp_engine.runlog.unfinished import Unfinished
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.techniques.patching_missing import with_missing
from mlxterp_engine.techniques.patching_padding import padded_prompts
from mlxterp_engine.techniques.registry import RESUMABLE, TECHNIQUES

import mlx.core as mx
import numpy as np

PACKAGES = ("mlxterp-tui", "mlx", "mlx-lm", "numpy", "tokenizers")


def prompted(model: InterpretableModel, request: AnyRequest) -> list[Prompted]:
    """The request's prompts as the model reads them."""
    rows = [
        model.encode(text, request.bos, chat)
        for text, chat in zip(request.prompts, request.in_chat, strict=True)
    ]
    if isinstance(request, PairRequest):
        rows = padded_prompts(model, request, rows)
    return [Prompted(ids, model.tokens.strings(ids)) for ids in rows]


def price(model: InterpretableModel, request: AnyRequest) -> Price:
    """Passes, seconds and bytes of a request, without MLX: may be asked from any thread."""
    return TECHNIQUES[type(request)].price(model, request, prompted(model, request))


def execute(
    model: InterpretableModel,
    request: AnyRequest,
    load_seconds: float = 0.0,
    unfinished: Unfinished | None = None,
) -> Generator[Started | Step | AnyPart, None, Result]:
    """Yields the prompts' tokens, then parts; returns the result with its contracts.

    unfinished: where a run that is stopped leaves what it has, and finds it again; None: nowhere.
    Every model contract of the opening goes into `meta` beside those of the run itself.
    """
    prompts = prompted(model, request)
    technique = TECHNIQUES[type(request)]
    technique.check(model, request)
    _check_memory(technique.price(model, request, prompts))
    yield Started([prompt.ids for prompt in prompts], [prompt.tokens for prompt in prompts])
    mx.random.seed(request.seed)
    start = time.perf_counter()
    if unfinished is not None and type(request) in RESUMABLE:
        findings = yield from RESUMABLE[type(request)](model, request, prompts, unfinished)
        unfinished.finished()
    else:
        findings = yield from technique.run(model, request, prompts)
    if isinstance(request, PairRequest):
        findings = with_missing(model.sites, findings)
    elapsed = time.perf_counter() - start
    return _result(model, request, prompts, findings, load_seconds, elapsed)


def _check_memory(price: Price) -> None:
    free = available_memory()
    if free is not None and price.bytes > free:
        raise BadInput(
            f"this run needs {price.bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
            "free; shorten the prompt or record fewer sites"
        )


def _result(
    model: InterpretableModel,
    request: AnyRequest,
    prompts: Prompts,
    findings: Findings,
    load_seconds: float,
    elapsed: float,
) -> Result:
    meta = Meta(
        experiment=parameters_of(request),
        model=model.card,
        tokens=findings.tokens or [prompt.tokens for prompt in prompts],
        versions={name: metadata.version(name) for name in PACKAGES},
        seed=request.seed,
        device=model.card.device,
        dtype=model.card.dtype,
        load_s=load_seconds,
        elapsed_s=elapsed,
        contracts=model.card.contracts | findings.contracts,
        failed_cells=failed_cells(findings.arrays) - findings.absent,
        headline=findings.headline,
        figures=findings.figures,
        text=findings.text,
        texts=findings.texts,
    )
    arrays = {name: Array.of(values) for name, values in findings.arrays.items()}
    return Result(meta=meta, arrays=arrays, strings=findings.strings)


def failed_cells(arrays: dict[str, np.ndarray]) -> int:
    """Cells that could not be computed: NaN, never filled in."""
    floats = [values for values in arrays.values() if values.dtype == np.float32]
    return int(sum(np.isnan(values).sum() for values in floats))
