"""What is asked when a run is run again."""

from mlxterp_engine.experiments import BadInput, RunFailed, TrainTunedLens
from mlxterp_engine.runlog.log import RunLog
from mlxterp_engine.runlog.replay import check_same_model, request_of

import msgspec
import pytest
from logged import request
from stand_in import CARD


def kept(log: RunLog, asked=None, **card):
    model = msgspec.structs.replace(CARD, **card)
    return log.record(log.begin(asked or request(), model=model))


def test_the_request_comes_back_on_the_device_that_it_ran_on(log):
    asked = request(top_k=3, seed=9, bos="on", dtype="float32")
    again = request_of(kept(log, asked, device="cpu (OpenBLAS 0.3.31, up to 2 threads)"))
    assert again == msgspec.structs.replace(asked, device="cpu")


def test_a_dtype_of_auto_stays_so(log):
    """On a GPU it means the model's own quantisation, which no other word names."""
    assert request_of(kept(log, device="gpu (Metal)", dtype="bfloat16")).dtype == "auto"


def test_a_run_whose_model_never_opened_is_asked_as_it_was(log):
    record = log.record(log.begin(request()))
    assert request_of(record) == request()
    check_same_model(record, CARD)


def test_a_training_begins_again_and_does_not_write_over_the_lens_that_it_made(log):
    asked = TrainTunedLens(steps=9, out_dir="/lenses/mine", resume=True)
    assert request_of(kept(log, asked)) == TrainTunedLens(steps=9, device="cpu")


def test_a_model_that_only_python_had_can_not_be_opened_from_here(log):
    with pytest.raises(BadInput, match=r"made in Python .* run it again where that model is"):
        request_of(kept(log, provenance="given as a module"))


def test_what_is_no_experiment_here_is_named(log):
    """A card, or an experiment of a later version."""
    record = kept(log)
    later = msgspec.structs.replace(record, request={"name": "dream", "prompt": "x"})
    with pytest.raises(
        BadInput, match="was of 'dream', which is no experiment that can be replayed"
    ):
        request_of(later)


def test_other_weights_are_named_beside_those_that_were(log):
    record = kept(log, sha256="a" * 64)
    check_same_model(record, msgspec.structs.replace(CARD, sha256="a" * 64))
    with pytest.raises(RunFailed, match=r"weights aaaaaaaaaaaa….*has 000000000000….*--any-model"):
        check_same_model(record, CARD)
