"""The tutorials' plan is the specification: its blocks run as they stand in it.

`plan/` holds them word for word. What a test changes (import line, model, sizes) is listed in
it, and has to be in the block. The causal tracing and SAE blocks come with those techniques: see
engine/API.md.
"""

import re
from pathlib import Path
from typing import Any

from mlxterp_engine import interventions as iv

import mlx.core as mx
import numpy as np
import pytest

PLAN = Path(__file__).parent / "plan"
API = Path(__file__).parents[3] / "engine" / "API.md"
OURS = {
    "from mlxterp import": "from mlxterp_engine import",
    '"mlx-community/Llama-3.2-1B-Instruct"': '"smollm2-135m"',
}


@pytest.fixture(autouse=True)
def opened_once(smol, monkeypatch):
    """The blocks open the default model; here they get the one that is open."""
    import mlxterp_engine.interpretable

    def opened(reference):
        assert reference == "smollm2-135m"
        return smol

    monkeypatch.setattr(mlxterp_engine.interpretable, "InterpretableModel", opened)


def run_block(name: str, changes: dict[str, str]) -> dict[str, Any]:
    """Execute a block of the plan with these changes; returns its variables."""
    code = (PLAN / f"{name}.txt").read_text(encoding="utf-8")
    for before, after in (OURS | changes).items():
        assert before in code, f"the plan's block has no {before!r}"
        code = code.replace(before, after)
    variables: dict[str, Any] = {}
    exec(compile(code, f"{name}.txt", "exec"), variables)
    return variables


def test_the_logit_lens_block_ends_at_paris(capsys):
    ran = run_block("logit_lens", {"[0, 4, 8, 12, 15]": "[0, 8, 16, 24, 29]"})
    results, printed = ran["results"], capsys.readouterr().out
    assert list(results) == [0, 8, 16, 24, 29]
    assert [len(row) for row in results.values()] == [5] * 5
    assert results[29][-1][0][2] == " Paris"
    assert results[0][-1][0][2] != " Paris"
    assert "Layer 29: ' Paris'" in printed
    assert "logit lens" in printed  # plot=True drew a table, and results are what they were


def test_the_steering_block_moves_the_prediction_and_no_strength_moves_nothing(smol, capsys):
    ran = run_block("steering", {})
    normal, steered = ran["normal_output"], ran["steered_output"]
    assert mx.abs(normal - steered)[0, -1].max().item() > 0.5
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"Normal: {smol.get_token_predictions(normal[0, -1], top_k=5)}",
        f"Steered: {smol.get_token_predictions(steered[0, -1], top_k=5)}",
    ]
    nothing = {"model.model.layers.10": iv.add_vector(ran["steering_vector"] * 0.0)}
    with smol.trace(ran["test_prompt"], interventions=nothing):
        unsteered = smol.output.save()
    assert mx.array_equal(unsteered, normal)


def test_the_steering_block_adds_its_vector_to_the_residual_stream(smol):
    ran = run_block("steering", {})
    site, vector = "blocks.10.resid_post", ran["steering_vector"] * 2.0
    edits = {site: iv.add_vector(vector)}
    with smol.trace("This movie is") as clean, smol.trace("This movie is", edits) as steered:
        assert mx.array_equal(steered.activations[site], clean.activations[site] + vector)
        assert mx.array_equal(steered.logits, ran["steered_output"])


def test_the_induction_block_ablates_attention_and_changes_predictions(smol, capsys):
    """The block forgets to import `interventions`; with it, it runs."""
    imports = {"import InterpretableModel\n": "import InterpretableModel, interventions as iv\n"}
    ran = run_block("induction_heads", imports)
    lines = capsys.readouterr().out.splitlines()
    count = len(ran["tokens"])
    assert lines[0] == f"Tokens: {smol.to_str_tokens('The cat sat on the mat. The cat')}"
    assert lines[1:31] == [f"Layer {n} attention shape: (1, {count}, 576)" for n in range(30)]
    with smol.trace(ran["test_prompt"]) as clean:
        intact = smol.get_token_predictions(clean.logits[0, -1], top_k=3)
    changed = [line for line in lines[31:] if not line.endswith(str(words(smol, intact)))]
    assert [line.split(":")[0] for line in lines[31:]] == [f"Layer {n} ablated" for n in (4, 5, 6)]
    assert any(line.startswith("Layer 5") for line in changed)
    assert mx.abs(ran["ablated_output"] - clean.logits).max().item() > 0.1


TUNED_LENS = {
    "import mlx.nn as nn": "import mlx.nn as nn\nimport mlx.optimizers as optim",
    "nn.optimizers.SGD": "optim.SGD",
    """model.get_token_predictions(
                h_normed[0, -1, :],
                top_k=model.vocab_size,
                return_scores=True
            )""": "model.project(h_normed[0, -1, :])",
    "predictions(h_normed, ": "predictions(model.project(h_normed), ",
    "tuned_lens = train_tuned_lens(": "lens = train_tuned_lens(",
    "tuned_lens(model, tuned_lens, text, layers": "tuned_lens(model, lens, text, layers",
    '["Sample text 1...", "Sample text 2...", ...]': '["The capital of Spain is Madrid"]',
    "num_steps=250)": "num_steps=1)",
}


def test_the_tuned_lens_block_trains_its_own_lens_and_shows_it_beside_the_raw_one(smol, capsys):
    """The changes are the faults that engine/API.md lists; and one step instead of 250."""
    ran = run_block("tuned_lens", TUNED_LENS)
    lines = capsys.readouterr().out.splitlines()
    raw = smol.logit_lens("The capital of France is", layers=[0, 5, 10, 15])
    assert ran["raw_results"] == raw
    weight = ran["lens"].translators[5].weight
    assert mx.abs(weight - mx.eye(576)).max().item() > 0
    assert lines[0].startswith("Step 0: loss = ")
    assert [line.split("|")[0].split() for line in lines[-4:]] == [["0"], ["5"], ["10"], ["15"]]
    for line, layer in zip(lines[-4:], (0, 5, 10, 15), strict=True):
        assert line.split("|")[1].strip() == raw[layer][-1][0][2].strip()


def test_the_mended_induction_block_finds_the_block_that_is_needed(smol):
    """As engine/API.md has it. Block 18 holds the best induction head (18.6); block 4 none."""
    (mended,) = [code for code in python_blocks(API) if "second_half_loss" in code]
    ran: dict[str, Any] = {}
    exec(compile(mended, "API.md", "exec"), ran)
    assert np.unravel_index(ran["induction"].argmax(), (30, 9)) == (18, 6)
    ablated = {
        block: ran["second_half_loss"]({f"model.layers.{block}.self_attn": iv.zero_out})
        for block in (4, 18)
    }
    intact = ran["second_half_loss"]()
    assert ablated[18] - intact > 1
    assert abs(ablated[4] - intact) < 0.5


def python_blocks(file: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)


def words(model, ids):
    return [model.token_to_str(i) for i in ids]
