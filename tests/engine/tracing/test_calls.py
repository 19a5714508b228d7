"""Hooks by class, dispatched by instance: seen while open, gone afterwards."""

import threading

from mlxterp_engine.experiments.errors import RunFailed
from mlxterp_engine.models.calls import calls_through

import mlx.core as mx
import mlx.nn as nn
import pytest


def plus_one(original, args, kwargs):
    return original(*args, **kwargs) + 1


def test_only_the_named_instance_is_changed():
    hooked, other = nn.Identity(), nn.Identity()
    x = mx.array([1.0])
    with calls_through([(hooked, plus_one)]):
        assert hooked(x).item() == 2
        assert other(x).item() == 1
    assert hooked(x).item() == 1


def test_classes_are_put_back_after_an_error():
    before = nn.Identity.__call__, mx.fast.scaled_dot_product_attention
    with pytest.raises(ZeroDivisionError), calls_through([(nn.Identity(), plus_one)], plus_one):
        raise ZeroDivisionError
    assert (nn.Identity.__call__, mx.fast.scaled_dot_product_attention) == before


def test_nested_hooks_both_apply_and_unwind():
    module, x = nn.Identity(), mx.array([1.0])
    with calls_through([(module, plus_one)]):
        with calls_through([(module, plus_one)]):
            assert module(x).item() == 3
        assert module(x).item() == 2
    assert module(x).item() == 1


def test_a_module_named_twice_goes_through_both_the_later_outside():
    def doubled(original, args, kwargs):
        return original(*args, **kwargs) * 2

    module, x = nn.Identity(), mx.array([1.0])
    with calls_through([(module, plus_one), (module, doubled)]):
        assert module(x).item() == 4
    assert module(x).item() == 1


def test_a_softmax_that_a_model_writes_out_is_seen_where_it_is_looked_up():
    with calls_through([], softmax=lambda original, args, kwargs: original(*args, **kwargs) + 1):
        assert mx.softmax(mx.array([0.0])).item() == 2
    assert mx.softmax(mx.array([0.0])).item() == 1


def test_an_inherited_call_is_hooked_where_it_is_defined():
    class Special(nn.Identity):
        pass

    special = Special()
    with calls_through([(special, plus_one)]):
        assert special(mx.array([1.0])).item() == 2
        assert "__call__" not in Special.__dict__
        assert type(special) is Special


def test_a_second_thread_is_refused_in_words():
    raised = []

    def enter():
        try:
            with calls_through([]):
                pass
        except RunFailed as error:
            raised.append(str(error))

    with calls_through([]):
        other = threading.Thread(target=enter)
        other.start()
        other.join()
    assert "another thread" in raised[0]
