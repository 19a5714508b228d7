"""An outside witness: the package tuned-lens itself reads and writes the same lens.

pip install torch && pip install --no-deps tuned-lens
pytest -m oracle tests/engine/lenses/test_package.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlxterp_engine import InterpretableModel
from mlxterp_engine.backend import Place, as_numpy
from mlxterp_engine.lenses import published
from mlxterp_engine.lenses.identity import unembedding_matrix
from mlxterp_engine.lenses.opening import open_lens
from mlxterp_engine.models.load import load_folder_network

import numpy as np
import pytest
from engine.architectures.building import IDS

pytestmark = pytest.mark.oracle

# Of the largest logit: two libraries in float32.
TOLERANCE = 3e-5


@pytest.fixture(scope="module", params=["llama", "gpt_neox"])
def pair(request, tmp_path_factory) -> tuple[Any, Any, Path, InterpretableModel]:
    """(transformers' model, its lens with random translators, where it is saved, ours)."""
    torch = pytest.importorskip("torch")
    lenses = pytest.importorskip("tuned_lens.nn.lenses")
    from engine.architectures import transformers_models as models

    folder = tmp_path_factory.mktemp(request.param)
    theirs = models.build(request.param)
    models.save(theirs, request.param, folder)
    lens = lenses.TunedLens.from_model(theirs)
    with torch.no_grad():
        for parameter in lens.layer_translators.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    lens.save(folder / "lens")
    net = load_folder_network(folder, Place("cpu", "float32")).net
    return theirs, lens, folder / "lens", InterpretableModel(net)


def test_every_layers_logits_are_those_of_the_package(pair):
    import torch

    theirs, lens, folder, ours = pair
    found = open_lens(str(folder), ours.card, ours.net, ours.anatomy)
    activations = ours.trace(IDS).activations
    with torch.no_grad():
        states = theirs(torch.tensor(IDS.tolist()), output_hidden_states=True).hidden_states
        expected = [lens(states[i], i).numpy() for i in range(len(lens))]
    assert len(expected) == ours.card.layers
    for i, logits in enumerate(expected):
        state = activations["embed" if i == 0 else f"blocks.{i - 1}.resid_post"]
        translated = found.translators.translate(state, layer=i - 1)
        error = np.abs(as_numpy(ours.unembed(translated)) - logits).max() / np.abs(logits).max()
        assert error <= TOLERANCE, i


def test_the_hash_of_the_unembedding_is_the_packages(pair):
    _, lens, folder, ours = pair
    matrix = unembedding_matrix(ours.net, ours.anatomy)
    assert matrix is not None
    assert published.unembedding_hash(matrix) == lens.unembed.unembedding_hash()
    assert open_lens(str(folder), ours.card, ours.net, ours.anatomy).unchecked == ""
