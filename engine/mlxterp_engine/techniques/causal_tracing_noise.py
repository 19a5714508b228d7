"""The noise that causal tracing puts on a subject's embeddings, and the scale that it is drawn to.

Meng et al. 2022 (arXiv 2202.05262): 3 σ, σ the standard deviation of the embedding's entries. Their
program takes σ over the subjects' tokens, their text over a body of text; here it is that of the
whole vocabulary, or of the subjects. It is taken of what the model reads: `embed`, scaled where the
model scales it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mlxterp_engine.array_files import UNREADABLE
from mlxterp_engine.backend import as_numpy
from mlxterp_engine.experiments import BadInput
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.tracing.forward import forward
from mlxterp_engine.tracing.sites import Site

import mlx.core as mx
import numpy as np

TOKENS_AT_ONCE = 4096


def sigma_of_vocabulary(model: InterpretableModel) -> float:
    """Over the embeddings of all tokens."""
    return sigma_of(model, range(model.card.vocab_size))


def sigma_of(model: InterpretableModel, ids: Sequence[int]) -> float:
    """The standard deviation of all entries of these tokens' embeddings, [token, d_model] at once.

    Each token is read alone, as the first one. A few thousand at a time.
    """
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(ids), TOKENS_AT_ONCE):
        entries = embeddings(model, ids[start : start + TOKENS_AT_ONCE]).astype(np.float64)
        count += entries.size
        total += entries.sum()
        squares += np.square(entries).sum()
    return float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0)))


def embeddings(model: InterpretableModel, ids: Sequence[int]) -> np.ndarray:
    """What enters the first block for each token alone: [token, d_model], float32."""
    rows = mx.array(list(ids))[:, None]
    embed = model.anatomy.embed
    if embed is not None:
        return as_numpy(embed(rows)[:, 0])
    site = Site("embed")
    return as_numpy(forward(model.net, model.anatomy, rows, [site]).sites[site][:, 0])


def standard_noise(seed: int, samples: int, tokens: int, width: int) -> np.ndarray:
    """[sample, token, d_model], float32, of variance 1: the same for the same seed and sizes."""
    draws = np.random.default_rng(seed).standard_normal((samples, tokens, width))
    return draws.astype(np.float32)


def read_noise(path: str, tokens: int, width: int, samples: int | None) -> np.ndarray:
    """The file's noise [sample, token, d_model]. samples: how many were asked for, if any."""
    noise = _array(Path(os.path.expanduser(path)))
    if noise.ndim != 3 or noise.shape[1:] != (tokens, width) or not len(noise):
        raise BadInput(
            f"the noise of {path} is {list(noise.shape)}; for this subject and model it has to be "
            f"[samples, {tokens}, {width}]: samples, tokens of the subject, width of the model"
        )
    if samples is not None and samples != len(noise):
        raise BadInput(
            f"samples is {samples} and {path} holds noise of {len(noise)}; leave samples out"
        )
    if noise.dtype.kind not in "biuf":
        raise BadInput(f"the noise of {path} is {noise.dtype}; it has to be real numbers")
    with np.errstate(over="ignore"):
        noise = noise.astype(np.float32)
    if not np.isfinite(noise).all():
        raise BadInput(
            f"the noise of {path} holds values that are not finite in float32; write it again"
        )
    return noise


def _array(path: Path) -> np.ndarray:
    try:
        arrays = np.load(path, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("a single array")
        with arrays:
            if "noise" not in arrays:
                raise BadInput(
                    f"{path} holds {', '.join(arrays) or 'nothing'}; an array 'noise' is needed"
                )
            return np.asarray(arrays["noise"])
    except BadInput:
        raise
    except UNREADABLE as error:
        raise BadInput(
            f"{path} is no .npz file ({error}); write one with numpy.savez(path, noise=noise)"
        ) from None
