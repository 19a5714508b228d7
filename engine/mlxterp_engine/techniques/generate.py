"""Writing on after a prompt with a key-value cache, under interventions or none."""

from __future__ import annotations

from collections.abc import Generator

from mlxterp_engine.experiments import (
    BadInput,
    Contract,
    Generate,
    GeneratedToken,
    Price,
    Step,
)
from mlxterp_engine.interpretable import InterpretableModel
from mlxterp_engine.techniques.findings import Findings, Prompts
from mlxterp_engine.tracing.generation import (
    KEPT,
    TOLERANCE,
    Generated,
    NewToken,
    Read,
    Sampling,
    cache_error,
    generate,
)
from mlxterp_engine.tracing.spoken import parse_edit
from mlxterp_engine.tracing.text_stream import TextStream

import mlx.core as mx
import numpy as np

AT_ONCE = 0.1  # seconds of prompt to read before looking whether to stop
CHUNKS = (64, 2048)  # tokens: fewer read the weights too often (16 take 3 times as long)
SHOWN = 60  # characters of the text in a headline


def check(model: InterpretableModel, request: Generate) -> None:
    """Room in the context, a top_k within the vocabulary, interventions that can be read."""
    _check_context(model, request)
    if request.top_k >= model.card.vocab_size:
        raise BadInput(
            f"top_k is {request.top_k} and the vocabulary has {model.card.vocab_size} tokens; "
            "give fewer, or 0 for no limit"
        )
    for words in request.intervention:
        parse_edit(words, model.sites)


def _check_context(model: InterpretableModel, request: Generate) -> None:
    context, ids = model.card.context, model.encode(request.prompt, request.bos, request.chat)
    room = context - len(ids)
    if context and request.max_tokens > room:
        lower = f"lower max_tokens to {room}, or " if room > 0 else ""
        raise BadInput(
            f"the prompt has {len(ids)} tokens, max_tokens is {request.max_tokens}, and "
            f"{model.card.reference} reads at most {context} in all; {lower}shorten the prompt"
        )


def price(model: InterpretableModel, request: Generate, prompts: Prompts) -> Price:
    """The prompt, each new token by itself, and the whole once more for the contract."""
    (prompt,) = prompts
    card, pos, new = model.card, len(prompt.ids), request.max_tokens
    seconds = model.pace.seconds(pos) + new * model.pace.seconds(1) + model.pace.seconds(pos + new)
    compared = 2 * min(new, KEPT) + (pos + new if _behind_the_blocks(model, request) else 0)
    logits = compared * card.vocab_size * 4
    states = card.layers * (pos + new) * (card.d_model + 2 * card.kv_heads * card.d_head) * 4
    return Price(2 + new, seconds, logits + states)


def _behind_the_blocks(model: InterpretableModel, request: Generate) -> bool:
    """Whether an edit at final_norm or logits makes the contract unembed every position."""
    addresses = (words.partition("=")[0] for words in request.intervention)
    sites = [model.sites.parse(address) for address in addresses]
    return any(site.block is None and site.kind != "embed" for site in sites)


def run(
    model: InterpretableModel, request: Generate, prompts: Prompts
) -> Generator[GeneratedToken | Step, None, Findings]:
    """Each token as it is drawn; then `cache_equals_full` on all of them."""
    (prompt,) = prompts
    edits = [parse_edit(words, model.sites) for words in request.intervention]
    sampling = Sampling(
        request.temperature, request.top_p, request.top_k, request.min_p, request.seed
    )
    parts = generate(
        model.net,
        model.anatomy,
        prompt.ids,
        edits,
        max_tokens=request.max_tokens,
        sampling=sampling,
        end_ids=model.tokens.eos_ids,
        chunk=chunk(model),
    )
    made, text = yield from told(model, request.max_tokens, prompt.ids, parts)
    contract = yield from checked(model, made)
    return _findings(model, made, text, {"cache_equals_full": contract})


def chunk(model: InterpretableModel) -> int:
    """Tokens of a prompt to read before looking whether to stop."""
    least, most = CHUNKS
    return int(min(max(AT_ONCE / max(model.pace.per_token, 1e-6), least), most))


def told(
    model: InterpretableModel,
    max_tokens: int,
    prompt: list[int],
    parts: Generator[Read | NewToken, None, Generated],
) -> Generator[GeneratedToken | Step, None, tuple[Generated, str]]:
    """The generation's parts for the wire; returns what was made, and its text."""
    stream, texts = TextStream(model.tokens, prompt), []
    while True:
        try:
            part = next(parts)
        except StopIteration as end:
            return end.value, "".join([*texts, stream.rest()])
        if isinstance(part, Read):
            yield Step(part.done, part.total, "tokens of the prompt")
            continue
        text = "" if part.id in model.tokens.eos_ids else stream.add(part.id)
        texts.append(text)
        yield GeneratedToken(
            index=len(texts) - 1,
            id=part.id,
            token=model.tokens.strings([part.id])[0],
            text=text,
            logprob=part.logprob,
        )
        yield Step(len(texts), max_tokens, "new tokens")


def checked(model: InterpretableModel, made: Generated) -> Generator[Step, None, Contract]:
    """The contract `cache_equals_full` of what was made, a block at a time."""
    yield Step(0, model.card.layers, "checking against one whole pass")
    checking = cache_error(model.net, model.anatomy, made)
    while True:
        try:
            block = next(checking)
        except StopIteration as end:
            return Contract.of(end.value, TOLERANCE[model.anatomy.dtype != mx.float32])
        yield Step(block + 1, model.card.layers, "checking against one whole pass")


def _findings(
    model: InterpretableModel, made: Generated, text: str, contracts: dict[str, Contract]
) -> Findings:
    arrays = {
        "prompt_ids": np.array(made.prompt, dtype=np.int32),
        "token_ids": np.array(made.ids, dtype=np.int32),
        "logprobs": np.array(made.logprobs, dtype=np.float32),
    }
    return Findings(
        arrays,
        contracts,
        {"tokens": model.tokens.strings(made.ids)},
        headline=_headline(made, text),
        figures={"tokens": float(len(made.ids)), "mean_logprob": float(np.mean(made.logprobs))},
        text=text,
    )


def _headline(made: Generated, text: str) -> str:
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    end = ", to the end token" if made.stopped else ""
    return f"{len(made.ids)} tokens{end}: {shown!r}"
