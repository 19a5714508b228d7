"""Every command of the app, once: bindings, help, palette and `:` are made from this table.

A command's `name` is its word on the `:` line, its entry in the config's `[keys]`, and the id
of its binding. `action` is a method `action_…` of the place named in `where`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding
from textual.keys import _character_to_key

Where = Literal[
    "app", "main", "prompt", "lens", "lens-view", "lens-chart", "lens-summary", "patchscope",
    "patch", "pattern", "jobs", "training", "runs", "cards",
]  # fmt: skip

PLACES: dict[Where, str] = {
    "app": "everywhere",
    "main": "outside the prompt",
    "prompt": "in the prompt",
    "lens": "in the lens",
    "lens-view": "in the lens",
    "lens-chart": "in the trajectories",
    "lens-summary": "in the lens's figures",
    "patchscope": "in a patchscope",
    "patch": "in patching",
    "pattern": "in an attention pattern",
    "jobs": "in the jobs",
    "training": "in a training",
    "runs": "in the runs",
    "cards": "in the cards",
}


@dataclass(frozen=True)
class Command:
    """argument: what the `:` line must be given, in words; "" for nothing.

    hint: its word in the line of keys at the bottom; "" keeps it out. choices: the name of
    the list that the argument is one of; "" for free text.
    """

    name: str
    where: Where
    keys: str
    action: str
    title: str
    hint: str = ""
    argument: str = ""
    choices: str = ""


COMMANDS: tuple[Command, ...] = (
    Command("palette", "app", "ctrl+p", "command_palette", "Find any command by its words"),
    Command("help", "main", "question_mark,f1", "help", "What this pane shows, its keys", "keys"),
    Command("command", "main", "colon", "command_line", "Type a command", "command"),
    Command("jump", "main", "apostrophe,ctrl+o", "jump", "Jump to a part of the screen", "jump"),
    Command("zoom", "main", "z", "zoom", "Give the pane the whole screen, or take it back", "zoom"),
    Command("prompt", "main", "i", "focus_prompt", "Go to the prompt", "prompt"),
    Command("run", "main", "r,f5", "run", "Run the pane again with this prompt"),
    Command("cancel", "main", "x", "app.cancel", "Stop the running job, keep what is there"),
    Command("errors", "main", "E", "app.errors", "All errors of this session, with details"),
    Command("quit", "main", "q,ctrl+q", "app.quit_app", "Leave; the engine keeps its jobs", "quit"),
    Command("restart", "main", "R", "app.engine('restart')", "Restart the engine"),
    Command("next-pane", "main", "right_square_bracket", "pane(1)", "Next pane"),
    Command("previous-pane", "main", "left_square_bracket", "pane(-1)", "Previous pane"),
    Command("next-bos", "main", "B", "app.cycle_bos", "BOS token: auto, on, off"),
    Command("toggle-chat", "main", "T", "app.toggle_chat", "Chat template on or off"),
    Command(
        "model", "main", "", "app.model", "Open another model", "",
        "a name, folder, .gguf or hub id", "models",
    ),
    Command("live", "main", "", "app.live", "Run the prompt while it is typed", "",
            "auto (where a run is quick), on or off", "live"),
    Command("bos", "main", "", "app.bos", "BOS token", "", "auto, on or off", "bos"),
    Command("chat", "main", "", "app.chat", "Chat template", "", "on or off", "switch"),
    Command("theme", "main", "", "app.theme", "Colours of the screen", "", "a theme", "themes"),
    Command("engine", "main", "", "app.engine", "The background engine", "",
            "restart, stop or status", "engine"),
    Command("export", "main", "e", "app.export", "Write this pane to a file", "",
            "a file ending in .svg, .png, .md, .py, .json, .csv, .tsv or .npz", "exports"),
    Command("train", "main", "", "app.train", "Train a lens: a form, or at once with options", "",
            "ridge or tuned, and options as in: mlxterp-tui run train-tuned-lens", "trainings"),
    Command("patchscope", "main", "", "app.patchscope", "Read a state by a patchscope", "",
            "SITE@POSITION, and options as in: mlxterp-tui run patchscope"),
    Command("pairs", "main", "", "app.pairs", "Patch a set of pairs; the maps are means", "",
            "ioi or a .jsonl file, and how many: ioi 20; or off"),
    Command("facts", "main", "", "app.facts", "Trace a set of facts; the maps are means", "",
            "known or a file, and how many: known 30; or off"),
    Command("hypothesis", "main", "", "app.hypothesis", "What is expected of the next run", "",
            "what you expect, in a sentence; or off"),
    Command("outcome", "main", "", "app.outcome", "What came of the run in front", "",
            "what came out, in a sentence"),
    Command("note", "main", "", "app.note", "A note on the run in front", "",
            "a note; or off"),
    Command("tag", "main", "", "app.tag", "Tag the run in front", "",
            "tags, with a minus to take one away: ioi -old", "tags"),
    Command("show", "main", "", "app.show_recorded", "Show a run of the log", "",
            "the number of a run"),
    Command("workspace", "main", "", "app.workspace", "Go to another workspace, or make one", "",
            "a name; default is the one without", "workspaces"),
    Command("workspace-delete", "main", "", "app.delete_workspace", "Delete a workspace", "",
            "the name of a workspace", "named-workspaces"),
    Command("workspace-restore", "main", "", "app.restore_workspace",
            "Bring back a deleted workspace", "", "the name of a workspace",
            "deleted-workspaces"),
    Command("ask", "main", "", "ask", "Run the pane on this prompt", "", "a prompt"),
    Command("submit", "prompt", "enter,ctrl+j,f5", "submit", "Run the pane on this prompt", "run"),
    Command("leave", "prompt", "escape", "screen.focus_pane", "Leave the prompt for the pane",
            "to the pane"),
    Command("older", "prompt", "up", "older", "The prompt before this one", "history"),
    Command("newer", "prompt", "down", "newer", "The prompt after this one"),
    Command("lines", "prompt", "f4,ctrl+l", "lines", "One line or several", "lines"),
    Command("prompt-bos", "prompt", "f2", "app.cycle_bos", "BOS token: auto, on, off", "BOS"),
    Command("prompt-chat", "prompt", "f3", "app.toggle_chat", "Chat template on or off", "chat"),
    Command("next-metric", "lens-view", "m", "cycle_metric(1)", "Next metric", "metric"),
    Command("previous-metric", "lens-view", "M", "cycle_metric(-1)", "Previous metric"),
    Command("take-target", "lens", "t", "take_target", "Follow a token: the cursor's, or type one",
            "target"),
    Command("pin", "lens-view", "space", "pin", "Pin the cell, to compare with the cursor"),
    Command("unpin", "lens-view", "escape", "unpin", "Unpin; close what is open"),
    Command("follow", "lens-view", "f", "follow", "Show one position over all layers", "follow"),
    Command("bottom-up", "lens-view", "b", "bottom_up", "Embeddings at the top or at the bottom"),
    Command("next-stride", "lens-view", "s", "cycle_stride", "Every layer, every 2nd, every 4th"),
    Command("next-ramp", "lens-view", "c", "app.cycle_ramp", "Next colour map"),
    Command("find", "lens-view", "slash", "find", "Find a token in the grid", "",
            "some letters of a token"),
    Command("find-next", "lens-view", "n", "find_next(1)", "Next cell with that token"),
    Command("find-previous", "lens-view", "N", "find_next(-1)", "Previous cell with that token"),
    Command("copy-cell", "lens-view", "y", "copy_cell", "Copy the cell (TSV)"),
    Command("copy-table", "lens-view", "Y", "copy_table", "Copy the whole table (TSV)"),
    Command("metric", "lens-view", "", "metric", "What the colour means", "",
            "a metric", "metrics"),
    Command("target", "lens", "", "target", "The token to follow", "",
            "one token, its leading space included: \" Paris\"; or off"),
    Command("stride", "lens-view", "", "stride", "Show every n-th layer", "",
            "a whole number from 1"),
    Command("ramp", "lens-view", "", "app.ramp", "Colour map", "", "a colour map", "ramps"),
    Command("width", "lens-view", "", "width", "Width of a cell", "", "4 to 40 columns, or auto"),
    Command("next-lens", "lens", "w", "cycle_lens",
            "Next lens: logit, then those kept for this model", "lens"),
    Command("lens", "lens", "", "lens", "The lens to look through", "",
            "logit, the name of a kept lens, or the folder of one", "lenses"),
    Command("next-state", "lens", "S", "cycle_state",
            "Next state: resid_post, resid_mid, resid_pre"),
    Command("state", "lens", "", "state", "Which state of each block is read", "",
            "resid_post, resid_mid or resid_pre", "states"),
    Command("pin-lens", "lens", "P", "pin_run", "Pin this run, to look at differences to it"),
    Command("compare-lens", "lens", "d", "cycle_look",
            "Next look: this run, a difference, the other run", "compare"),
    Command("second", "lens", "o", "screen.second",
            "A second prompt beside this one, or no longer"),
    Command("ablate", "lens", "a", "ablate", "Zero a site, at the cursor or any", "ablate",
            "a site: blocks.5.mlp_out, blocks.5.mlp_out@-1", "ablations"),
    Command("patch", "lens", "p", "patch", "Write the other prompt's state into this cell"),
    Command("edit", "lens", "", "edit", "Any edit of the run", "",
            "SITE=OPERATION: blocks.5.attn_out=scale:0.5@-1, blocks.9.resid_post=add:v.npz*4"),
    Command("steer", "lens", "", "steer", "Add a vector at the cursor's site", "",
            "FILE.npz*COEFFICIENT, with @POSITIONS where it is not for all"),
    Command("undo-edit", "lens", "u", "undo_edit", "Undo the last edit"),
    Command("edits-off", "lens", "U", "edits('off')", "Take all edits off"),
    Command("edits", "lens", "", "edits", "The edits that are on", "", "show, or off", "edits"),
    Command("chart", "lens", "C", "screen.show_pane('lens-chart')",
            "Lines over the layers: rank, probability, KL, entropy", "chart"),
    Command("figures", "lens", "F", "screen.show_pane('lens-summary')",
            "Figures of the run, layer by layer and position by position", "figures"),
    Command("read-state", "lens", "v", "app.read_state",
            "Read this cell's state by a patchscope", "patchscope"),
    Command("next-measure", "lens-chart", "m", "cycle(1)", "Next measure", "measure"),
    Command("previous-measure", "lens-chart", "M", "cycle(-1)", "Previous measure"),
    Command("overview", "lens-chart", "o", "overview", "Four measures at once, or one", "overview"),
    Command("keep-position", "lens-chart", "space", "keep", "Keep this position's line", "keep"),
    Command("every-position", "lens-chart", "a", "every", "All positions, or the kept ones",
            "all"),
    Command("flip-axis", "lens-chart", "s", "flip", "Logarithmic axis, or linear", "log"),
    Command("target-here", "lens-chart", "t", "target_here",
            "Follow the token on top at the cursor, or no longer", "target"),
    Command("line-left", "lens-chart", "h,left", "move(-1, 0)", "A layer back"),
    Command("line-right", "lens-chart", "l,right", "move(1, 0)", "A layer on"),
    Command("line-far-left", "lens-chart", "H", "move(-8, 0)", "Eight layers back"),
    Command("line-far-right", "lens-chart", "L", "move(8, 0)", "Eight layers on"),
    Command("line-next", "lens-chart", "j,down", "move(0, 1)", "The next position"),
    Command("line-previous", "lens-chart", "k,up", "move(0, -1)", "The position before"),
    Command("line-first", "lens-chart", "g,home", "end(0)", "The first layer"),
    Command("line-last", "lens-chart", "G,end", "end(-1)", "The last layer"),
    Command("copy-lines", "lens-chart", "y,Y", "copy", "Copy the lines (TSV)"),
    Command("chart-to-figures", "lens-chart", "F", "screen.show_pane('lens-summary')",
            "Figures of the run"),
    Command("chart-to-patchscope", "lens-chart", "v", "app.read_state",
            "Read the state at the cursor by a patchscope"),
    Command("leave-chart", "lens-chart", "escape", "leave", "Drop what was kept; back to the lens",
            "back"),
    Command("next-figure", "lens-summary", "m", "cycle(1)", "Next figure, as a line", "figure"),
    Command("previous-figure", "lens-summary", "M", "cycle(-1)", "Previous figure"),
    Command("turn-figures", "lens-summary", "p", "turn", "By layer, or by position",
            "layers, positions"),
    Command("with-first", "lens-summary", "f", "first",
            "Take the first token into the means, or leave it out", "first token"),
    Command("copy-figures", "lens-summary", "y,Y", "copy", "Copy the table (TSV)", "copy"),
    Command("figures-to-chart", "lens-summary", "C", "screen.show_pane('lens-chart')",
            "Lines over the layers"),
    Command("figures-to-patchscope", "lens-summary", "v", "app.read_state",
            "Read the state at the cursor by a patchscope"),
    Command("leave-figures", "lens-summary", "escape", "leave", "Back to the lens", "back"),
    Command("block-below", "patchscope", "j,down", "move(-1, 0)", "Read the block below",
            "block"),
    Command("block-above", "patchscope", "k,up", "move(1, 0)", "Read the block above"),
    Command("position-before", "patchscope", "h,left", "move(0, -1)", "Read the position before",
            "position"),
    Command("position-after", "patchscope", "l,right", "move(0, 1)", "Read the position after"),
    Command("into-below", "patchscope", "less_than_sign", "into(-1)",
            "Write into the block below", "into block"),
    Command("into-above", "patchscope", "greater_than_sign", "into(1)",
            "Write into the block above"),
    Command("into-own", "patchscope", "equals_sign", "into_own",
            "Write into the state's own block", "own block"),
    Command("over-before", "patchscope", "comma", "over(-1)",
            "Write over the token before, in the target prompt", "over token"),
    Command("over-after", "patchscope", "full_stop", "over(1)", "Write over the token after"),
    Command("target-prompt", "patchscope", "t", "target_prompt",
            "The prompt that the state is written into", "target prompt",
            r"a text, \n for a new line; or identity"),
    Command("max-tokens", "patchscope", "", "max_tokens", "How far the model goes on", "",
            "how many tokens, 1 to 1000"),
    Command("longer-text", "patchscope", "plus", "longer(8)", "Eight tokens more"),
    Command("shorter-text", "patchscope", "minus", "longer(-8)", "Eight tokens fewer"),
    Command("undo-change", "patchscope", "u", "undo", "Take the last change back", "undo"),
    Command("copy-reading", "patchscope", "y", "copy", "Copy what the model said", "copy"),
    Command("copy-readings", "patchscope", "Y", "copy_all", "Copy all readings (TSV)"),
    Command("leave-patchscope", "patchscope", "escape", "leave", "Back to the lens", "back"),
    Command("measure", "lens-chart", "", "measure", "What the lines are", "", "a measure",
            "measures"),
    Command("next-map", "patch", "s", "cycle_map(1)", "Next map: another site", "site"),
    Command("previous-map", "patch", "S", "cycle_map(-1)", "Previous map"),
    Command("map", "patch", "", "map", "The map to look at", "",
            "a map: resid_pre, attn_out, mlp_out, z", "maps"),
    Command("next-best", "patch", "n", "best(1)", "Next of the ten largest cells", "largest"),
    Command("previous-best", "patch", "N", "best(-1)", "Previous of the ten largest cells"),
    Command("take-answers", "patch", "t", "type_answers", "Name the answer and the wrong one",
            "answers"),
    Command("answers", "patch", "", "answers", "The answer and the wrong one", "",
            "two tokens, each in quotes, its leading space included: \" Mary\" \" John\"; or auto"),
    Command("corrupt", "patch", "o", "corrupt", "Type the corrupt prompt", "corrupt prompt"),
    Command("example", "patch", "enter", "example", "The two prompts, or an example"),
    Command("heads-here", "patch", "p", "heads", "This block's heads, position by position",
            "heads"),
    Command("pattern-here", "patch", "A", "pattern", "What this block's heads read: attention",
            "attention"),
    Command("lens-here", "patch", "v", "lens", "The run with just this patch, in the lens",
            "lens"),
    Command("ablate-here", "patch", "a", "ablate", "Zero this place in the clean run, in the lens",
            "ablate"),
    Command("steer-here", "patch", "V", "steer", "Add a vector at this site, in the lens"),
    Command("undo-patching", "patch", "u", "undo", "Back to the run before", "back"),
    Command("next-effect-metric", "patch", "m", "cycle_metric",
            "Next metric: logit difference, probability, KL", "metric"),
    Command("effect-metric", "patch", "", "metric", "What a patch is measured by", "",
            "logit-diff, prob or kl", "effect-metrics"),
    Command("turn-direction", "patch", "d", "turn",
            "Turn the direction: denoise (clean into corrupt) or noise", "direction"),
    Command("next-method", "patch", "M", "cycle_method",
            "Next method: activation, attribution, path patching, causal tracing", "method"),
    Command("method", "patch", "", "method", "How effects are found", "",
            "activation, attribution, path or tracing", "methods"),
    Command("substitutes", "patch", "b", "substitutes",
            "Other words of as many tokens for what is marked", "other words"),
    Command("mark-first-back", "patch", "left_parenthesis", "span('first', -1)",
            "Mark from one token before"),
    Command("mark-first-on", "patch", "right_parenthesis", "span('first', 1)",
            "Mark from one token behind"),
    Command("mark-last-back", "patch", "left_curly_bracket", "span('last', -1)",
            "Mark one token less at the end"),
    Command("mark-last-on", "patch", "right_curly_bracket", "span('last', 1)",
            "Mark one token more at the end"),
    Command("patching-form", "patch", "O", "form", "Every option of this method, with its price",
            "options"),
    Command("subject", "patch", "", "subject", "The words that causal tracing puts noise on", "",
            "words of the prompt"),
    Command("next-pair", "patch", "full_stop", "step(1)",
            "Of a set: the mean, its spread, each pair"),
    Command("previous-pair", "patch", "comma", "step(-1)", "The same, backwards"),
    Command("patch-ramp", "patch", "c", "app.cycle_ramp", "Next colour map of probabilities"),
    Command("copy-patched", "patch", "y", "copy_cell", "Copy the cell in words"),
    Command("copy-map", "patch", "Y", "copy_table", "Copy the map (TSV)"),
    Command("next-head", "pattern", "full_stop", "head(1)", "Next head", "head"),
    Command("previous-head", "pattern", "comma", "head(-1)", "Previous head"),
    Command("next-block", "pattern", "n", "block(1)", "The block above", "block"),
    Command("previous-block", "pattern", "N", "block(-1)", "The block below"),
    Command("pattern-ramp", "pattern", "c", "app.cycle_ramp", "Next colour map"),
    Command("copy-weight", "pattern", "y", "copy_cell", "Copy the cell in words"),
    Command("copy-pattern", "pattern", "Y", "copy_table", "Copy the pattern (TSV)"),
    Command("leave-pattern", "pattern", "escape", "leave", "Back to where it was opened", "back"),
    Command("cancel-job", "jobs", "x", "cancel_job", "Cancel this job", "cancel"),
    Command("watch-job", "jobs", "enter", "watch_job", "Show this job's progress", "watch"),
    Command("copy-job", "jobs", "y", "copy_job", "Copy this job's line and reason"),
    Command("train-lens", "jobs", "t", "app.training_form", "Train a lens", "train"),
    Command("resume-job", "jobs", "r", "resume_job", "Go on with a training from its checkpoint"),
    Command("next-view", "training", "m", "cycle_view(1)", "Next chart: a layer, five, all",
            "chart"),
    Command("previous-view", "training", "M", "cycle_view(-1)", "Previous chart"),
    Command("log-axis", "training", "l", "toggle_log", "Logarithmic axis, or linear", "log"),
    Command("stop-training", "training", "x", "stop_training", "Stop; a checkpoint is kept",
            "stop"),
    Command("resume-training", "training", "r", "resume_training",
            "Go on from the checkpoint, to the same numbers", "go on"),
    Command("new-training", "training", "t", "app.training_form", "Train another lens", "train"),
    Command("leave-training", "training", "escape", "leave", "Back to where it was opened",
            "back"),
    Command("copy-layers", "training", "y,Y", "copy_layers", "Copy the table (TSV)"),
    Command("open-run", "runs", "enter", "open_run", "Show the run's result as it was", "open"),
    Command("filter", "runs", "slash", "filter", "Filter the list as you type", "filter"),
    Command("unfilter", "runs", "escape", "unfilter", "Clear the filter; unmark"),
    Command("replay", "runs", "r", "replay", "Run it again, and say how far the numbers drift",
            "again"),
    Command("mark-run", "runs", "space", "mark", "Mark the run, to compare with another", "mark"),
    Command("compare", "runs", "c", "compare", "Compare the marked run with this one", "compare"),
    Command("view-run", "runs", "v", "view_run", "All that is known of the run", "view"),
    Command("edit-tag", "runs", "t", "edit('tag')", "Tag the run", "tag"),
    Command("edit-note", "runs", "n", "edit('note')", "Write a note on the run", "note"),
    Command("edit-outcome", "runs", "O", "edit('outcome')", "Write what came out"),
    Command("expect", "runs", "H", "screen.begin('hypothesis ')",
            "Write what is expected of the next run"),
    Command("delete-run", "runs", "d", "delete_run", "Delete the run", "delete"),
    Command("undelete", "runs", "u", "undelete", "Undo the last deletion", "undo"),
    Command("pin-run", "runs", "p", "pin_run", "Pin the run to the top of the list, or no longer"),
    Command("fold", "runs", "f,h,l,left,right", "fold", "Fold or unfold the run's children"),
    Command("parent", "runs", "o", "parent", "Go to the run that this one came from"),
    Command("copy-run", "runs", "y", "copy_run", "Copy the run's line (TSV)"),
    Command("copy-runs", "runs", "Y", "copy_runs", "Copy the list (TSV)"),
    Command("filter-by", "runs", "", "filter", "Filter the list", "",
            "words, tag:NAME, state:failed, since:2d, kl_middle>5"),
    Command("view-card", "cards", "enter", "view_card", "All of the card: rules, controls, charts",
            "open"),
    Command("make-card", "cards", "r", "make_card(False)", "Make the card, in full", "make"),
    Command("make-fast-card", "cards", "f", "make_card(True)", "Make the card on fewer texts",
            "make fast"),
    Command("card-down", "cards", "d", "scroll_card(0.5)", "Scroll the card down", "down"),
    Command("card-up", "cards", "u", "scroll_card(-0.5)", "Scroll the card up"),
    Command("card-runs", "cards", "o", "card_runs", "Go to the runs of cards", "runs"),
    Command("copy-card", "cards", "y", "copy_card", "Copy the card (Markdown)", "copy"),
)  # fmt: skip


HAND_OVER = ("command", "prompt", "leave", "take-answers", "corrupt", "steer-here")


def bindings(where: Where) -> list[Binding]:
    """The place's key bindings, their ids the commands' names.

    Keys that hand the keyboard to another part are carried out before the next key is looked
    at (priority), so that what is typed fast, or comes bundled over a slow line, arrives there.
    """
    return [
        Binding(
            command.keys,
            _on_key(command),
            command.title,
            id=command.name,
            show=False,
            priority=bool(command.argument) or command.name in HAND_OVER,
        )
        for command in COMMANDS
        if command.where == where and command.keys
    ]


def _on_key(command: Command) -> str:
    """A command that needs an argument opens the `:` line, begun with its name."""
    return f"screen.begin({command.name + ' '!r})" if command.argument else command.action


def named(name: str) -> Command:
    return next(command for command in COMMANDS if command.name == name)


def commands_at(places: Iterable[Where]) -> list[Command]:
    wanted = set(places)
    return [command for command in COMMANDS if command.where in wanted]


def keys_of(command: Command, overrides: Mapping[str, str]) -> list[str]:
    """The keys that reach the command, as Textual names them."""
    return normalised(overrides.get(command.name, command.keys))


def normalised(keys: str) -> list[str]:
    """ "?, f1" -> ["question_mark", "f1"]."""
    parts = [part.strip() for part in keys.split(",") if part.strip()]
    return [_character_to_key(part) if len(part) == 1 else part for part in parts]


def accepted(overrides: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The overrides that can be used, and one sentence for each that cannot."""
    known = {command.name: command for command in COMMANDS if command.keys}
    used: dict[str, str] = {}
    troubles: list[str] = []
    for name, keys in overrides.items():
        if name not in known:
            troubles.append(f"[keys] has {name!r}, which is no command with a key; see ? for names")
            continue
        taken = _taken(known[name], normalised(keys), {**overrides, **used}, known)
        if taken or not normalised(keys):
            troubles.append(
                f"[keys] {name} = {keys!r}: {taken or 'no key given'}; it keeps {known[name].keys}"
            )
        else:
            used[name] = ",".join(normalised(keys))
    return used, troubles


def _taken(
    command: Command, keys: list[str], overrides: Mapping[str, str], known: Mapping[str, Command]
) -> str:
    """Who else in reach of the command has one of the keys, in words; "" for nobody."""
    for other in known.values():
        if other.name == command.name or not _within_reach(command.where, other.where):
            continue
        for key in keys:
            if key in keys_of(other, overrides):
                return f"{key!r} is already {other.name} ({other.title.lower()})"
    return ""


def _within_reach(one: Where, other: Where) -> bool:
    return one == other or "app" in (one, other) or {one, other} in OVERLAPPING


OVERLAPPING = (
    *({"main", place} for place in PLACES if place not in ("app", "main", "prompt")),
    {"lens", "lens-view"},
)
