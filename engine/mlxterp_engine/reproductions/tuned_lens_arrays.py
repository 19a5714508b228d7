"""The arrays of the tuned lens's card: everything that its claims rest on."""

from __future__ import annotations

from mlxterp_engine.reproductions.tuned_lens_figures import Figures

import numpy as np


def arrays(figures: Figures) -> dict[str, np.ndarray]:
    """float32, and int32 for layers, ranks and counts of tokens. `NAME_LENS` is [text, layer]
    unless `LensFigures` says otherwise; `transfer_loss` [text, translator, states];
    `influence_…` [text, direction]."""
    transfer, fidelity = figures.transfer, figures.fidelity
    floats = {
        **{
            f"{name}_{lens}": values
            for lens, of in figures.lenses.items()
            for name, values in vars(of).items()
            if np.isfinite(values).all()
        },
        "kl_unigram": figures.unigram_kl,
        "loss_unigram": figures.unigram_loss,
        "loss_model": figures.model_loss,
        "entropy_model": figures.model_entropy,
        "bias_ratio_drawn": figures.bias_ratio_drawn,
        "train_loss": figures.train_loss,
        "transfer_loss": transfer.losses,
        "influence_lens": fidelity.on_lens,
        "influence_logit_lens": fidelity.on_logit_lens,
        "influence_model": fidelity.on_model,
        "influence_lens_random": fidelity.random_lens,
        "influence_model_random": fidelity.random_model,
        "direction_information": fidelity.information,
        "direction_spread": fidelity.spread,
    }
    ints = {
        "layer": np.arange(-1, figures.rows - 1),
        "tokens": figures.tokens,
        "transfer_layer": np.asarray(transfer.rows) - 1,
        "transfer_tokens": transfer.tokens,
        "direction_rank": fidelity.rank,
        "direction_layer": np.array(fidelity.row - 1),
    }
    return {name: np.asarray(values, np.float32) for name, values in floats.items()} | {
        name: np.asarray(values, np.int32) for name, values in ints.items()
    }
