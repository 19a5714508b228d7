"""A result drawn as text: one drawing an experiment, a table of its arrays for the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlxterp_engine.experiments import Array, Result
from mlxterp_engine.experiments.array import FORMATS
from mlxterp_tui.exports.columns import columns
from mlxterp_tui.exports.escaping import lines, quoted
from mlxterp_tui.exports.lens_figure import CELL, lens_figure
from mlxterp_tui.exports.patching_figure import patching_figure
from mlxterp_tui.exports.training_figure import training_figure
from mlxterp_tui.widgets.token_text import fit, legible

from rich.cells import cell_len

SMALL = 12  # values of an array that are printed rather than summed up
MOST_TOKENS = 60


def figure(result: Result) -> str:
    """Lines of text that read in any terminal; no trailing spaces, no times."""
    return FIGURES.get(result.meta.experiment["name"], arrays_figure)(result)


def arrays_figure(result: Result) -> str:
    """Each array with its shape; its values where they are few, else their range."""
    rows = [["array", "shape", "least", "mean", "most", "NaN"]]
    rows += [[name, *_summary(array)] for name, array in result.arrays.items()]
    small = [
        f"{name} = {' '.join(map(_number, _flat(array)))}"
        for name, array in result.arrays.items()
        if 0 < len(_flat(array)) <= SMALL
    ]
    return "\n".join([columns(rows, right=range(2, 6)), *([""] if small else []), *small])


def generated_figure(result: Result) -> str:
    """The text, then its tokens with how likely each was."""
    ids = result.arrays["token_ids"].tolist()
    logprobs = result.arrays["logprobs"].tolist()
    tokens = result.strings.get("tokens", [""] * len(ids))
    rows = [["token", "id", "log p"]]
    rows += [
        [quoted(token), str(number), f"{logprob:.3f}"]
        for token, number, logprob in zip(tokens, ids, logprobs, strict=True)
    ][:MOST_TOKENS]
    more = [f"and {len(ids) - MOST_TOKENS} more"] if len(ids) > MOST_TOKENS else []
    text = lines("".join(result.meta.tokens[0]) + (result.meta.text or ""))
    return "\n".join([*text, "", columns(rows, right=(1, 2)), *more])


def patchscope_figure(result: Result) -> str:
    """From where to where, what the model wrote, and its first token's probabilities."""
    asked, tokens = result.meta.experiment, result.meta.tokens
    layer = "the same block" if asked["target_layer"] is None else f"block {asked['target_layer']}"
    source = f"{asked['site']} of {quoted(tokens[0][asked['position']])}"
    target = quoted(tokens[1][asked["target_position"]])
    rows = [["first token", "id", "p"]]
    rows += [
        [quoted(word), str(number), f"{p:.3f}"]
        for word, number, p in zip(
            result.strings["top_tokens"],
            result.arrays["top_ids"].tolist(),
            result.arrays["top_probs"].tolist(),
            strict=True,
        )
    ]
    said = [f"{source}, written over {target} at {layer} of:", *lines("".join(tokens[1]))]
    said += ["", "and the model goes on:", *lines(result.meta.text or "")]
    return "\n".join([*said, "", columns(rows, right=(1, 2))])


def attention_figure(result: Result) -> str:
    """What each head reads most from the last token, the first token left out: it is the sink."""
    tokens = result.meta.tokens[0]
    pattern = result.arrays["pattern"].tolist()
    sources = range(1, len(tokens)) if len(tokens) > 1 else range(1)
    rows = [["block", *(f"head {head}" for head in range(len(pattern[0])))]]
    for layer, heads in zip(result.arrays["layers"].tolist(), pattern, strict=True):
        read = [max((head[-1][source], source) for source in sources) for head in heads]
        rows.append([str(layer), *(f"{weight:.2f} {_token(tokens[at])}" for weight, at in read)])
    asker = f"{_token(tokens[-1])} (position {len(tokens) - 1})"
    heading = f"what {asker} reads most, {_token(tokens[0])} left out:"
    return f"{heading}\n{columns(rows, right=(0,))}"


FIGURES: Mapping[str, Callable[[Result], str]] = {
    "logit-lens": lens_figure,
    "tuned-lens": lens_figure,
    "train-ridge-lens": training_figure,
    "train-tuned-lens": training_figure,
    "attention": attention_figure,
    "activation-patching": patching_figure,
    "attribution-patching": patching_figure,
    "path-patching": patching_figure,
    "causal-tracing": patching_figure,
    "generate": generated_figure,
    "patchscope": patchscope_figure,
}


def _token(token: str) -> str:
    return fit(legible(token), min(CELL, cell_len(legible(token))))


def _summary(array: Array) -> list[str]:
    values = _flat(array)
    numbers = [value for value in values if not math.isnan(value)]
    shape = "×".join(map(str, array.shape)) or "one number"
    missing = str(len(values) - len(numbers) or "")
    if not numbers:
        return [shape, "", "", "", missing]
    mean = math.fsum(numbers) / len(numbers)
    return [shape, _number(min(numbers)), _number(mean), _number(max(numbers)), missing]


def _flat(array: Array) -> Sequence[Any]:
    return array.data.cast("B").cast(FORMATS[array.dtype])


def _number(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
