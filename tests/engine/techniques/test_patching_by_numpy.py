"""Patching on the default model against NumPy, which shares only the weights with it.

4e-4 of an effect: NumPy's logits are within 1e-4 of ours, and both ends of the scale are sums of
two of them, twelve logits apart here.
"""

from mlxterp_engine.experiments import ActivationPatching, CausalTracing, PathPatching
from mlxterp_engine.running import run

import numpy as np
import pytest
from engine.techniques.numpy_patching import NumpyModel, probability, writing

CLEAN = "When Mary and John went to the store, John gave a drink to"
PAIR = {
    "clean": CLEAN,
    "corrupt": CLEAN.replace(", John", ", Mary"),
    "answer": " Mary",
    "wrong": " John",
}
TOLERANCE = 4e-4


@pytest.fixture(scope="module")
def witness(smol):
    return NumpyModel(smol)


class Witnessed:
    """Both runs of the pair in NumPy, and the effect of writes into the corrupt one."""

    def __init__(self, witness, model):
        self.witness = witness
        self.answer, self.wrong = (model.tokens.single(PAIR[n]) for n in ("answer", "wrong"))
        self.ids = {name: model.encode(PAIR[name]) for name in ("clean", "corrupt")}
        self.runs = {name: witness.run(ids) for name, ids in self.ids.items()}

    def difference(self, logits):
        return float(logits[self.answer]) - float(logits[self.wrong])

    def effect(self, changes):
        logits, _ = self.witness.run(self.ids["corrupt"], writing(changes))
        clean, corrupt = (self.difference(self.runs[n][0]) for n in ("clean", "corrupt"))
        return (self.difference(logits) - corrupt) / (clean - corrupt)

    def sites(self, name):
        return self.runs[name][1]


@pytest.fixture(scope="module")
def ioi(witness, smol):
    return Witnessed(witness, smol)


def test_cells_of_the_maps(smol, ioi):
    sites = ["resid_pre", "attn_out", "mlp_out", "z"]
    arrays = run(ActivationPatching(sites=sites, **PAIR), smol, log=False).arrays
    clean = ioi.sites("clean")
    for kind, block, position in (
        ("resid_pre", 10, 9),
        ("resid_pre", 23, 13),
        ("attn_out", 17, 9),
        ("attn_out", 23, 13),
        ("mlp_out", 0, 9),
        ("mlp_out", 29, 13),
    ):
        expected = ioi.effect({(kind, block): {position: clean[kind, block][position]}})
        assert arrays[kind][block, position] == pytest.approx(expected, abs=TOLERANCE)
    for block, head in ((23, 3), (24, 4), (17, 0)):
        expected = ioi.effect({("z", block): {head: clean["z", block][head]}})
        assert arrays["z"][block, head] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("freeze", ["heads", "heads+mlps"])
def test_paths_of_heads_to_the_end(smol, ioi, freeze):
    request = PathPatching(receivers=["final"], freeze=freeze, **PAIR)
    effects = run(request, smol, log=False).arrays["effect"]
    clean, corrupt = ioi.sites("clean"), ioi.sites("corrupt")
    for block, head in ((23, 3), (29, 1), (17, 2)):
        changes = {("z", other): {...: corrupt["z", other]} for other in range(block, 30)}
        changes["z", block] = {...: corrupt["z", block], head: clean["z", block][head]}
        if freeze == "heads+mlps":
            for other in range(block, 30):
                changes["mlp_out", other] = {...: corrupt["mlp_out", other]}
        expected = ioi.effect(changes)
        assert effects[block, head] == pytest.approx(expected, abs=TOLERANCE)


def test_states_given_back_under_noise(smol, witness, tmp_path):
    prompt, subject, window = "Catalonia belongs to the continent of", "Catalonia", 6
    ids = smol.encode(prompt)
    span = len(smol.encode(subject))
    answer = smol.tokens.single(" Europe")
    noise = np.random.default_rng(3).normal(0, 0.4, (1, span, 576)).astype(np.float32)
    np.savez(tmp_path / "noise.npz", noise=noise)
    request = CausalTracing(
        prompt=prompt,
        subject=subject,
        answer=" Europe",
        noise_file=str(tmp_path / "noise.npz"),
        window=window,
        window_rule="code",
    )
    arrays = run(request, smol, log=False).arrays
    clean_logits, clean = witness.run(ids)
    assert float(arrays["p_clean"]) == pytest.approx(probability(clean_logits, answer), abs=1e-4)

    def restored(changes):
        logits, _ = witness.run(ids, writing(changes), noise=(0, noise[0]))
        return probability(logits, answer)

    last = len(ids) - 1
    for name, kind, block, position, width in (
        ("hidden", "resid_post", 5, span - 1, 0),
        ("hidden", "resid_post", 20, last, 0),
        ("mlp", "mlp_out", 2, span - 1, window),
        ("attn", "attn_out", 22, last, window),
    ):
        blocks = (
            range(max(0, block - width // 2), min(30, block + width // 2)) if width else (block,)
        )
        expected = restored({(kind, b): {position: clean[kind, b][position]} for b in blocks})
        found = arrays[f"{name}_samples"][0, block, position]
        assert found == pytest.approx(expected, abs=1e-4)
