"""Results as a person reads them on standard output, and as a program does."""

import json

from mlxterp_engine import InterpretableModel
from mlxterp_engine.experiments import Attention, Generate, LogitLens, Patchscope, TunedLens
from mlxterp_engine.running import run
from mlxterp_tui.commands.output import result_table
from mlxterp_tui.exports.result_json import result_json

import msgspec
import pytest
from engine.lenses.made import written

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


def test_a_lens_says_which_states_edits_and_patches_its_rows_are_of(model):
    request = LogitLens(
        prompt=TEXT,
        state="resid_mid",
        intervention=["blocks.1.mlp_out=zero"],
        patch=["embed@0"],
        patch_prompt="The\x1b end",
    )
    table = result_table(run(request, model).result)
    lines = table.splitlines()
    assert "the state read is resid_mid" in lines
    assert "edited: blocks.1.mlp_out=zero" in lines
    assert "patched: embed@0, from 'The\\x1b end'" in lines
    at = next(row for row, line in enumerate(lines) if line.startswith("layer"))
    assert [line.split()[0] for line in lines[at + 1 : at + 6]] == ["end", "3", "2", "1", "0"]
    assert "\x1b" not in table


def test_a_plain_lens_says_none_of_this(model):
    lines = result_table(run(LogitLens(prompt=TEXT), model).result).splitlines()
    assert lines[2].startswith("at the last token")
    assert [line.split()[0] for line in lines[4:9]] == ["3", "2", "1", "0", "embed"]


def test_a_tuned_lens_is_named_with_the_hash_of_its_numbers(model, tmp_path):
    written(tmp_path / "mine", model)
    found = run(TunedLens(prompt=TEXT, lens=str(tmp_path / "mine")), model)
    sha256 = found.strings["lens"]["sha256"][:12]
    assert f"ridge lens mine, sha256 {sha256}" in result_table(found.result).splitlines()


def test_a_patchscope_is_read_as_from_where_to_where_and_what_was_written(model):
    request = Patchscope(
        prompt=TEXT, site="blocks.1.resid_post", target_prompt="tea -> tea\nx", target_layer=0
    )
    found = run(request, model)
    table = result_table(found.result)
    assert "blocks.1.resid_post of ' get', written over 'x' of 'tea -> tea\\nx', block 0" in table
    assert found.meta.text in table
    assert f"{found.arrays['top_probs'][0]:.3f}  {found.strings['top_tokens'][0]!r}" in table
