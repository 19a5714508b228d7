"""A request as the command line that asks it again."""

import subprocess

from mlxterp_engine.experiments import LogitLens, Trace, parameters_of
from mlxterp_tui.commands.parser import Parser
from mlxterp_tui.commands.request_options import add_options
from mlxterp_tui.exports.shell import command

import pytest


def words(line: str) -> list[str]:
    """As bash takes the line apart."""
    script = f"mlxterp-tui() {{ printf '%s\\0' \"$@\"; }}; {line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    "request_",
    [
        LogitLens(prompt="it's", target=" Paris", top_k=7, chat=True),
        LogitLens(prompt="-x", seed=3, model="/a b/c.gguf"),
        LogitLens(prompt="a\n\t\x1b\\'b`$HOME` 日"),
        Trace(prompt="p", sites=["blocks.*", "-logits"], intervention=["embed=zero"]),
    ],
)
def test_the_line_asks_the_same(request_):
    line = command(parameters_of(request_))
    assert line.isprintable()
    run, name, *options = words(line)
    parser = Parser(prog="test")
    add_options(parser, type(request_))
    assert type(request_)(**vars(parser.parse_args(options))) == request_
    assert (run, name) == ("run", parameters_of(request_)["name"])


def test_defaults_are_left_out():
    line = command(parameters_of(LogitLens(prompt="hello")))
    assert line == "mlxterp-tui run logit-lens --prompt hello"
