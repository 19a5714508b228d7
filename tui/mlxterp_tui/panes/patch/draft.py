"""The options of a patching method, as a form has them: every field that its request knows.

They are read as the command line reads them: same words, same refusals. No screen in here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mlxterp_engine.experiments import request_from
from mlxterp_engine.experiments.request import Request
from mlxterp_tui.command_line import unquoted
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.request_options import add_options, meaning, option_of
from mlxterp_tui.draft import Draft, Field, Sheet, words_of
from mlxterp_tui.panes.patch.question import METHODS, TEXTS, PatchQuestion, question_of
from mlxterp_tui.setting import Setting

import msgspec

_SPACED = re.compile(r"\s*,\s*")
YES, NO = "yes", "no"
ANSWERS = ("answer", "wrong")
TOKENS = (*ANSWERS, "pad")
TYPED = (*ANSWERS, "subject")
SETS = ("pairs", "facts")
JOINED = ("sites", "receivers", "layers")  # lists whose words stand with commas between them

# In the order of the form; label and about, which has 22 columns on a small screen.
LABELS = {
    "answer": ("answer", "one token, in quotes"),
    "wrong": ("wrong", "one token, in quotes"),
    "subject": ("subject", "words of the prompt"),
    "metric": ("metric", "of the last token"),
    "direction": ("direction", "which run is patched"),
    "sites": ("sites", "or q k v pattern"),
    "receivers": ("receivers", "or heads' inputs"),
    "freeze": ("freeze", "what stays as it is"),
    "by_position": ("by position", "also heads one by one"),
    "layers": ("of blocks", "such as 4,17"),
    "neurons": ("single neurons", "such as blocks.12@9"),
    "align": ("unequal lengths", "spans: patched too"),
    "pad": ("pad with", "one token, in quotes"),
    "steps": ("steps", "1: the gradient"),
    "top": ("exact cells", "of each map"),
    "noise": ("noise", "in sigmas"),
    "samples": ("draws", "of noise"),
    "window": ("window", "in blocks"),
    "window_rule": ("window rule", "around its block"),
    "sigma_from": ("sigma from", "whose embeddings"),
    "sever": ("sever", "what stays noisy"),
    "noise_levels": ("more noises", "such as 1 2 4"),
    "noise_file": ("noise from file", "an .npz file"),
    "pairs": ("set of pairs", "ioi, or a .jsonl file"),
    "facts": ("set of facts", "known, or .json file"),
    "count": ("how many", "of the set"),
    "resume": ("go on", "with cells of before"),
    "seed": ("seed", "of random draws"),
}
LEFT_EMPTY = {
    "answer": "what the model says",
    "wrong": "what it says after corrupt",
    "subject": "what is marked",
    "samples": "10",
    "window": "the same share of the depth",
    "pairs": "none: these two prompts",
    "facts": "none: this prompt",
    "noise_file": "drawn by the seed",
    "noise_levels": "none",
    "neurons": "none",
    "pad": "unequal lengths are refused",
}


class PatchingSheet(Sheet[PatchQuestion]):
    """Asks for all that a method can be asked. before: the question that it begins with."""

    begins = "runs"

    def __init__(self, before: PatchQuestion, setting: Setting) -> None:
        self.title = f"{METHODS[before.method]} · {setting.model}"
        self.fields = tuple(_fields(before.kind))
        self._before = before
        self._kind = before.kind
        self._defaults = {one.name: _default(one) for one in msgspec.structs.fields(self._kind)}

    def is_asked(self, draft: Draft, name: str) -> bool:
        of_a_set = any(draft.get(one, "").strip() for one in SETS)
        metric = draft.get("metric") or self._before.metric
        match name:
            case "answer":
                return not of_a_set and metric != "kl"
            case "wrong":
                return not of_a_set and metric == "logit-diff"
            case "subject" | "noise_file":
                return not of_a_set
            case "count":
                return of_a_set
            case "layers":
                return draft.get("by_position") == YES
            case "noise_levels":
                return not draft.get("noise_file", "").strip()
            case _:
                return True

    def placeholder(self, draft: Draft, name: str) -> str:
        default = self._defaults.get(name)
        return shown(name, default) or LEFT_EMPTY.get(name, "")

    def meaning(self, name: str) -> str:
        return meaning(self._kind, name) if name in self._defaults else ""

    def request_of(self, draft: Draft) -> PatchQuestion:
        """The question. Prompts and answers that are not there yet refuse nothing here: they are
        seen to when it is run."""
        given = self._given(draft)
        stand_ins = {} if any(given.get(one) for one in SETS) else self._stand_ins(given)
        request = request_from(METHODS[self._before.method], {**stand_ins, **given})
        asked = question_of(request, self._before)
        return replace(asked, **{name: self._text(name, draft, given) for name in TYPED})

    def _text(self, name: str, draft: Draft, given: Mapping[str, Any]) -> str | None:
        """As it was typed; as it was before where it was not asked for."""
        if name in self._defaults and self.is_asked(draft, name):
            return given.get(name)
        return getattr(self._before, name)

    def _given(self, draft: Draft) -> dict[str, Any]:
        parser = Parser(prog=f"run {METHODS[self._before.method]}", add_help=False)
        add_options(parser, self._kind)
        return vars(parser.parse_args(list(self._options(draft))))

    def _options(self, draft: Draft) -> Iterable[str]:
        """The draft as words of the command line."""
        for field in self.fields:
            text = draft.get(field.name, "")
            if text.strip() and self.is_asked(draft, field.name):
                yield from _option(field, text, isinstance(self._defaults[field.name], list))

    def _stand_ins(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a request needs besides what the form asks."""
        there = {"clean": "a", "corrupt": "b", "prompt": "a", "subject": "a"}
        if "metric" in self._defaults:
            there |= {"answer": "\x01", "wrong": "\x02"}
        return {name: text for name, text in there.items() if name in self._defaults}


def draft_of(question: PatchQuestion) -> dict[str, str]:
    """A question's fields as they stand in the form; what was not set is empty."""
    shared = {name: getattr(question, name) for name in TYPED}
    shared |= {"metric": question.metric, "direction": question.direction}
    values = {**shared, **question.own_options}
    known = question.kind.__struct_fields__
    return {name: shown(name, value) for name, value in values.items() if name in known}


def shown(name: str, value: Any) -> str:
    """A value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, list | tuple):
        return ("," if name in JOINED else " ").join(map(str, value))
    if name in TOKENS:
        return f"'{value}'"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fields(kind: type[Request]) -> Iterable[Field]:
    """The ones that are known here in their order, then those that are not, before the seed."""
    hints = get_type_hints(kind)
    shared = {*TEXTS, *Setting.__struct_fields__}
    fields = {one.name: one for one in msgspec.structs.fields(kind) if one.name not in shared}
    known = [name for name in LABELS if name in fields and name != "seed"]
    for name in [*known, *(name for name in fields if name not in LABELS), "seed"]:
        label, about = LABELS.get(name, (name.replace("_", " "), meaning(kind, name)))
        choices = _choices(hints[name], shown(name, _default(fields[name])))
        yield Field(name, label, about, choices)


def _choices(hint: Any, default: str) -> tuple[str, ...]:
    """What it is by itself comes first."""
    words = get_args(hint) if get_origin(hint) is Literal else (YES, NO) if hint is bool else ()
    return tuple(sorted(words, key=lambda word: word != default))


def _option(field: Field, text: str, is_list: bool) -> list[str]:
    option, text = option_of(field.name), text if field.name in TOKENS else text.strip()
    if set(field.choices) == {YES, NO}:
        return [option if text == YES else f"--no-{option[2:]}"]
    if field.name in TOKENS:
        return [f"{option}={unquoted(text.strip()) if _is_quoted(text) else text}"]
    if is_list:
        joined = _SPACED.sub(",", text) if field.name in JOINED else text.replace(",", " ")
        words = words_of(field.name, joined)
        return [option, *words] if words else []
    return [f"{option}={text}"]


def _is_quoted(text: str) -> bool:
    return unquoted(text.strip()) != text.strip()


def _default(one: msgspec.structs.FieldInfo) -> Any:
    if one.default_factory is not msgspec.NODEFAULT:
        return one.default_factory()
    return one.default
