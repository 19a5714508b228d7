"""Results as a person reads them on standard output, and as a program does."""

import json

from mlxterp_engine import InterpretableModel
from mlxterp_engine.experiments import Attention, Generate
from mlxterp_engine.running import run
from mlxterp_tui.commands.output import result_table
from mlxterp_tui.exports.result_json import result_json

import msgspec
import pytest

TEXT = "Alice was beginning to get"


@pytest.fixture(scope="module")
def model():
    return InterpretableModel("glass-tiny")


@pytest.fixture(scope="module")
def generated(model):
    return run(Generate(prompt=TEXT, max_tokens=8), model).result


def test_a_generation_is_read_as_text_and_then_where_it_was_unsure(generated):
    table = result_table(generated)
    assert TEXT + generated.meta.text in table
    assert "8 new tokens; the least likely:" in table
    logprobs = generated.arrays["logprobs"].tolist()
    least = logprobs.index(min(logprobs))
    assert f"{min(logprobs):.2f}  {generated.strings['tokens'][least]!r}" in table
    assert "cache_equals_full" in table


def test_control_characters_of_a_model_do_not_reach_the_terminal(generated):
    meta = msgspec.structs.replace(generated.meta, text="red\x1b[31m\r\nand\tmore")
    table = result_table(msgspec.structs.replace(generated, meta=meta))
    assert "\x1b" not in table
    assert "\r" not in table
    assert "\nand\tmore" in table


def test_a_generation_as_json_holds_text_tokens_and_ids(generated):
    found = json.loads(result_json(generated))
    assert found["meta"]["text"] == generated.meta.text
    assert "".join(found["tokens"]) == generated.meta.text
    assert len(found["token_ids"]) == len(found["logprobs"]) == 8


def test_patterns_are_read_by_block_at_the_last_token(model):
    result = run(Attention(prompt=TEXT, layers=[2, 0]), model).result
    lines = result_table(result).splitlines()
    at = lines.index("from the last token, ' get', on others than the first:")
    assert lines[at + 1].split() == ["layer", "head", "weight", "first", "token", "reads"]
    assert [line.split()[0] for line in lines[at + 2 : at + 4]] == ["2", "0"]
    last = [row[-1] for row in result.arrays["pattern"].tolist()[0]]
    largest = max(max(row[1:]) for row in last)
    _, head, weight, *_ = lines[at + 2].split()
    assert weight == f"{largest:.3f}"
    assert max(last[int(head)][1:]) == largest


def test_a_prompt_of_one_token_reads_itself(model):
    assert "1.000" in result_table(run(Attention(prompt="A", bos="off"), model).result)
