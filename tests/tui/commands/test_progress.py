"""Progress: a bar on a terminal, else a line for each 10 %."""

import io

from mlxterp_engine.experiments import Started, Step
from mlxterp_tui.commands.progress import WIDTH, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_into_a_file_goes_a_line_for_each_tenth():
    stream = io.StringIO()
    with Progress(stream) as progress:
        for done in range(101):
            progress(Step(done, 100, "fetching"))
    assert stream.getvalue().splitlines() == [f"{n:3} % fetching" for n in range(0, 101, 10)]


def test_another_kind_of_work_begins_anew():
    stream = io.StringIO()
    progress = Progress(stream)
    progress(Step(1, 1, "fetching"))
    progress(Step(0, 1, "opening"))
    assert stream.getvalue() == "100 % fetching\n  0 % opening\n"


def test_on_a_terminal_a_bar_grows_and_is_gone_at_the_end():
    stream = Terminal()
    with Progress(stream) as progress:
        progress(Step(1, 2, "rows"))
        assert stream.getvalue().endswith("█" * (WIDTH // 2) + "░" * (WIDTH // 2) + "  50 % rows")
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_bar_is_not_painted_again_when_nothing_has_changed():
    stream = Terminal()
    progress = Progress(stream)
    progress(Step(1, 2, "rows"))
    once = stream.getvalue()
    progress(Step(1.001, 2, "rows"))
    assert stream.getvalue() == once


def test_lines_wait_until_the_run_itself_has_begun():
    stream = io.StringIO()
    progress = Progress(stream, patience=3600.0)
    progress(Step(0, 1, "reading weights"))
    assert stream.getvalue() == ""
    progress(Started([], []))
    progress(Step(0, 1, "rows"))
    assert stream.getvalue() == "  0 % rows\n"


def test_nothing_is_written_without_a_step():
    stream = Terminal()
    with Progress(stream) as progress:
        progress(Started([], []))
    assert stream.getvalue() == ""


def test_a_stage_that_counts_in_its_words_is_still_a_line_for_each_ten_per_cent():
    stream = io.StringIO()
    progress = Progress(stream)
    progress(Step(0, 40, "step 1 of 40"))
    for step in range(1, 40):
        progress(
            Step(step, 40, f"step {step + 1} of 40, KL {9.5 - step / 8:.2f}, {40 - step} s left")
        )
    lines = stream.getvalue().splitlines()
    assert [line.split(" %")[0].strip() for line in lines] == [str(n) for n in range(0, 100, 10)]
    assert lines[2] == " 20 % step 9 of 40, KL 8.50, 32 s left"
