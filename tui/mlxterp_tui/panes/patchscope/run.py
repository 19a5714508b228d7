"""What is known of one patchscope, and what is asked of the next one. Pure; no screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mlxterp_engine.experiments import (
    BadInput,
    Contract,
    GeneratedToken,
    Patchscope,
    Result,
    Started,
    request_from,
)
from mlxterp_engine.experiments.patchscope import IDENTITY_PROMPT
from mlxterp_tui.logbook import Stored
from mlxterp_tui.setting import Setting

RunState = Literal["empty", "waiting", "running", "done", "cancelled", "failed"]
MOST_TOKENS = 1000
OWN_CONTRACTS = ("patch_changes", "cache_equals_full")
FIRST_BLOCK = "blocks.0.resid_pre"


@dataclass(frozen=True)
class PatchscopeQuestion:
    """site, position: where the state is taken. target_layer: None for the state's own block."""

    site: str
    position: int
    target_prompt: str = IDENTITY_PROMPT
    target_position: int = -1
    target_layer: int | None = None
    max_tokens: int = 12

    def request(self, prompt: str, setting: Setting) -> Patchscope:
        return Patchscope(
            prompt=prompt,
            site=self.site,
            position=self.position,
            target_prompt=self.target_prompt,
            target_position=self.target_position,
            target_layer=self.target_layer,
            max_tokens=self.max_tokens,
            **setting.request_fields(),  # type: ignore[arg-type]
        )

    @property
    def block(self) -> int | None:
        """None where the site belongs to no block."""
        return block_of(self.site)

    def at_state(self, site: str, position: int) -> PatchscopeQuestion:
        """Of another state. The embeddings are said as what block 0 reads: that can be written
        into any block."""
        return replace(
            self, site=FIRST_BLOCK if site == "embed" else site, position=position,
            target_layer=None,
        )  # fmt: skip

    def moved(self, blocks: int, positions: int, run: PatchscopeRun) -> PatchscopeQuestion:
        """The state of another block, or at another position, as far as there are any."""
        block, kind = self.block, self.site.rpartition(".")[2]
        site = self.site
        if block is not None:
            site = f"blocks.{within(block + blocks, run.layers)}.{kind}"
        position = self.position
        if positions and run.tokens:
            position = within(counted(self.position, run.tokens) + positions, len(run.tokens))
        return replace(self, site=site, position=position)

    def into(self, blocks: int, layers: int) -> PatchscopeQuestion:
        """Written into another block."""
        here = self.target_layer if self.target_layer is not None else self.block
        if here is None:
            raise BadInput(f"{self.site} belongs to no block; it is written into itself alone")
        return replace(self, target_layer=within(here + blocks, layers))

    def writing_at(self, positions: int, target_tokens: Sequence[str]) -> PatchscopeQuestion:
        """Over another token of the target prompt."""
        if not target_tokens:
            return self
        here = counted(self.target_position, target_tokens)
        return replace(self, target_position=within(here + positions, len(target_tokens)))

    def in_prompt(self, text: str) -> PatchscopeQuestion:
        """Another target prompt, over its last token."""
        return replace(self, target_prompt=text, target_position=-1)

    def lasting(self, tokens: int) -> PatchscopeQuestion:
        """Going on for so many tokens, as far as that can be asked."""
        return replace(self, max_tokens=min(MOST_TOKENS, max(1, tokens)))


@dataclass(frozen=True)
class PatchscopeRun:
    """made: the tokens that have come. layers: blocks of the model."""

    request: Patchscope | None = None
    state: RunState = "empty"
    layers: int = 1
    tokens: tuple[str, ...] = ()
    target_tokens: tuple[str, ...] = ()
    made: tuple[GeneratedToken, ...] = ()
    result: Result | None = None
    reason: str = ""

    def read(self, started: Started) -> PatchscopeRun:
        source, target = started.tokens[0], started.tokens[-1]
        return replace(self, state="running", tokens=tuple(source), target_tokens=tuple(target))

    def with_tokens(self, made: Sequence[GeneratedToken]) -> PatchscopeRun:
        return replace(self, made=(*self.made, *made))

    def finished(self, result: Result) -> PatchscopeRun:
        return replace(self, state="done", result=result)

    def ended(self, state: RunState, reason: str) -> PatchscopeRun:
        return replace(self, state=state, reason=reason)

    @property
    def text(self) -> str:
        """What came after the target prompt, as far as it has come."""
        if self.result is not None:
            return self.result.meta.text or ""
        return "".join(part.text for part in self.made)

    @property
    def contracts(self) -> dict[str, Contract]:
        """Its own first, then those of every run."""
        found = self.result.meta.contracts if self.result else {}
        return {name: found[name] for name in OWN_CONTRACTS if name in found} | found

    @property
    def source_position(self) -> int:
        """Counted from the front."""
        return counted(self.request.position, self.tokens) if self.request else 0

    @property
    def target_position(self) -> int:
        return counted(self.request.target_position, self.target_tokens) if self.request else 0

    @property
    def target_site(self) -> str:
        """Where the state is written."""
        if self.request is None or self.request.target_layer is None:
            return self.request.site if self.request else ""
        kind = self.request.site.rpartition(".")[2]
        return f"blocks.{self.request.target_layer}.{kind}"

    @property
    def best(self) -> list[tuple[str, int, float]]:
        """Token, id, probability of what comes first; known at the end."""
        if self.result is None:
            return []
        arrays, strings = self.result.arrays, self.result.strings
        ids, probs = arrays["top_ids"].tolist(), arrays["top_probs"].tolist()
        return list(zip(strings["top_tokens"], ids, probs, strict=True))


def question_of(request: Patchscope) -> PatchscopeQuestion:
    """What a request asks besides its prompt."""
    return PatchscopeQuestion(
        request.site,
        request.position,
        request.target_prompt,
        request.target_position,
        request.target_layer,
        request.max_tokens,
    )


def stored_run(stored: Stored) -> PatchscopeRun:
    """As it was at the run's end. BadInput when there is nothing to show."""
    record = stored.record
    parameters = dict(record.request)
    request = request_from(str(parameters.pop("name")), parameters)
    assert isinstance(request, Patchscope)
    run = PatchscopeRun(request, layers=record.model.layers if record.model else 1)
    if stored.result is not None:
        return run.read(Started([], stored.result.meta.tokens)).finished(stored.result)
    for part in stored.parts:
        if isinstance(part, Started):
            made = [part for part in stored.parts if isinstance(part, GeneratedToken)]
            return run.read(part).with_tokens(made).ended("cancelled", record.kept)
    raise BadInput(
        f"run {record.id} {record.state} before anything was computed; v shows what is known of it"
    )


def block_of(site: str) -> int | None:
    """3 of `blocks.3.resid_post`; None of a site that belongs to no block."""
    parts = site.split(".")
    known = len(parts) == 3 and parts[0] == "blocks" and parts[1].isdecimal()
    return int(parts[1]) if known else None


def counted(position: int, tokens: Sequence[Any]) -> int:
    """From the front; negative ones count from the end."""
    return position + len(tokens) if position < 0 else position


def within(index: int, count: int) -> int:
    return min(max(0, index), max(0, count - 1))
