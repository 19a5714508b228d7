"""The table of commands: whole, without clashes, and open to the user."""

from __future__ import annotations

from collections import Counter

from mlxterp_engine.experiments import BadInput
from mlxterp_tui.command_line import completions, parse
from mlxterp_tui.keymap import COMMANDS, accepted, bindings, keys_of, normalised

import pytest


def lists(name: str) -> tuple[str, ...]:
    return {"metrics": ("kl", "rank"), "bos": ("auto", "on", "off")}.get(name, ())


class TestTable:
    def test_every_name_is_used_once(self):
        counts = Counter(command.name for command in COMMANDS)
        assert counts.most_common(1)[0][1] == 1

    @pytest.mark.parametrize(
        "places", [("app", "main", pane) for pane in ("lens", "patch", "pattern", "jobs", "runs")]
    )
    def test_no_key_means_two_things_in_one_place_but_those_of_the_pane_come_first(self, places):
        # x cancels the marked job in the list of jobs, and the running one elsewhere.
        # r runs the marked run again in the log, and what is shown elsewhere.
        shadowed = {("x", "cancel"), ("escape", "leave"), ("r", "run")}
        seen: dict[str, str] = {}
        for command in COMMANDS:
            if command.where not in places:
                continue
            for key in keys_of(command, {}):
                assert key not in seen or (key, seen[key]) in shadowed, (key, command.name)
                seen[key] = command.name

    def test_bindings_carry_the_command_s_name(self):
        assert {binding.id for binding in bindings("lens-view")} >= {"pin", "follow", "next-metric"}

    def test_a_key_for_a_command_with_an_argument_opens_the_line(self):
        (find,) = [binding for binding in bindings("lens-view") if binding.id == "find"]
        assert find.action == "screen.begin('find ')"

    def test_no_command_relies_on_a_key_that_multiplexers_take_alone(self):
        taken = {"ctrl+b", "ctrl+a", "ctrl+s", "ctrl+z", "ctrl+g", "ctrl+o", "ctrl+q"}
        for command in COMMANDS:
            keys = keys_of(command, {})
            assert not keys or set(keys) - taken, command.name


class TestOverrides:
    def test_a_free_key_is_taken(self):
        assert accepted({"zoom": "Z, f9"}) == ({"zoom": "Z,f9"}, [])

    def test_a_key_of_another_command_is_refused_in_one_sentence(self):
        used, (trouble,) = accepted({"zoom": "m"})
        assert used == {}
        assert trouble == "[keys] zoom = 'm': 'm' is already next-metric (next metric); it keeps z"

    def test_two_commands_may_exchange_their_keys(self):
        used, troubles = accepted({"zoom": "i", "prompt": "z"})
        assert (used, troubles) == ({"zoom": "i", "prompt": "z"}, [])

    def test_an_unknown_command_is_refused(self):
        assert "no command with a key" in accepted({"zoooom": "z"})[1][0]

    def test_characters_are_named_as_textual_does(self):
        assert normalised("?, f1") == ["question_mark", "f1"]


class TestLine:
    def test_a_word_and_its_argument(self):
        assert parse("metric kl", COMMANDS, lists).action == "metric('kl')"

    def test_a_beginning_is_enough_when_it_is_the_only_one(self):
        assert parse("zo", COMMANDS, lists).command.name == "zoom"

    def test_quotes_keep_a_leading_space(self):
        assert parse('target " Paris"', COMMANDS, lists).argument == " Paris"

    def test_a_command_without_argument_refuses_one(self):
        with pytest.raises(BadInput, match=":zoom takes nothing after it; 'in' was given"):
            parse("zoom in", COMMANDS, lists)

    def test_what_is_missing_is_said(self):
        with pytest.raises(BadInput, match=":metric needs a metric"):
            parse("metric", COMMANDS, lists)

    def test_a_wrong_word_names_the_closest(self):
        with pytest.raises(BadInput, match="there is no command :metrik; closest: metric"):
            parse("metrik kl", COMMANDS, lists)

    def test_a_wrong_choice_names_the_closest_and_all(self):
        with pytest.raises(BadInput, match="closest: rank; there are: kl, rank"):
            parse("metric rnak", COMMANDS, lists)

    def test_a_model_may_be_any_reference(self):
        parsed = parse("model ./my model.gguf", COMMANDS, lists)
        assert parsed.argument == "./my model.gguf"

    def test_completions_go_on_as_the_line_begins(self):
        assert completions("metric r", COMMANDS, lists) == ["metric rank"]
        assert "metric" in completions("me", COMMANDS, lists)
        assert completions("nothing x", COMMANDS, lists) == []
