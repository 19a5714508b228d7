"""Results drawn as text."""

from mlxterp_tui.exports.figure import figure
from mlxterp_tui.exports.lens_figure import lens_figure

import made
import msgspec
from rich.cells import cell_len


def test_a_small_lens_is_drawn_so():
    assert lens_figure(made.tiny_lens()).splitlines() == [
        "       0           1",
        "block  a           b",
        "    0  x          ▸x",
        "embed ▸x           y",
        "",
        "after b (position 1):",
        "block  token      p  entropy     KL  rank",
        "    0  x      0.500    1.500  0.000     0",
        "embed  y      0.750      nan  3.000     1",
        "",
        "means over 1 position, the first token left out · 1 cell failed and is left out · "
        "no loss: an older run, or one token:",
        "block  KL  entropy  agree  echo  loss  rank",
        "    0   0      1.5      1     0     ·     0",
        "embed   3        ×      0     0     ·     1",
    ]


def test_a_long_prompt_is_cut_into_panels_and_wide_tokens_line_up():
    tokens = ["日本語の長い言葉", *"abcdefghi"]
    lens = made.result(
        {"name": "logit-lens"},
        {
            "layer": [-1, 0],
            "top_probs": [[[0.5]] * 10] * 2,
            "final_rank": [[1] * 10, [0] * 10],
        },
        tokens,
        strings={"top_tokens": [[[token] for token in tokens]] * 2},
    )
    lines = lens_figure(lens).splitlines()
    assert lines[1].startswith("block  日本語の… ")
    assert cell_len(lines[1].partition("a")[0]) == lines[0].index("1")
    assert lines[5].split() == ["7", "8", "9"]  # the next panel
    assert max(map(cell_len, lines)) <= 100


def test_an_unknown_experiment_is_a_table_of_its_arrays():
    found = made.result({"name": "new"}, {"a": [[1.0, float("nan"), 3.0]], "n": 7}, [])
    assert figure(found).splitlines() == [
        "array  shape       least  mean  most  NaN",
        "a      1×3             1     2     3    1",
        "n      one number      7     7     7",
        "",
        "a = 1 nan 3",
        "n = 7",
    ]


def test_a_generation_is_its_text_and_how_likely_each_token_was():
    found = made.result(
        {"name": "generate"},
        {"prompt_ids": [1], "token_ids": [2, 3], "logprobs": [-0.5, -1.25]},
        ["Once"],
        strings={"tokens": [" upon", "\x1b"]},
        text=" upon\n\x1b",
    )
    assert figure(found).splitlines() == [
        "Once upon",
        "\\x1b",
        "",
        "token    id   log p",
        "' upon'   2  -0.500",
        "'\\x1b'    3  -1.250",
    ]


def test_a_patchscope_is_from_where_to_where_the_text_and_its_first_token():
    asked = {"site": "blocks.6.resid_post", "position": -1, "target_position": 0}
    found = made.result(
        {"name": "patchscope", "target_layer": 3, **asked},
        {"top_ids": [7, 8], "top_probs": [0.5, 0.25], "token_ids": [7], "logprobs": [-0.5]},
        ["in", " Paris"],
        strings={"top_tokens": [" a", "\x1b"]},
        text=" a",
    )
    meta = msgspec.structs.replace(found.meta, tokens=[["in", " Paris"], ["x", "\n?"]])
    assert figure(msgspec.structs.replace(found, meta=meta)).splitlines() == [
        "blocks.6.resid_post of ' Paris', written over 'x' at block 3 of:",
        "x",
        "?",
        "",
        "and the model goes on:",
        " a",
        "",
        "first token  id      p",
        "' a'          7  0.500",
        "'\\x1b'        8  0.250",
    ]


def test_attention_is_what_the_last_token_reads_but_for_the_first():
    found = made.result(
        {"name": "attention"},
        {"layers": [4], "pattern": [[[[1.0, 0.0, 0.0]] * 2 + [[0.7, 0.2, 0.1]]]]},
        ["a", " b", "c"],
    )
    assert figure(found).splitlines() == [
        "what c (position 2) reads most, a left out:",
        "block  head 0",
        "    4  0.20 ·b",
    ]
