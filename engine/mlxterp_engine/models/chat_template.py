"""A model's chat template around one user message, as transformers renders it.

Templates come with a model and are not trusted: the sandbox can change nothing and reach
nothing. Without transformers, whose import takes a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from mlxterp_engine.experiments import BadInput

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

# What a template may raise on a message that it does not expect.
REFUSALS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


class _Generation(Extension):
    """`{% generation %}` marks what the model says; here its content is simply shown."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _as_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, **options)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _as_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def chat_renderer(source: str) -> Callable[[str, str, str], str]:
    """(user message, BOS text, EOS text) -> the prompt up to where the model should answer."""
    try:
        template = _environment().from_string(source)
    except TemplateError as error:
        raise BadInput(f"the model's chat template is broken ({error}); turn chat off") from None

    def render(message: str, bos: str, eos: str) -> str:
        messages = [{"role": "user", "content": message}]
        try:
            return template.render(
                messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos
            )
        except REFUSALS as error:
            raise BadInput(
                f"the model's chat template refuses this prompt ({error}); turn chat off"
            ) from None

    return render
