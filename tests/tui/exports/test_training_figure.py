"""A training as text for a report: curves, and each layer in numbers."""

from __future__ import annotations

from mlxterp_tui.exports.figure import figure

import msgspec
import scripted_training as script


def test_the_figure_has_the_depth_the_steps_and_every_layer(recording):
    text = figure(script.result(recording.card))
    assert "held-out text · KL(final ‖ lens), nats · log" in text
    assert "training text · KL(final ‖ lens), nats · log" in text
    assert "lens   2 logit lens   3 unigram" in text
    # After 40 steps a sixteenth of the way is left: 2.5 + 15.5 / 16 + 0.25 nats of 18.
    row = next(line for line in text.splitlines() if line.split()[:2] == ["1", "18"])
    assert row.split() == ["1", "18", "5.75", "3.538", "3.719", "20.7%"]


def test_a_warning_stands_under_the_numbers(recording):
    """Layer 4 is no better than at its beginning, while its training loss fell."""
    assert "over-fitting at layer 4" in figure(script.result(recording.card))


def test_a_lens_in_closed_form_has_no_curves_over_steps(recording):
    made = script.result(recording.card)
    gone = ("eval_step", "eval_kl")
    arrays = {name: values for name, values in made.arrays.items() if name not in gone}
    arrays["train_loss"] = script.table([[187_439.0] * 6])  # squares, not nats
    arrays["kl_ridge_lens"] = arrays.pop("kl_tuned_lens")
    text = figure(msgspec.structs.replace(made, arrays=arrays))
    assert "training" not in text  # nor a column of training losses
    assert "187" not in text


def test_no_line_ends_in_spaces_and_none_is_wider_than_a_page(recording):
    for line in figure(script.result(recording.card)).splitlines():
        assert line == line.rstrip()
        assert len(line) <= 100
