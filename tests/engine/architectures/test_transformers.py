"""An outside witness: transformers computes the same numbers at the same sites.

    pip install torch
    pytest -m oracle tests/engine/architectures/test_transformers.py

Tiny random models are saved by transformers and opened by us; every site that a hook reaches
there is compared, and four edits are made on both sides. The text is longer than the sliding
windows. Measured with transformers 5.23 and mlx-lm 0.32.2, as max|difference| / max|reference|:
62 architectures, 2599 arrays, 2e-6 at most, 5e-6 with Gemma 4's unscaled scores, and 1.6e-5 where
the libraries take another epsilon (minicpm3).

Where the libraries themselves differ, the configurations step around it. mlx-lm, against
transformers:

- knows no sliding window in mixtral, starcoder2, phi3, phimoe, dots1 and gemma2, and none that
  covers all blocks in mistral and ministral3
- takes the exact GELU in gemma, gpt_bigcode and starcoder2, its tanh form in gpt_neox, whatever the
  configuration says
- rotates whole heads in glm, whatever partial_rotary_factor says
- takes the softmax over the chosen experts alone in jamba; never norms their weights in qwen2_moe
- has no final_logit_softcapping in gemma3_text, and rounds its embeddings' scale to bfloat16
- norms latent queries and keys with rms_norm_eps in glm4_moe_lite and youtu_llm, with 1e-5 in
  minicpm3, not with 1e-6
- leaves out key_multiplier in falcon_h1, and attention_in_multiplier of its values
- leaves out the bias that chooses experts in ernie4_5_moe (not compared here)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlxterp_engine.backend import Place, as_numpy
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.models.load import load_folder_network
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import edit, scale
from mlxterp_engine.tracing.proofs import Proven, proven
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from engine.architectures.building import IDS
from engine.architectures.transformers_families import FAMILIES

pytestmark = pytest.mark.oracle

# Of the largest entry: two libraries in float32 differ by some roundings (6e-8) a block, and by an
# epsilon in minicpm3 (1.5e-5). A wrong head, mask or multiplier costs a hundredth and more.
TOLERANCE = 3e-5


@dataclass(frozen=True)
class Pair:
    """One model in both libraries, and what transformers computed on IDS."""

    name: str
    theirs: Any
    seen: dict[str, np.ndarray]
    net: Any
    ours: Proven

    def sites(self) -> dict[str, Site]:
        return {str(site): site for site in self.ours.sites.all()}

    def comparable(self) -> list[str]:
        unlike = FAMILIES[self.name].unlike
        return [site for site in self.seen if _kind(site) not in unlike]


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, tmp_path_factory) -> Pair:
    pytest.importorskip("torch", reason="transformers computes with torch")
    from engine.architectures import transformers_models as models

    folder = tmp_path_factory.mktemp(request.param)
    theirs = models.build(request.param)
    models.save(theirs, request.param, folder)
    seen = models.run(theirs, request.param, IDS.tolist())
    net = load_folder_network(folder, Place("cpu", "float32")).net
    ours = proven(net, request.param, discover(net, IDS), {}, IDS)
    return Pair(request.param, theirs, {s: v.numpy() for s, v in seen.items()}, net, ours)


def test_each_site_holds_what_transformers_computes_there(pair):
    sites = pair.sites()
    assert not [site for site in pair.comparable() if site not in sites]
    run = forward(pair.net, pair.ours.anatomy, IDS, [sites[s] for s in pair.comparable()])
    errors = {s: _error(as_numpy(run.sites[sites[s]]), pair.seen[s]) for s in pair.comparable()}
    assert {s: e for s, e in errors.items() if not e <= TOLERANCE} == {}


def test_the_paths_of_the_table_lead_somewhere(pair):
    family = FAMILIES[pair.name]
    named = {
        "attn_out": family.attn_out,
        "mlp_out": family.mlp_out,
        "mlp.post": family.neurons,
        "resid_mid": family.middle,
    }
    assert {kind for kind, path in named.items() if path} <= {_kind(site) for site in pair.seen}


@pytest.mark.parametrize("kind", ["attn.z", "attn_out", "mlp_out", "resid_post"])
def test_an_edit_changes_the_logits_as_the_same_edit_in_transformers(pair, kind):
    from engine.architectures import transformers_models as models

    found = [site for name, site in pair.sites().items() if _kind(name) == kind]
    site = next((site for site in found if str(site) in pair.seen), None)
    if site is None:
        pytest.skip(f"no hook reaches {kind} in {pair.name}")
    changes = {str(site): lambda value: -0.5 * value}
    theirs = models.run(pair.theirs, pair.name, IDS.tolist(), changes)["logits"].numpy()
    ours = forward(pair.net, pair.ours.anatomy, IDS, edits=[edit(site, scale(-0.5))]).logits
    assert _error(theirs, pair.seen["logits"]) > 100 * TOLERANCE
    assert _error(as_numpy(ours), theirs) <= TOLERANCE


def _kind(site: str) -> str:
    return site.split(".", 2)[-1]


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
