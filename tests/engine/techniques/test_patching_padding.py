"""Prompts of unequal lengths are filled up where they differ, in front of the shorter words."""

import json

from mlxterp_engine.experiments import ActivationPatching, AttributionPatching, BadInput, Started
from mlxterp_engine.running import run
from mlxterp_engine.techniques.patching_padding import padded

import numpy as np
import pytest

LONG, SHORT = "The cats sat on the mat", "The dog sat on the mat"


@pytest.mark.parametrize(
    ("clean", "corrupt", "both", "at"),
    [
        ([1, 2, 3], [1, 4, 3], ([1, 2, 3], [1, 4, 3]), ([], [])),
        ([1, 2, 5, 3], [1, 4, 3], ([1, 2, 5, 3], [1, 0, 4, 3]), ([], [1])),
        ([1, 4, 3], [1, 2, 5, 6, 3], ([1, 0, 0, 4, 3], [1, 2, 5, 6, 3]), ([1, 2], [])),
        ([1, 3], [1, 2, 3], ([1, 0, 3], [1, 2, 3]), ([1], [])),
        ([8, 1, 2, 3], [1, 2, 9, 3], ([8, 1, 2, 3], [1, 2, 9, 3]), ([], [])),
        ([8, 8, 1, 2, 3], [1, 2, 9, 3], ([8, 8, 1, 2, 0, 3], [0, 0, 1, 2, 9, 3]), ([4], [0, 1])),
        ([1, 2], [1], ([1, 2], [1, 0]), ([], [1])),
    ],
)
def test_the_shorter_words_get_tokens_in_front(clean, corrupt, both, at):
    assert padded(clean, corrupt, 0) == (both, at)


def request(kind=ActivationPatching, **fields):
    given = {"clean": LONG, "corrupt": SHORT, "answer": "s", "wrong": "e", "model": "glass-tiny"}
    return kind(**given | {"sites": ["resid_pre,z"], "pad": " the"} | fields)


@pytest.mark.parametrize("kind", [ActivationPatching, AttributionPatching])
def test_the_runs_are_of_prompts_that_are_filled_up(tiny, kind):
    parts = []
    found = run(request(kind), tiny, parts.append, log=False)
    started = next(part for part in parts if isinstance(part, Started))
    (the,) = tiny.tokens.encode(" the")
    clean, corrupt = (tiny.encode(text) for text in (LONG, SHORT))
    assert found.arrays["clean_ids"].tolist() == clean == started.token_ids[0]
    filled = found.arrays["corrupt_ids"].tolist()
    assert len(filled) == len(clean) > len(corrupt)
    assert filled == started.token_ids[1]
    assert sorted(filled) == sorted([*corrupt, *[the] * (len(clean) - len(corrupt))])
    assert found.meta.tokens == started.tokens
    assert found.arrays["resid_pre"].shape == (4, len(clean))


def test_which_tokens_were_filled_in_is_said(tiny):
    found = run(request(), tiny, log=False)
    (at,) = found.strings["padded"]["corrupt"]
    assert found.strings["corrupt_tokens"][at] == " the"
    equal = request(clean="The cat sat on the mat")
    assert "padded" not in run(equal, tiny, log=False).strings


def test_a_set_is_filled_up_pair_by_pair(tiny, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    line = {"clean": LONG, "corrupt": SHORT, "answer": "s", "wrong": "e"}
    pairs.write_text(json.dumps(line))
    asked = ActivationPatching(
        model="glass-tiny", pairs=str(pairs), sites=["resid_pre"], pad=" the"
    )
    alone = run(request(sites=["resid_pre"]), tiny, log=False)
    assert np.array_equal(
        run(asked, tiny, log=False).arrays["resid_pre"], alone.arrays["resid_pre"]
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pad": None}, "or give pad, a token to fill up with"),
        ({"pad": "zebra!"}, "pad 'zebra!' is"),
        ({"pad": ""}, "pad is empty"),
    ],
)
def test_without_a_token_to_fill_up_with_unequal_lengths_are_refused(tiny, fields, words):
    with pytest.raises(BadInput, match=words):
        run(request(**fields), tiny, log=False)
