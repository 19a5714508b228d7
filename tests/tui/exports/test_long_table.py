"""All numbers of a result as one table: a row a cell, the axes named."""

import csv
import io

from mlxterp_engine.experiments import Result
from mlxterp_tui.exports.escaping import escaped
from mlxterp_tui.exports.long_table import long_csv, long_tsv

import made
import numpy as np
from hypothesis import given
from hypothesis import strategies as st


def read(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(long_csv(result), newline="")))


def test_a_lens_is_a_row_for_each_layer_position_and_rank():
    lines = long_csv(made.tiny_lens()).splitlines()
    assert lines == [
        "layer,position,rank,token,token_ids,top_ids,top_token,top_probs,entropy,kl,final_rank",
        "-1,0,0,a,5,0,x,0.5,0.100000001,2,0",
        "-1,0,1,a,5,1,y,0.25,0.100000001,2,0",
        "-1,1,0,b,6,1,y,0.75,nan,3,1",
        "-1,1,1,b,6,0,x,0.125,nan,3,1",
        "0,0,0,a,5,0,x,1,0,0,0",
        "0,0,1,a,5,1,y,0,0,0,0",
        "0,1,0,b,6,0,x,0.5,1.5,0,0",
        "0,1,1,b,6,1,y,0.5,1.5,0,0",
    ]


def test_arrays_that_do_not_go_together_follow_one_another():
    trace = made.result(
        {"name": "trace", "prompt": "ab"},
        {
            "token_ids": [5, 6],
            "blocks.0.resid_post": [[1.0, 2.0], [3.0, 4.0]],
            "blocks.0.attn.pattern": [[[1.0, 0.0], [0.5, 0.5]]],
        },
        ["a", "b"],
    )
    rows = read(trace)
    assert [row["d_model"] for row in rows] == ["0", "1", "0", "1", "", "", "", ""]
    assert rows[3]["blocks.0.resid_post"] == "4"
    assert rows[3]["token"] == "b"
    assert rows[3]["blocks.0.attn.pattern"] == rows[3]["source"] == ""
    assert rows[6] | {"head": "0", "destination": "1", "source": "0"} == rows[6]
    assert (rows[6]["destination_token"], rows[6]["source_token"]) == ("b", "a")
    assert rows[6]["blocks.0.attn.pattern"] == "0.5"


def test_queries_and_keys_have_heads_of_their_own():
    trace = made.result(
        {"name": "trace", "prompt": "a"},
        {"blocks.0.attn.q": [[[1.0]], [[2.0]]], "blocks.0.attn.k": [[[3.0]]]},
        ["a"],
    )
    assert [(row["head"], row["kv_head"]) for row in read(trace)] == [
        ("0", ""),
        ("1", ""),
        ("", "0"),
    ]


def test_axes_that_nobody_named_are_numbered_and_kept_apart():
    unknown = made.result({"name": "new"}, {"a": [1.0, 2.0], "b": [[1.0, 2.0]]}, [])
    rows = read(unknown)
    assert [row["axis0"] for row in rows] == ["0", "1", "0", "0"]
    assert [row["b"] for row in rows] == ["", "", "1", "2"]


def test_a_single_number_stands_in_every_row():
    scalar = made.result({"name": "logit-lens"}, {"top_probs": [[[0.5, 0.25]]], "x": 3.0}, ["a"])
    assert [row["x"] for row in read(scalar)] == ["3", "3"]


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_every_float_is_read_back_bit_for_bit(values):
    result = made.result({"name": "generate"}, {"logprobs": values}, [])
    found = np.array([float(row["logprobs"]) for row in read(result)], dtype=np.float32)
    assert found.tobytes() == np.array(values, dtype=np.float32).tobytes()


TOKENS = st.text(st.one_of(st.sampled_from('",\t\n\r\x00\x1b|`\\='), st.characters()))


@given(TOKENS, TOKENS)
def test_any_token_stays_in_its_field(first, second):
    lens = made.tiny_lens(tokens=(first, second), top=(second, first))
    rows = read(lens)
    assert [row["token"] for row in rows[:4:2]] == [escaped(first), escaped(second)]
    assert [row["top_token"] for row in rows[:2]] == [escaped(second), escaped(first)]
    tabbed = [line.split("\t") for line in long_tsv(lens).splitlines()]
    assert [row[3] for row in tabbed[1:5:2]] == [escaped(first), escaped(second)]
    assert {len(row) for row in tabbed} == {11}


def test_the_recorded_lens_is_read_back_as_it_is(lens):
    rows = read(lens)
    assert len(rows) == 31 * 5 * 10
    ids = np.array([int(row["top_ids"]) for row in rows]).reshape(31, 5, 10)
    assert ids.tolist() == lens.arrays["top_ids"].tolist()
    assert rows[-10]["top_token"] == " Paris"
