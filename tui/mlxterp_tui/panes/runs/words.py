"""What the runs pane says of itself."""

EMPTY = """\
No runs yet. Everything that is asked of a model is kept here: what was
asked, of which weights, what came out, and how it was checked. Nothing
leaves this machine.

    1, then i, type a prompt, Enter   your first run
    :hypothesis TEXT                  what you expect of the next run
    mlxterp-tui run logit-lens …      those of the command line, too"""
NOTHING_FOUND = """\
No run matches. Words are looked for in prompt, model, tags, note and outcome. Also:

    experiment:logit-lens   model:smol   tag:ioi   state:failed
    since:2d                until:2026-11-20
    kl_middle>5             a figure of the run, with < or >

Esc in the line above clears it."""

HELP = """\
The research log: every run from the screen, the command line and Python, newest first, children
under the run that they came from. Enter shows a run's result as it was, without its model; r
runs it again and says how far the numbers drifted. Space marks runs, c compares the marked one
with the one under the cursor. Results with a failed check stand in red.

/ filters as you type: words, experiment:, model:, tag:, state:, since: and until: (a date, today,
2d), figures such as kl_middle>5. Beside the list, or under it: the run under the cursor.

    :hypothesis TEXT   before a run       :outcome TEXT   after it
"""
