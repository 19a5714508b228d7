"""What else is to be known of a map: which pair is shown, how far estimates hold, what failed."""

from __future__ import annotations

from mlxterp_tui.panes.patch.best import digits, trust_line
from mlxterp_tui.panes.patch.members import Of
from mlxterp_tui.panes.patch.neurons import NEURONS, TOGETHER
from mlxterp_tui.panes.patch.run import PatchRun
from mlxterp_tui.panes.patch.scale import probability
from mlxterp_tui.token_text import quoted
from mlxterp_tui.widgets.paint import micro_bar

from textual.content import Content


def notes(run: PatchRun, name: str, of: Of = "mean") -> list[Content]:
    """A line each, the gravest first; none where there is nothing to say."""
    said = [
        trust_line(run, name),
        Content.styled(_failed(run), "$warning"),
        Content.styled(_resumed(run), "$foreground-muted"),
        Content(_together(run, name)),
        *(Content(line) for line in _member(run, of)),
        Content(_levels(run)),
        Content.styled(_left_out(run), "$foreground-muted"),
    ]
    return [line for line in said if line.plain]


def _failed(run: PatchRun) -> str:
    """Counted over all maps: one that is not in front may have them."""
    return f"{run.failed} of {run.total} cells failed (×)" if run.failed else ""


def _resumed(run: PatchRun) -> str:
    if not run.resumed:
        return ""
    return f"{run.resumed} cells were there already, from a run that was stopped"


def _together(run: PatchRun, name: str) -> str:
    """What all neurons do at once: their sum need not be that."""
    if name != NEURONS or run.result is None or TOGETHER not in run.result.arrays:
        return ""
    effect = float(run.result.arrays[TOGETHER].tolist())
    return f"all neurons together: {digits(effect, 'effect')}"


def _member(run: PatchRun, of: Of) -> list[str]:
    """The texts of the pair, or of the fact, that is shown."""
    if not isinstance(of, int) or run.result is None:
        return []
    strings = run.result.strings
    if of < len(pairs := strings.get("pairs", [])):
        clean, corrupt = pairs[of]
        return [f"clean   {quoted(clean)}", f"corrupt {quoted(corrupt)}"]
    if of < len(facts := strings.get("fact_prompt", [])):
        words = zip(("prompt", "subject", "answer"), _fact(strings, facts, of), strict=True)
        return [f"{title:<8}{text}" for title, text in words]
    return []


def _fact(strings: dict[str, list[str]], prompts: list[str], of: int) -> list[str]:
    texts = [prompts, strings["fact_subject"], strings["fact_answer"]]
    return [quoted(each[of]) for each in texts]


def _levels(run: PatchRun) -> str:
    """p(answer) by the size of the noise: the maps are of one of them."""
    if run.result is None or "noise_level" not in run.result.arrays:
        return ""
    levels = run.result.arrays["noise_level"].tolist()
    found = run.result.arrays["p_corrupt_by_level"].tolist()
    most = max([*found, run.ends.clean if run.ends else 0.0])
    told = [
        f"{level:g} σ {probability(p)} {micro_bar(p / most if most else 0.0)}"
        for level, p in sorted(zip(levels, found, strict=True))
    ]
    return "p under noise of " + ", ".join(told)


def _left_out(run: PatchRun) -> str:
    """Facts that the model does not know, or that can't be traced."""
    if run.result is None or not run.is_tracing:
        return ""
    counts = [
        (len(run.result.strings.get(name, [])), words)
        for name, words in (("unknown", "not known"), ("unsuitable", "can't be traced"))
    ]
    told = ", ".join(f"{count} {words}" for count, words in counts if count)
    return f"facts left out: {told}" if told else ""
