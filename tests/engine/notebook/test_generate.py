"""Writing on in Python. What tokens come is tested with `tracing.generation`."""

from mlxterp_engine import Sampling
from mlxterp_engine import interventions as iv
from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import pytest

PROMPT = "The capital of France is"


def test_the_default_model_goes_on_with_paris(smol):
    made = smol.generate(PROMPT, max_tokens=4)
    assert made.text.startswith(" Paris")
    assert made.text == smol.decode(made.token_ids)
    assert len(made.token_ids) == len(made.logprobs) == 4
    assert not made.stopped


def test_greedy_tokens_are_those_of_one_trace_each(tiny):
    made = tiny.generate("Alice was", max_tokens=3)
    ids = tiny.encode("Alice was")
    for token in made.token_ids:
        with tiny.trace(ids) as trace:
            assert token == mx.argmax(trace.logits[0, -1]).item()
        ids.append(token)


def test_pieces_add_up_to_the_whole_and_a_closed_stream_stops(tiny):
    whole = tiny.generate("Alice was", max_tokens=8)
    stream = tiny.stream("Alice was", max_tokens=8)
    assert "".join(piece.text for piece in stream) == whole.text
    stream = tiny.stream("Alice was", max_tokens=8)
    assert next(stream).token_id == whole.token_ids[0]
    stream.close()
    with tiny.trace("Alice was") as trace:  # nothing of it is left open
        mx.eval(trace.logits)


def test_a_seed_gives_its_draw_again(tiny):
    drawn = [
        tiny.generate("Alice was", 12, sampling=Sampling(temperature=1.5, seed=seed)).token_ids
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_interventions_steer_and_of_no_strength_leave_all_as_it_is(tiny):
    vector = mx.ones(128)
    plain = tiny.generate("Alice was", 6)
    path = "model.model.layers.1"  # a module's path that is a site
    assert tiny.generate("Alice was", 6, interventions={path: iv.add_vector(vector * 0)}) == plain
    strong = {path: iv.at_positions("new", iv.add_vector(vector * 9))}
    steered = tiny.generate("Alice was", 6, interventions=strong)
    assert steered.token_ids[0] == plain.token_ids[0]  # the prompt was read as it is
    assert steered.token_ids != plain.token_ids


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 0}, "give both > 0"),
        ({"max_tokens": 127}, "are more than the 128"),
        ({"interventions": {"model.layers.1.mlp.up_proj": iv.zero_out}}, "module without a site"),
        ({"interventions": {"blocks.1.mlp_uot": iv.zero_out}}, "closest"),
        ({"sampling": Sampling(temperature=-1)}, "temperature is -1"),
    ],
)
def test_what_can_not_be_generated_is_refused(tiny, options, words):
    with pytest.raises(BadInput, match=words):
        tiny.generate("Alice was", **options)
    with pytest.raises(BadInput, match="got 2"):
        tiny.generate(["Alice was", "Alice had"])
