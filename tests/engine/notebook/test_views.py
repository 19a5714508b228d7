"""`model.output` and `model.layers[3].mlp.output`: what they speak of, and when."""

from mlxterp_engine import InterpretableModel
from mlxterp_engine import interventions as iv
from mlxterp_engine.experiments.errors import BadInput

import mlx.core as mx
import mlx.nn as nn
import pytest

TEXT = "Alice was"


def test_saved_outputs_outlive_the_trace_and_carry_its_edits(tiny):
    with tiny.trace(TEXT, {"blocks.1.mlp_out": iv.zero_out}) as trace:
        logits = tiny.output.save()
        mlp = tiny.layers[1].mlp.output.save()
        q = tiny.layers[0].self_attn.q_proj.output.save()
    assert mx.array_equal(logits, trace.logits)
    assert mx.array_equal(logits, trace.output)
    assert mx.abs(mlp).max().item() == 0
    assert mx.array_equal(q, trace.activations["model.model.layers.0.self_attn.q_proj"])


def test_outside_a_trace_there_is_no_output(tiny):
    with pytest.raises(BadInput, match="no trace is open"):
        tiny.output.save()
    with tiny.trace(TEXT):
        pass
    with pytest.raises(BadInput, match="no trace is open"):
        tiny.layers[0].output.save()


def test_of_nested_traces_the_innermost_speaks(tiny):
    with tiny.trace(TEXT) as outer:
        with tiny.trace("tired") as inner:
            assert tiny.output.save() is inner.logits
        assert tiny.output.save() is outer.logits


def test_an_error_in_the_body_closes_the_trace(tiny):
    with pytest.raises(ZeroDivisionError), tiny.trace(TEXT):
        raise ZeroDivisionError
    with pytest.raises(BadInput, match="no trace is open"):
        tiny.output.save()


def test_a_trace_without_with_has_run_too(tiny):
    trace = tiny.trace(TEXT)
    assert mx.array_equal(trace.logits, tiny.net(mx.array(trace.ids)))


def test_layers_count_and_reach_the_modules_beneath(tiny):
    assert len(tiny.layers) == 4
    assert [layer.module for layer in tiny.layers] == list(tiny.net.layers)
    weight = tiny.layers[2].self_attn.o_proj.weight
    assert weight is tiny.model.model.layers[2].self_attn.o_proj.weight
    assert isinstance(tiny.model, nn.Module)
    x = mx.ones((1, 2, 128))
    assert mx.array_equal(tiny.layers[-1].mlp(x), tiny.net.layers[-1].mlp(x))
    assert not hasattr(tiny.layers[0], "no_such_part")


@pytest.mark.parametrize("name", ["output", "mlp", "scale"])
def test_nothing_is_set_through_a_view_in_silence(tiny, name):
    with pytest.raises(AttributeError, match="interventions="):
        setattr(tiny.layers[0], name, 1)


def test_methods_of_techniques_to_come_say_so_and_are_absent(tiny):
    with pytest.raises(AttributeError, match="train_sae comes with sparse autoencoders"):
        tiny.train_sae(layer=1)
    assert not hasattr(tiny, "train_sae")
    with pytest.raises(AttributeError, match="no attribute 'loggit_lens'"):
        tiny.loggit_lens("x")


def test_names_of_tokens(tiny):
    ids = tiny.encode("Alice was")
    assert tiny.decode(ids) == tiny.decode(mx.array(ids)) == "Alice was"
    assert [tiny.token_to_str(i) for i in ids] == tiny.to_str_tokens("Alice was")
    assert tiny.to_str_tokens(mx.array(ids)) == tiny.to_str_tokens("Alice was")
    assert tiny.vocab_size == 1024 == tiny.net(mx.array([ids])).shape[-1]
    with pytest.raises(BadInput, match="several rows"):
        tiny.decode([ids, ids])


def test_a_folder_and_a_tokenizer_of_ones_own(glass_folder):
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(glass_folder / "tokenizer.json"))
    own.add_special_tokens(["<alice>"])
    model = InterpretableModel(glass_folder, tokenizer=own)
    assert model.tokenizer is own
    assert model.tokens.single("<alice>") == own.token_to_id("<alice>")
    with pytest.raises(BadInput, match="can't be read as a tokenizer"):
        InterpretableModel(glass_folder, tokenizer=7)
