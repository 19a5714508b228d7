"""`align spans`: prompts of unequal lengths are patched where their positions correspond."""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import ActivationPatching, BadInput
from mlxterp_engine.experiments.alignment import partners
from mlxterp_engine.running import run
from mlxterp_engine.techniques.execute import price
from mlxterp_engine.tracing.interventions import at_positions, edit, replace_with
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest

LONG, SHORT = "The cats sat on the mat", "The dog sat on the mat"
CLOSE = 1e-4


@pytest.mark.parametrize(
    ("clean", "corrupt", "expected"),
    [
        ("abc", "axc", [(0, 0), (1, 1), (2, 2)]),
        ("abcd", "axd", [(0, 0), (2, 1), (3, 2)]),  # the last of bc stands for x's
        ("ad", "axyd", [(0, 0), (1, 3)]),
        ("abcd", "abcd", [(0, 0), (1, 1), (2, 2), (3, 3)]),
        ("ab", "abc", [(0, 0), (1, 1)]),
    ],
)
def test_words_that_both_have_correspond_and_last_tokens_of_words_that_differ(
    clean, corrupt, expected
):
    assert partners(clean, corrupt) == expected
    assert partners(corrupt, clean) == [(b, a) for a, b in expected]


def request(**fields):
    given = {"clean": LONG, "corrupt": SHORT, "answer": "s", "wrong": "e", "model": "glass-tiny"}
    sites = {"sites": ["resid_pre,attn_out,mlp_out,z"], "align": "spans"}
    return ActivationPatching(**given | sites | fields)


def naive(model, asked, kind, block, at=None, head=None):
    """A whole pass with the source's values written at the partners of `at` (clean's positions)."""
    texts = (asked.clean, asked.corrupt)
    both = partners(*(model.encode(text) for text in texts))
    if asked.direction == "denoise":
        (source, own), pairs = texts, both
    else:
        (own, source), pairs = texts, [(b, a) for a, b in both]
    site = Site(kind, block)
    answer, wrong = (model.tokens.single(text) for text in (asked.answer, asked.wrong))

    def measured(text, edits=()):
        logits = as_numpy(model.run(model.encode(text), [], list(edits)).logits)[0, -1]
        return float(logits[answer]) - float(logits[wrong])

    values = model.run(model.encode(source), [site]).sites[site]
    chosen = [(a, b) for a, b in pairs if at is None or at == (a if own != texts[0] else b)]
    part = None if head is None else (head,)
    edits = []
    for there, here in chosen:
        value = values[..., there : there + 1, :]
        value = value if head is None else value[:, head : head + 1]
        edits.append(edit(Site(kind, block, part), at_positions([here], replace_with(value))))
    ends = measured(own), measured(source)
    return (measured(own, edits) - ends[0]) / (ends[1] - ends[0])


@pytest.mark.parametrize("direction", ["denoise", "noise"])
@pytest.mark.parametrize(("clean", "corrupt"), [(LONG, SHORT), (SHORT, LONG)])
def test_cells_are_those_of_whole_passes(tiny, direction, clean, corrupt):
    asked = request(direction=direction, clean=clean, corrupt=corrupt)
    found = run(asked, tiny, log=False)
    columns = [a for a, _ in partners(tiny.encode(clean), tiny.encode(corrupt))]
    width = len(tiny.encode(clean))
    for name in ("resid_pre", "attn_out", "mlp_out"):
        assert found.arrays[name].shape == (4, width)
        for block in (0, 2):
            for at in columns:
                expected = naive(tiny, asked, name, block, at)
                assert found.arrays[name][block, at] == pytest.approx(expected, abs=CLOSE)
    for block, head in ((0, 1), (3, 2)):
        expected = naive(tiny, asked, "attn.z", block, head=head)
        assert found.arrays["z"][block, head] == pytest.approx(expected, abs=CLOSE)
    assert found.meta.contracts["resume_equals_full"].ok
    assert "patch_full" not in found.meta.contracts  # not every position can be patched


def test_positions_without_a_partner_are_no_failures(tiny):
    found = run(request(), tiny, log=False)
    alone = found.strings["unaligned"]
    assert len(alone) == len(tiny.encode(LONG)) - len(tiny.encode(SHORT))
    assert np.isnan(found.arrays["resid_pre"][:, alone]).all()
    assert np.isnan(found.arrays["resid_pre"]).sum() == 4 * len(alone)
    assert found.meta.failed_cells == 0
    assert sorted(map(tuple, found.strings["missing"]["resid_pre"])) == [
        (block, at) for block in range(4) for at in alone
    ]


def test_prompts_of_one_length_are_patched_as_ever(tiny):
    asked = request(corrupt="The bat sat on the mat", clean="The cat sat on the mat")
    exact = run(request(clean=asked.clean, corrupt=asked.corrupt, align="exact"), tiny, log=False)
    found = run(asked, tiny, log=False)
    for name in ("resid_pre", "attn_out", "mlp_out", "z"):
        assert found.arrays[name] == pytest.approx(exact.arrays[name], abs=CLOSE)
    assert price(tiny, asked).passes == pytest.approx(price(tiny, asked).passes)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sites": ["pattern"]}, "its sources shift"),
        ({"pad": " a"}, "align spans and pad don't go together"),
        ({"neurons": "1@3"}, "align spans and neurons"),
        ({"align": "words"}, "align is 'words'"),
        ({"corrupt": LONG}, "are the same prompt"),
        ({"corrupt": LONG + " and"}, "goes on where the other ends"),
    ],
)
def test_what_can_not_be_aligned_is_refused(tiny, fields, words):
    with pytest.raises(BadInput, match=words):
        run(request(**fields), tiny, log=False)
