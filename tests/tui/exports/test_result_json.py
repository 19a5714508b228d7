"""Results as JSON and JSONL."""

import json

from mlxterp_tui.exports.result_json import result_json, runs_jsonl
from mlxterp_tui.logbook import Stored

import made
import msgspec


def test_an_object_holds_meta_arrays_and_the_strings_beside_ids():
    found = json.loads(result_json(made.tiny_lens()))
    assert found["meta"]["experiment"]["prompt"] == "ab"
    assert found["top_ids"][0] == [[0, 1], [1, 0]]
    assert found["top_tokens"][0] == [["x", "y"], ["y", "x"]]
    assert found["entropy"][0][1] is None  # NaN


def test_a_line_a_run_with_what_was_expected_of_it():
    done = made.stored(made.tiny_lens(), id=2, hypothesis="line\nbreak")
    failed = Stored(msgspec.structs.replace(done.record, id=1, state="failed", reason="no"))
    lines = [json.loads(line) for line in runs_jsonl([done, failed]).splitlines()]
    assert [line["run"]["id"] for line in lines] == [2, 1]
    assert lines[0]["run"]["hypothesis"] == "line\nbreak"
    assert lines[0]["kl"][0] == [2.0, 3.0]
    assert lines[1]["run"]["reason"] == "no"
    assert "meta" not in lines[1]
