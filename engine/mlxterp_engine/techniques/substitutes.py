"""Substitutes for a span of a prompt: texts of equally many tokens, likeliest first.

A substitute is ranked by log p(span | before) + log p(following | before, span) under the model
itself, that is by p(span | before, following) up to a constant: what follows keeps pieces of
words away. Symmetric token replacement, as Zhang & Nanda 2024 (arXiv 2309.16042) recommend
over noise, needs such words. Every one was put into the prompt and read by the model's own
tokenizer: outside the span no token has changed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from mlxterp_engine.backend import as_numpy
from mlxterp_engine.corpora.facts import read_facts
from mlxterp_engine.corpora.ioi import NAMES
from mlxterp_engine.experiments import BadInput, Price, Step, Substitutes
from mlxterp_engine.experiments.causal_tracing import KNOWN
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Findings, Prompted, Prompts
from mlxterp_engine.techniques.substitute_words import kind_of, may_become
from mlxterp_engine.tracing.after_prefix import AfterPrefix

import mlx.core as mx
import numpy as np

FOLLOWING = 3  # tokens behind the span that a substitute is judged by too
NEAREST = 300  # tokens whose embeddings are most like the span's own, where it is one token
BEAMS = 16  # beginnings that are gone on with, of spans of several tokens
EXTENSIONS = 768  # next tokens that are looked at, of all beginnings together
READ = 40  # candidates whose following tokens are read
VOCABULARY_AT_ONCE = 8192  # embeddings

Beams = dict[tuple[int, ...], float]
"""Beginnings of texts, as ids, with log p(beginning | before); likeliest first."""


@dataclass(frozen=True)
class Span:
    """Where the text stands that is replaced. start, end: characters of the prompt.

    hidden: characters of its first token that are not the prompt's own (SentencePiece's space).
    """

    prompt: Prompted
    tokens: tuple[int, int]
    start: int
    end: int
    hidden: int

    @property
    def before(self) -> list[int]:
        return self.prompt.ids[: self.tokens[0]]

    @property
    def own(self) -> list[int]:
        return self.prompt.ids[slice(*self.tokens)]

    @property
    def following(self) -> list[int]:
        return self.prompt.ids[self.tokens[1] : self.tokens[1] + FOLLOWING]

    @property
    def text(self) -> str:
        return "".join(self.prompt.tokens[slice(*self.tokens)])


@dataclass(frozen=True)
class Candidate:
    """A text that fits, its ids, and the prompt that it makes."""

    ids: tuple[int, ...]
    text: str
    prompt: str


def check(model: InterpretableModel, request: Substitutes) -> None:
    ids = model.encode(request.prompt, request.bos, request.chat)
    span_of(request, Prompted(ids, model.tokens.strings(ids)))


def span_of(request: Substitutes, prompt: Prompted) -> Span:
    """BadInput where the span is not in the prompt, or its characters can't be told."""
    first, behind = request.span
    if behind > len(prompt.ids):
        raise BadInput(
            f"span is {request.span} and the prompt has {len(prompt.ids)} tokens; "
            f"give ends from 0 to {len(prompt.ids)}"
        )
    ends = np.cumsum([0, *map(len, prompt.tokens)])
    begin = "".join(prompt.tokens).find(request.prompt)
    start, end = int(ends[first]) - begin, int(ends[behind]) - begin
    if begin < 0 or end <= 0 or start >= len(request.prompt) or end > len(request.prompt):
        raise BadInput(
            f"span {request.span} is {''.join(prompt.tokens[first:behind])!r}, which is no text of "
            "the prompt alone; name tokens that are"
        )
    return Span(prompt, (first, behind), max(start, 0), end, max(-start, 0))


def price(model: InterpretableModel, request: Substitutes, prompts: Prompts) -> Price:
    """The prompt, each step of the beams, and the candidates with what follows."""
    (prompt,) = prompts
    span = request.span[1] - request.span[0]
    read = READ * (span + FOLLOWING) + BEAMS * span * (span - 1) // 2
    tokens = len(prompt.ids) + read
    pace = model.pace
    seconds = (span + 1) * pace.start + pace.per_token * tokens + pace.per_unembedding * read
    size = 3 * 4 * model.card.vocab_size * READ * (span + FOLLOWING)
    return Price(seconds / pace.seconds(len(prompt.ids)), seconds, size)


def run(
    model: InterpretableModel, request: Substitutes, prompts: Prompts
) -> Generator[Step, None, Findings]:
    span = span_of(request, prompts[0])
    length = len(span.own)
    yield Step(0, length + 2, "words")
    reader = AfterPrefix(model.net, span.before, model.card.vocab_size)
    beams: Beams = {(): 0.0} if span.before else {}
    if length == 1:
        beams = dict.fromkeys(_alike(model, reader, span), 0.0)
    for step in range(length if length > 1 else 0):
        beams = _extended(model, reader, beams, span) if beams else {}
        yield Step(step + 1, length + 2, "words")
    found = {c.ids: c for c in _fitting(model, request, span, _listed(span))}
    texts = ("".join(model.tokens.strings(beam)) for beam in beams)
    for candidate in _fitting(model, request, span, texts):
        if len(found) >= READ:
            break
        found.setdefault(candidate.ids, candidate)
    candidates = list(found.values())
    own, following = _scores(reader, [c.ids for c in candidates], span)
    order = np.argsort(-(np.nan_to_num(own) + following), kind="stable")[: request.count]
    chosen = [candidates[i] for i in order]
    original = _scores(reader, [tuple(span.own)], span)
    ids = np.array([c.ids for c in chosen], dtype=np.int32).reshape(len(chosen), length)
    return Findings(
        {
            "token_ids": ids,
            "probability": np.exp(own[order]).astype(np.float32),
            "following_log_prob": following[order].astype(np.float32),
            "original_probability": np.exp(original[0][0]).astype(np.float32),
            "original_following_log_prob": original[1][0].astype(np.float32),
        },
        {},
        {
            "texts": [c.text for c in chosen],
            "prompts": [c.prompt for c in chosen],
            "original": span.text,
        },
        _headline(span, chosen),
        {"substitutes": float(len(chosen))},
    )


def _alike(model: InterpretableModel, reader: AfterPrefix, span: Span) -> list[tuple[int, ...]]:
    """Of the tokens whose embeddings are most like the span's one those of its kind, likeliest
    first. Where there are no embeddings: of all tokens."""
    kind, special = kind_of(span.text), model.tokens.special_ids
    expected = np.nan_to_num(reader.expected([()])[0], nan=0.0)
    pool = nearest_tokens(model, span.own[0], NEAREST)
    order = sorted(map(int, pool), key=lambda i: -expected[i])
    spelt = zip(order, model.tokens.strings(order), strict=True)
    return [(i,) for i, text in spelt if i not in special and kind_of(text) == kind]


def nearest_tokens(model: InterpretableModel, token: int, count: int) -> np.ndarray:
    """Ids of the tokens whose embeddings have the largest cosine with this one's; all of them,
    where the model shows no embeddings."""
    embed, vocab = model.anatomy.embed, model.card.vocab_size
    if embed is None:
        return np.arange(vocab)
    own = embed(mx.array([token]))[0].astype(mx.float32)
    cosines = []
    for start in range(0, vocab, VOCABULARY_AT_ONCE):
        rows = embed(mx.arange(start, min(vocab, start + VOCABULARY_AT_ONCE))).astype(mx.float32)
        cosines.append(as_numpy((rows @ own) / mx.maximum(mx.linalg.norm(rows, axis=1), 1e-30)))
    return np.argsort(-np.concatenate(cosines), kind="stable")[: count + 1]


def _extended(model: InterpretableModel, reader: AfterPrefix, beams: Beams, span: Span) -> Beams:
    """One token more, likeliest first: of beginnings BEAMS, of whole texts all that were seen."""
    kind, special = kind_of(span.text), model.tokens.special_ids
    ids = list(beams)
    is_last = len(ids[0]) + 1 == len(span.own)
    total = np.array(list(beams.values()))[:, None] + reader.expected(ids)
    each = min(EXTENSIONS // len(beams), total.shape[1] - 1)
    likeliest = np.argpartition(-total, each, axis=1)[:, :each]
    pairs = [(row, int(i)) for row in range(len(beams)) for i in likeliest[row]]
    pairs.sort(key=lambda pair: -total[pair])
    longer: Beams = {}
    for row, i in pairs:
        text = "".join(model.tokens.strings([*ids[row], i]))
        if i not in special and (kind_of(text) == kind if is_last else may_become(text, kind)):
            longer[*ids[row], i] = float(total[row, i])
            if not is_last and len(longer) == BEAMS:
                break
    return longer


def _listed(span: Span) -> list[str]:
    """Names for a name, and subjects of facts of the span's kind; its own spaces in front."""
    name = span.text.lstrip()
    space = span.text[: len(span.text) - len(name)]
    subjects = [space + fact.subject for fact in read_facts(KNOWN).facts]
    names = [space + other for other in NAMES] if name in NAMES else []
    return names + [text for text in subjects if kind_of(text) == kind_of(span.text)]


def _fitting(
    model: InterpretableModel, request: Substitutes, span: Span, texts: Iterable[str]
) -> Iterable[Candidate]:
    """Those that the tokenizer reads as equally many tokens, all others staying as they are."""
    first, behind = span.tokens
    ids, text = span.prompt.ids, request.prompt
    for candidate in texts:
        own = candidate[span.hidden :]
        whole = text[: span.start] + own + text[span.end :]
        read = model.tokens.encode(whole, request.bos, request.chat)
        around = read[:first] + read[behind:] == ids[:first] + ids[behind:]
        if len(read) == len(ids) and around and read != ids:
            yield Candidate(tuple(read[first:behind]), own, whole)


def _scores(
    reader: AfterPrefix, candidates: list[tuple[int, ...]], span: Span
) -> tuple[np.ndarray, np.ndarray]:
    """log p(span | before) and log p(following | before, span), [candidate], nats.

    Of a span that begins the prompt the first is NaN, for nothing stands before it.
    """
    if not candidates:
        return np.zeros(0), np.zeros(0)
    each = reader.log_prob([[*ids, *span.following] for ids in candidates])
    length = len(span.own)
    return each[:, :length].sum(axis=1), each[:, length:].sum(axis=1)


def _headline(span: Span, chosen: list[Candidate]) -> str:
    if not chosen:
        return f"nothing of equally many tokens was found for {span.text!r}; change another word"
    words = ", ".join(repr(candidate.text) for candidate in chosen[:5])
    return f"for {span.text!r}: {words}"
