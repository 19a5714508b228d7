"""`model.activation_patching`, after mlxterp: per cent of the logit difference by layer."""

from mlxterp_engine.experiments import ActivationPatching, BadInput
from mlxterp_engine.notebook.patching import print_recovery
from mlxterp_engine.running import run
from mlxterp_engine.tracing.interventions import edit, replace_with
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from rich.console import Console

CLEAN = "a cat and a dog, the cat"
TEXTS = (CLEAN, "a cat and a dog, the dog")
NAMES = {"answer": " to", "wrong": " of"}


@pytest.mark.parametrize("component", ["mlp", "attn"])
def test_all_positions_are_as_whole_passes_give_it(tiny, component):
    found = tiny.activation_patching(*TEXTS, component=component, **NAMES)
    answer, wrong = (tiny.tokens.single(name) for name in NAMES.values())
    runs = [tiny.run(tiny.encode(text), tiny.sites.all()).evaluate() for text in TEXTS]

    def difference(ran):
        return float(ran.logits[0, -1, answer]) - float(ran.logits[0, -1, wrong])

    clean, corrupt = map(difference, runs)
    assert list(found) == [0, 1, 2, 3]
    for layer, percent in found.items():
        site = Site(f"{component}_out", layer)
        whole = tiny.run(tiny.encode(TEXTS[1]), [], [edit(site, replace_with(runs[0].sites[site]))])
        expected = 100 * (difference(whole) - corrupt) / (clean - corrupt)
        assert percent == pytest.approx(expected, abs=1e-2)  # logits in float32, of ends far apart


def test_one_position_is_the_column_of_the_experiment_s_map(tiny):
    found = tiny.activation_patching(*TEXTS, component="resid_pre", position=-1, **NAMES)
    request = ActivationPatching(clean=TEXTS[0], corrupt=TEXTS[1], sites=["resid_pre"], **NAMES)
    column = run(request, tiny, log=False).arrays["resid_pre"][:, -1]
    np.testing.assert_allclose(list(found.values()), 100 * column, atol=1e-2)


def test_without_names_each_run_s_own_top_token_is_compared(smol):
    texts = ("The capital of France is", "The capital of Italy is")
    found = smol.activation_patching(*texts, component="resid_post", layers=[0, 29], position=-1)
    assert found[29] == pytest.approx(100, abs=1e-3)
    assert abs(found[0]) < 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"component": "nothing"}, "component is 'nothing'; give one of mlp, attn"),
        ({"component": "resid_post"}, "by construction"),
        ({"layers": [9]}, "layers go from 0 to 3"),
        ({"position": 99}, "position 99 is outside the prompt"),
        ({"corrupted_text": CLEAN}, "are the same"),
        ({"corrupted_text": "a cat"}, "equally many tokens"),
        ({"wrong": " to"}, "that differ"),
    ],
)
def test_what_is_refused(tiny, changes, words):
    given = {"clean_text": CLEAN, "corrupted_text": TEXTS[1], **NAMES, **changes}
    with pytest.raises(BadInput, match=words):
        tiny.activation_patching(**given)


def test_bars_go_to_the_largest():
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_recovery({0: -25.0, 1: 50.0, 2: float("nan")}, "mlp", console)
    lines = console.export_text().splitlines()
    assert any("50.0" in line and "█" * 40 in line for line in lines)
    assert any("-25.0" in line and "░" * 20 in line and "█" not in line for line in lines)
    assert any("nan" in line for line in lines)
