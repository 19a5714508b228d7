"""Models that are in memory already, with a tokenizer of any kind or with none."""

from mlxterp_engine import InterpretableModel, LogitLens, run
from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.notebook.given_module import parameters_sha256
from mlxterp_engine.tracing.proofs import relative_error

import mlx.core as mx
import mlx.nn as nn
import pytest
from tokenizers import Tokenizer

TEXT = "Alice was beginning"


@pytest.fixture(scope="module")
def loaded(glass_folder):
    """As a notebook has it: `mlx_lm.load(folder)`."""
    from mlx_lm import load

    return load(str(glass_folder))


@pytest.fixture(scope="module")
def given(loaded):
    return InterpretableModel(*loaded)


def test_a_module_is_traced_as_it_is_in_its_own_precision(given, loaded, tiny):
    with given.trace(TEXT) as ours, tiny.trace(TEXT) as theirs:
        assert ours.ids == theirs.ids
        assert mx.array_equal(ours.logits, loaded[0](mx.array(ours.ids)))
        # The folder holds float16, which opening by its name makes float32 on a CPU.
        assert relative_error(ours.logits, theirs.logits) < 5e-3
    assert given.card.dtype == "float16"
    assert given.sites.all() == tiny.sites.all()


def test_the_card_says_where_it_is_from_and_hashes_the_parameters(given, tiny, loaded):
    card = given.card
    assert (card.reference, card.provenance) == ("given-llama", "given as a module")
    assert (card.layers, card.d_model, card.context) == (4, 128, 128)
    assert card.sha256 == parameters_sha256(loaded[0]) == tiny.card.sha256  # the folder's rule
    assert all(contract.ok for contract in card.contracts.values())


def test_another_parameter_is_another_hash():
    one, other = nn.Linear(4, 4), nn.Linear(4, 4)
    other.update(one.parameters())
    assert parameters_sha256(one) == parameters_sha256(other)
    other.bias = other.bias + 1
    assert parameters_sha256(one) != parameters_sha256(other)
    one.set_dtype(mx.bfloat16)
    assert parameters_sha256(one) != parameters_sha256(other)


def test_experiments_run_on_it(given):
    assert run(LogitLens(prompt=TEXT), given).meta.contracts["lens_last_row"].ok


def test_the_tokenizer_stays_the_users_own(given, loaded):
    assert given.tokenizer is loaded[1]
    assert given.tokenizer.encode(TEXT) == given.encode(TEXT)


def test_tokenizers_of_each_kind_read_alike(loaded, glass_folder):
    wrapper = loaded[1]
    plain = Tokenizer.from_file(str(glass_folder / "tokenizer.json"))
    plain.enable_truncation(2)
    models = [InterpretableModel(loaded[0], t) for t in (wrapper, wrapper._tokenizer, plain)]
    assert len({tuple(model.encode(TEXT)) for model in models}) == 1
    assert plain.truncation is not None  # ours reads a copy: the user's is not changed


def test_without_a_tokenizer_ids_do_and_text_is_refused(loaded):
    model = InterpretableModel(loaded[0])
    with model.trace([1, 2, 3]) as trace:
        assert trace.logits.shape == (1, 3, 1024)
    assert model.logit_lens([1, 2, 3], layers=[3])[3][0][0][2].startswith("⟨id ")
    for attempt in (model.trace, model.encode, model.logit_lens):
        with pytest.raises(BadInput, match="given without its tokenizer"):
            attempt("text")
    assert model.decode([1, 2]) == "⟨id 1⟩⟨id 2⟩"
    made = model.generate([1, 2, 3], max_tokens=2)
    assert made.text == model.decode(made.token_ids)


def test_what_is_no_tokenizer_no_language_model_or_to_be_converted_is_refused(loaded):
    with pytest.raises(BadInput, match="str can't be read as a tokenizer"):
        InterpretableModel(loaded[0], "gpt2")
    with pytest.raises(BadInput, match="Linear has no `layers`"):
        InterpretableModel(nn.Linear(2, 2))
    with pytest.raises(BadInput, match="call set_dtype on it first"):
        InterpretableModel(*loaded, dtype="bfloat16")


def test_a_quantised_module_stays_quantised():
    from mlx_lm.models import llama

    mx.random.seed(0)
    net = llama.Model(
        llama.ModelArgs(
            model_type="llama",
            hidden_size=64,
            num_hidden_layers=2,
            intermediate_size=128,
            num_attention_heads=4,
            rms_norm_eps=1e-5,
            vocab_size=128,
            tie_word_embeddings=False,
        )
    )
    nn.quantize(net, group_size=32, bits=4)
    model = InterpretableModel(net)
    assert model.card.quantisation == "4-bit"
    assert isinstance(net.lm_head, nn.QuantizedLinear)
    with model.trace([3, 1, 4]) as trace:
        assert mx.array_equal(trace.logits, net(mx.array([[3, 1, 4]])))
        assert trace.activations["lm_head"].shape == (1, 3, 128)
        assert mx.array_equal(trace.activations["model.lm_head"], trace.logits)
