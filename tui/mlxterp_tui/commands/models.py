"""`mlxterp-tui models`: the catalogue, fetching, what a model is."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import cast

from mlxterp_engine.experiments import ModelCard
from mlxterp_engine.experiments.request import DEVICE_CHOICES, DTYPE_CHOICES
from mlxterp_engine.worker.blocking import BlockingEngine
from mlxterp_engine.worker.tasks import (
    GetModel,
    ListModels,
    ModelEntry,
    ModelFetched,
    ModelOpened,
    ModelsListed,
    OpenModel,
    Outcome,
    Task,
)
from mlxterp_tui.amounts import size
from mlxterp_tui.commands.following import failures_name_the_log
from mlxterp_tui.commands.output import as_json, table
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.progress import Progress
from mlxterp_tui.commands.subcommands import Subcommand, dispatch, json_option

PROGRAM = "mlxterp-tui models"


def main(words: Sequence[str]) -> int:
    return dispatch(PROGRAM, "The catalogue, fetching, what a model is.", _COMMANDS, words)


def _list(given: Namespace) -> int:
    models = cast(ModelsListed, _perform(ListModels())).models
    print(as_json(models) if given.json else table([_HEADINGS, *map(_line, models)]))
    return 0


def _get(given: Namespace) -> int:
    fetched = cast(ModelFetched, _perform(GetModel(model=given.model)))
    print(as_json(fetched) if given.json else _fetched(fetched))
    return 0


def _info(given: Namespace) -> int:
    task = OpenModel(model=given.model, device=given.device, dtype=given.dtype)
    card = cast(ModelOpened, _perform(task)).card
    print(as_json(card) if given.json else _described(card))
    return 0


def _perform(task: Task) -> Outcome:
    with (
        BlockingEngine.private() as engine,
        failures_name_the_log(engine),
        Progress(sys.stderr) as progress,
    ):
        return engine.run(task, progress)


_HEADINGS = ("name", "architecture", "parameters", "download", "licence", "here", "summary")


def _line(entry: ModelEntry) -> list[str]:
    return [
        entry.reference,
        entry.architecture,
        _millions(entry.parameters),
        size(entry.download_bytes) if entry.download_bytes else "none",
        entry.licence,
        "yes" if entry.available else "no",
        entry.summary,
    ]


def _fetched(fetched: ModelFetched) -> str:
    return table(
        [
            ["model", fetched.reference],
            ["path", fetched.path],
            ["size", size(fetched.bytes)],
            ["from", fetched.provenance],
            ["sha256", fetched.sha256],
        ]
    )


def _described(card: ModelCard) -> str:
    """Everything there is to know about a model, a line each, its sites last."""
    shape = (
        f"{card.layers} blocks, d_model {card.d_model}, {card.heads} heads of {card.d_head}, "
        f"{card.kv_heads} key-value heads, d_mlp {card.d_mlp}"
    )
    lines = [
        ["model", card.reference],
        ["architecture", card.architecture],
        ["shape", shape],
        ["parameters", _millions(card.parameters)],
        ["weights", f"{size(card.weight_bytes)}, {card.quantisation}"],
        ["vocabulary", f"{card.vocab_size} tokens, {_tied(card)}"],
        ["context", f"{card.context} tokens"],
        ["BOS", "added by its tokenizer" if card.adds_bos else "not added by its tokenizer"],
        ["chat template", "yes" if card.has_chat_template else "no"],
        ["provenance", card.provenance],
        ["sha256", card.sha256],
        ["computed on", f"{card.device}, {card.dtype}"],
    ]
    return "\n".join([table(lines), "", _checks(card), "", _sites(card)])


def _tied(card: ModelCard) -> str:
    return "embedding tied to the unembedding" if card.tied else "its own unembedding"


def _checks(card: ModelCard) -> str:
    return table(
        [["contract", "", "error", "tolerance"]]
        + [
            [name, "holds" if held.ok else "FAILS", f"{held.error:.1e}", f"{held.tolerance:.0e}"]
            for name, held in card.contracts.items()
        ]
    )


def _sites(card: ModelCard) -> str:
    missing = [f"  {name}: {reason}" for name, reason in card.missing_sites.items()]
    return "\n".join(["sites", *(f"  {site}" for site in card.sites), *missing])


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _model_options(parser: Parser) -> None:
    parser.add_argument("model", metavar="REF", help="name, folder, .gguf file or hub id")
    json_option(parser)


def _info_options(parser: Parser) -> None:
    _model_options(parser)
    parser.add_choice("--device", DEVICE_CHOICES, default="auto")
    parser.add_choice("--dtype", DTYPE_CHOICES, default="auto")


_COMMANDS = {
    "list": Subcommand("the catalogue, and what of it is here", json_option, _list),
    "get": Subcommand("fetch a model into the cache", _model_options, _get),
    "info": Subcommand("open a model, prove it, say what it is", _info_options, _info),
}
