"""`embed` is what enters the first block: another prompt's, written there, is that prompt's run."""

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.models.anatomy import discover
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.interventions import edit, replace_with
from mlxterp_engine.tracing.sites import Site

import numpy as np
import pytest
from engine.architectures.building import IDS, build

EMBED = Site("embed")


# scaled; positions added in place, in three ways of writing it; plain
@pytest.mark.parametrize("architecture", ["gemma2", "gpt2", "gpt_bigcode", "gpt_neox", "llama"])
def test_another_prompt_s_embeddings_give_its_logits(architecture):
    net = build(architecture)
    anatomy = discover(net, IDS)
    other = forward(net, anatomy, (IDS + 1) % 90, [EMBED, Site("resid_pre", 0)])
    assert np.array_equal(as_numpy(other.sites[EMBED]), as_numpy(other.sites[Site("resid_pre", 0)]))
    run = forward(net, anatomy, IDS, (), [edit(EMBED, replace_with(other.sites[EMBED]))])
    assert np.array_equal(as_numpy(run.logits), as_numpy(other.logits))
