"""What was typed into the training form, and the request that it comes to. No screen in here.

A draft is read as the command line reads its options: same words, same refusals.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from mlxterp_engine.experiments import BadInput, TrainRidgeLens, TrainTunedLens, request_from
from mlxterp_engine.experiments.train_lens import Optimizer, Start
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.request_options import add_options
from mlxterp_tui.draft import Draft, Field, value, words_of

Training = TrainRidgeLens | TrainTunedLens
KINDS: dict[str, type[Training]] = {"ridge": TrainRidgeLens, "tuned": TrainTunedLens}
CORPORA = ("builtin", "self", "files", "dataset")


FIELDS = (
    Field("kind", "lens", "closed form, or steps", tuple(KINDS)),
    Field("out_dir", "name", "or a folder: ./here"),
    Field("corpus", "text", "self: the model's own", CORPORA),
    Field("files", "files", "text or .jsonl, spaces between"),
    Field("dataset", "data set", "a name that datasets knows"),
    Field("held_out", "held-out files", "text or .jsonl"),
    Field("held_out_tokens", "held-out tokens", "to measure on"),
    Field("steps", "steps", "the paper: 250"),
    Field("tokens_per_step", "tokens a step", "the paper: 262144"),
    Field("sequence_length", "sequence", "tokens read together"),
    Field("optimizer", "optimizer", "sgd: the paper's", get_args(Optimizer)),
    Field("init", "start from", "zero: the logit lens", get_args(Start)),
    Field("ridge", "ridge weight", "auto, or from 0"),
    Field("seed", "seed", "of random draws"),
)
NAMES = tuple(field.name for field in FIELDS)


def is_asked(draft: Draft, name: str) -> bool:
    """Whether the field means anything beside the others."""
    corpus, tuned = chosen(draft, "corpus"), chosen(draft, "kind") == "tuned"
    match name:
        case "files" | "dataset":
            return corpus == name
        case "optimizer" | "init":
            return tuned
        case "ridge":
            return not tuned or chosen(draft, "init") == "ridge"
        case _:
            return True


def chosen(draft: Draft, name: str) -> str:
    return value(draft, FIELDS[NAMES.index(name)])


def placeholder(draft: Draft, name: str, setting: Mapping[str, Any]) -> str:
    """What an empty field counts as."""
    if name == "out_dir":
        return _new_name(chosen(draft, "kind"), setting)
    default = getattr(KINDS[chosen(draft, "kind")](), name, None)
    if isinstance(default, int | float | str):
        return str(default)
    return "a part of the text" if name == "held_out" else ""


def request_of(draft: Draft, setting: Mapping[str, Any]) -> Training:
    """BadInput says which option is wrong, and what would be right."""
    return request_from_words(chosen(draft, "kind"), options(draft), setting)


def request_from_words(kind: str, words: Sequence[str], setting: Mapping[str, Any]) -> Training:
    """`ridge` or `tuned`, and options as `mlxterp-tui run train-…-lens` has them.

    setting: model, device, dtype and BOS, where the words say nothing of them. The lens has a
    name from the beginning, so that a training that is stopped is found again.
    """
    request = _request_class(kind)
    name = str(request.__struct_config__.tag)
    parser = Parser(prog=f"run {name}", add_help=False)
    add_options(parser, request)
    given = {**setting, **vars(parser.parse_args(words))}
    given.setdefault("out_dir", _new_name(kind, given))
    found = request_from(name, {key: _from_here(key, said) for key, said in given.items()})
    assert isinstance(found, Training)
    return found


def options(draft: Draft) -> list[str]:
    """The draft as words of the command line."""
    words = _corpus(draft)
    for field in FIELDS:
        text = value(draft, field).strip()
        if field.name in ("kind", "corpus", "files", "dataset") or not text:
            continue
        if is_asked(draft, field.name):
            words += [f"--{field.name.replace('_', '-')}", *_split(field.name, text)]
    return words


def _request_class(kind: str) -> type[Training]:
    if kind not in KINDS:
        raise BadInput(f"there is no training of a {kind!r} lens; there are: {', '.join(KINDS)}")
    return KINDS[kind]


def _corpus(draft: Draft) -> list[str]:
    match chosen(draft, "corpus"):
        case "files":
            files = _split("files", draft.get("files", ""))
            if not files:
                raise BadInput("files is empty; name text or .jsonl files to train on")
            return ["--corpus", *files]
        case "dataset":
            if not draft.get("dataset", "").strip():
                raise BadInput("dataset is empty; name one, for example wikitext")
            return ["--dataset", draft["dataset"].strip()]
        case corpus:
            return ["--corpus", corpus]


def _split(name: str, text: str) -> list[str]:
    return words_of(name, text) if name in ("files", "held_out") else [text]


def _from_here(name: str, said: Any) -> Any:
    """Paths made absolute: the engine has another working folder."""
    match name, said:
        case "out_dir", str():
            return _lens_folder(said)
        case "held_out", list():
            return [_path(one) for one in said]
        case "corpus", list():
            return [one if one in ("builtin", "self") else _path(one) for one in said]
        case _:
            return said


def _lens_folder(said: str) -> str:
    """A bare name lies among the kept lenses."""
    from mlxterp_engine.lenses.shelf import lenses_folder

    if os.sep in said or said.startswith(("~", ".")):
        return _path(said)
    return str(lenses_folder() / said)


def _new_name(kind: str, setting: Mapping[str, Any]) -> str:
    from mlxterp_engine.lenses.shelf import default_name

    return default_name(setting["model"], kind)  # type: ignore[arg-type]


def _path(said: str) -> str:
    return os.path.abspath(os.path.expanduser(said))
