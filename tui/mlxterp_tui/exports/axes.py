"""What the axes of each experiment's arrays are called."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from mlxterp_engine.experiments import Array, Result

Axes = tuple[str, ...]

UNNAMED = "axis"

_CELL: Axes = ("layer", "position")
_BEST: Axes = ("layer", "position", "rank")
_STATE: Axes = ("position", "d_model")
_HEADS: Axes = ("head", "position", "d_head")

_LENS: Mapping[str, Axes] = {
    "token_ids": ("position",),
    "layer": ("layer",),
    "top_*": _BEST,
    "*": _CELL,
}

_TRAINING: Mapping[str, Axes] = {
    "train_loss": ("step", "layer"),
    "eval_step": ("evaluation",),
    "eval_kl": ("evaluation", "layer"),
    "*": ("layer",),
}

_PATCHING: Mapping[str, Axes] = {
    "*_ids": ("position",),
    "z_pos_layers": ("z_layer",),
    "*_metric_pairs": ("pair",),
    "exact_*_pairs": ("pair", "exact"),
    "exact_*": ("exact",),
    "effect_pairs": ("pair", "layer", "head"),
    "effect_sd": ("layer", "head"),
    "z_pos_pairs": ("pair", "z_layer", "position", "head"),
    "z_pos_sd": ("z_layer", "position", "head"),
    "[zq]_pairs": ("pair", "layer", "head"),
    "pattern_pairs": ("pair", "layer", "head"),
    "[kv]_pairs": ("pair", "layer", "kv_head"),
    "*_pairs": ("pair", *_CELL),
    "[zq]_sd": ("layer", "head"),
    "pattern_sd": ("layer", "head"),
    "[kv]_sd": ("layer", "kv_head"),
    "*_sd": _CELL,
    "z_pos": ("z_layer", "position", "head"),
    "neurons": ("neuron",),
    "neurons_at": ("index",),
    "[zq]": ("layer", "head"),
    "pattern": ("layer", "head"),
    "[kv]": ("layer", "kv_head"),
    "effect": ("layer", "head"),
    "resid_pre": _CELL,
    "attn_out": _CELL,
    "mlp_out": _CELL,
}

_BUCKETS: Axes = ("layer", "bucket")

_TRACING: Mapping[str, Axes] = {
    "token_ids": ("position",),
    "subject_span": ("bound",),
    "windows": ("layer", "bound"),
    "noise_level": ("level",),
    "*_by_level": ("level",),
    "p_corrupt_samples": ("sample",),
    "*_samples": ("sample", *_CELL),
    "fact_subject_span": ("fact", "bound"),
    "p_corrupt_by_level_facts": ("fact", "level"),
    "bucket_tokens": ("fact", "bucket"),
    "*_argmax_place": ("fact", "place"),
    "*_argmax_count": _BUCKETS,
    "*_argmax": ("fact", "bucket"),
    "*_effect_facts": ("fact", *_BUCKETS),
    "p_*_facts": ("fact",),
    "fact_*": ("fact",),
    "total_effect*": (),
    "*_effect*": _BUCKETS,
    "hidden": _CELL,
    "hidden_severed": _CELL,
    "mlp": _CELL,
    "attn": _CELL,
}

# Globs over the arrays' names; the first that matches counts.
AXES: Mapping[str, Mapping[str, Axes]] = {
    "logit-lens": _LENS,
    "tuned-lens": _LENS,
    "train-tuned-lens": _TRAINING,
    "train-ridge-lens": _TRAINING,
    "trace": {
        "token_ids": ("position",),
        "*.attn.pattern": ("head", "destination", "source"),
        "*.attn.[qz]": _HEADS,
        "*.attn.[kv]": ("kv_head", "position", "d_head"),
        "*.mlp.post": ("position", "neuron"),
        "logits": ("position", "vocabulary"),
        "*": _STATE,
    },
    "attention": {
        "token_ids": ("position",),
        "layers": ("layer",),
        "pattern": ("layer", "head", "destination", "source"),
    },
    "patchscope": {
        "top_*": ("rank",),
        "*": ("index",),
    },
    "activation-patching": _PATCHING,
    "attribution-patching": _PATCHING,
    "path-patching": _PATCHING,
    "causal-tracing": _TRACING,
    "substitutes": {
        "token_ids": ("substitute", "index"),
        "*": ("substitute",),
    },
    "generate": {
        "prompt_ids": ("prompt_position",),
        "*": ("index",),
    },
}

# Arrays that say what the steps along an axis are.
COORDINATES = {
    "layer": ("layer", "layers"),
    "z_layer": ("z_pos_layers",),
    "level": ("noise_level",),
}


# Axes along which the prompt's tokens stand, and what their column is called.
TOKENS = {
    "position": "token",
    "prompt_position": "prompt_token",
    "destination": "destination_token",
    "source": "source_token",
}


def axes_of(experiment: str, name: str, array: Array) -> Axes:
    """A name for each axis; `axis0`, `axis1`… where the table has none that fits."""
    for pattern, axes in AXES.get(experiment, {}).items():
        if fnmatchcase(name, pattern):
            return axes if len(axes) == len(array.shape) else _unnamed(array)
    return _unnamed(array)


def coordinates(result: Result) -> dict[str, Array]:
    """The arrays that label an axis, by the axis."""
    return {
        axis: result.arrays[name]
        for axis, names in COORDINATES.items()
        for name in names
        if name in result.arrays and len(result.arrays[name].shape) == 1
    }


def _unnamed(array: Array) -> Axes:
    return tuple(f"{UNNAMED}{number}" for number in range(len(array.shape)))
