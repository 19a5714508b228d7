"""Which of a set of facts a model can be traced on: those that it knows.

After Meng et al. 2022 (arXiv 2202.05262, appendix B.1): a model knows a fact whose answer it
continues the prompt with, greedily. Here the answer is one token, and has to be the first.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.corpora.facts import Fact
from mlxterp_engine.experiments import BadInput, CausalTracing, Step
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.causal_tracing_subject import Question, subject_span
from mlxterp_engine.techniques.findings import Prompted
from mlxterp_engine.tracing.resume import last_logits

import mlx.core as mx


@dataclass(frozen=True)
class ReadFact:
    """A fact, and as the model reads it."""

    fact: Fact
    question: Question


@dataclass(frozen=True)
class Unsuitable:
    """A fact that can't be traced whatever the model knows, and why."""

    fact: Fact
    why: str


@dataclass(frozen=True)
class Sorted:
    """known: those to trace. unknown: others that were asked. unsuitable: of those looked at."""

    known: list[ReadFact]
    unknown: list[Fact]
    unsuitable: list[Unsuitable]

    @property
    def left_out(self) -> str:
        """In words: `2 not known, 1 unsuitable`; "" where none is."""
        counts = {"not known": len(self.unknown), "unsuitable": len(self.unsuitable)}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def as_read(
    model: InterpretableModel, request: CausalTracing, facts: Sequence[Fact]
) -> Iterator[ReadFact | Unsuitable]:
    """The facts in their order, tokenised one by one: a file may hold many more than are wanted.

    Without MLX: may be asked from any thread.
    """
    return (_as_read(model, request, fact) for fact in facts)


def _as_read(
    model: InterpretableModel, request: CausalTracing, fact: Fact
) -> ReadFact | Unsuitable:
    try:
        span = subject_span(model.tokens, fact.prompt, fact.subject, request.bos, request.chat)
        answer = model.tokens.single(fact.answer, "the answer")
        ids = model.encode(fact.prompt, request.bos, request.chat)
    except BadInput as error:
        return Unsuitable(fact, str(error))
    return ReadFact(fact, Question(Prompted(ids, model.tokens.strings(ids)), span, answer))


def known_facts(
    model: InterpretableModel, facts: Iterable[ReadFact | Unsuitable], count: int
) -> Generator[Step, None, Sorted]:
    """The first `count` that the model knows: each is asked in one pass.

    BadInput where it knows none.
    """
    found = Sorted([], [], [])
    for one in facts:
        if len(found.known) == count:
            break
        if isinstance(one, Unsuitable):
            found.unsuitable.append(one)
        elif is_known(model, one):
            found.known.append(one)
            yield Step(0, count, f"{len(found.known)} facts that the model knows")
        else:
            found.unknown.append(one.fact)
    if not found.known:
        raise BadInput(_none_known(model, found))
    return found


def is_known(model: InterpretableModel, fact: ReadFact) -> bool:
    """Whether the answer is the model's own next token."""
    logits = last_logits(model.net, model.anatomy, [fact.question.prompt.ids])
    return int(as_numpy(logits.astype(mx.float32))[0].argmax()) == fact.question.answer


def _none_known(model: InterpretableModel, found: Sorted) -> str:
    asked, unsuitable = len(found.unknown), found.unsuitable
    said = f"of {asked + len(unsuitable)} facts {model.card.reference} knows none"
    if unsuitable:
        said += f", {len(unsuitable)} are unsuitable (the first: {unsuitable[0].why})"
    return f"{said}; give facts whose answer it continues with, or another model"
