"""`InterpretableModel`: a model with its tokens, its sites and its proofs, ready to trace."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments.errors import BadInput
from mlxterp_engine.experiments.patchscope import IDENTITY_PROMPT
from mlxterp_engine.experiments.request import DEFAULT_MODEL, Bos, Device, DTypeChoice
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.experiments.train_tuned_lens import TrainTunedLens
from mlxterp_engine.lenses.opening import FittedLens, open_lens
from mlxterp_engine.models.calls import calls_through
from mlxterp_engine.notebook import lens_training, patching
from mlxterp_engine.notebook.continuation import Continuation, Piece, pieces
from mlxterp_engine.notebook.edits import Interventions, parted
from mlxterp_engine.notebook.given_module import open_module, with_tokenizer
from mlxterp_engine.notebook.lens_table import Predictions, lens_predictions, print_lens
from mlxterp_engine.notebook.predictions import are_states, predicted, refuse_normed
from mlxterp_engine.notebook.prompts import (
    Prompt,
    listed,
    one_position,
    rows_of,
    some_layers,
    the_one,
)
from mlxterp_engine.notebook.views import ModuleView, Output, no_trace_open
from mlxterp_engine.opening import PROBE_TOKENS, Parts, open_parts, probe_ids
from mlxterp_engine.tracing.batches import forward_batch
from mlxterp_engine.tracing.forward import Forward, forward
from mlxterp_engine.tracing.generation import Sampling, generate
from mlxterp_engine.tracing.interventions import (
    Edit,
    at_positions,
    replace_with,
)
from mlxterp_engine.tracing.module_edits import module_edits
from mlxterp_engine.tracing.module_outputs import ModuleOutputs
from mlxterp_engine.tracing.resume_proof import Resumption, find_resumption
from mlxterp_engine.tracing.sites import Site
from mlxterp_engine.tracing.trace import Trace

import mlx.core as mx
import mlx.nn as nn

# Methods of mlxterp that come with techniques which are not here yet.
COMING = {
    "train_sae": "sparse autoencoders",
    "load_sae": "sparse autoencoders",
    "get_top_features_for_text": "sparse autoencoders",
    "get_top_texts_for_feature": "sparse autoencoders",
}


class InterpretableModel:
    """A model opened up: `InterpretableModel("smollm2-135m")`, a folder, a .gguf, a hub id.

    Or a module that is in memory: `InterpretableModel(*mlx_lm.load(...))`. It is taken as it
    is, in its own precision. Its tokenizer may be mlx-lm's, transformers' or a
    `tokenizers.Tokenizer`; without one prompts are token ids.

    One thread at a time may trace: MLX belongs to one thread.
    """

    def __init__(
        self,
        reference: str | Path | nn.Module = DEFAULT_MODEL,
        tokenizer: Any = None,
        *,
        device: Device = "auto",
        dtype: DTypeChoice = "auto",
    ) -> None:
        if isinstance(reference, nn.Module):
            self._take(open_module(reference, tokenizer, device, dtype))
            self.tokenizer = tokenizer
        elif tokenizer is None:
            self._take(open_parts(str(reference), device, dtype))
        else:
            self._take(with_tokenizer(open_parts(str(reference), device, dtype), tokenizer))
            self.tokenizer = tokenizer

    @classmethod
    def of(cls, parts: Parts) -> InterpretableModel:
        """From parts opened elsewhere, e.g. step by step with progress."""
        model = cls.__new__(cls)
        model._take(parts)
        return model

    def _take(self, parts: Parts) -> None:
        self.net = parts.net
        self.tokens = parts.tokens
        self.tokenizer: Any = parts.tokens
        self.anatomy = parts.anatomy
        self.sites = parts.sites
        self.addresses = parts.addresses
        self.card = parts.card
        self.pace = parts.pace
        self.place = parts.place
        self._entered: list[Trace] = []

    def __getattr__(self, name: str) -> Any:
        if name in COMING:
            raise AttributeError(f"{name} comes with {COMING[name]}, which is not built yet")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __repr__(self) -> str:
        card = self.card
        return f"InterpretableModel({card.reference!r}: {card.architecture}, {card.layers} layers)"

    # Text and tokens

    def encode(self, text: str, bos: Bos = "auto", chat: bool = False) -> list[int]:
        """The ids of a text; refused when empty or longer than the model's context."""
        ids = self.tokens.encode(text, bos, chat)
        (row,) = rows_of([ids], self.encode, self.card)
        return row

    def decode(self, ids: Sequence[int] | mx.array) -> str:
        """Ids as running text, special tokens by their name."""
        return self.tokens.decode(listed(ids))

    def token_to_str(self, token_id: int) -> str:
        """The exact text of one token; a byte that is no text alone shows as ⟨e4⟩."""
        return self.tokens.strings([int(token_id)])[0]

    def to_str_tokens(self, prompt: str | Sequence[int] | mx.array) -> list[str]:
        """The exact text of each token of a text, or of these ids."""
        ids = self.encode(prompt) if isinstance(prompt, str) else listed(prompt)
        return self.tokens.strings(ids)

    @property
    def vocab_size(self) -> int:
        """How many logits the model gives: at times more than its tokenizer has tokens."""
        return self.card.vocab_size

    @cached_property
    def resumption(self) -> Resumption:
        """How runs of this model may be gone on with from a block: tried when first asked for."""
        ids = probe_ids(self.tokens, PROBE_TOKENS)
        return find_resumption(self.net, self.anatomy, self.sites, ids)

    # Modules

    @property
    def model(self) -> nn.Module:
        """The bare MLX module, under mlxterp's name: `model.model.model.norm`."""
        return self.net

    @property
    def layers(self) -> list[ModuleView]:
        """The blocks. In an open trace `model.layers[3].self_attn.output.save()` is an array."""
        paths = {id(module): path for path, module in self.addresses.modules.items()}
        return [
            ModuleView(block.module, paths[id(block.module)], self._output_at)
            for block in self.anatomy.blocks
        ]

    @property
    def output(self) -> Output:
        """The logits [batch, pos, vocab] of the open trace, with its interventions."""
        return Output(self._open_trace().logits)

    def _output_at(self, path: str) -> mx.array:
        return self._open_trace().activations[path]

    def _open_trace(self) -> Trace:
        if not self._entered:
            raise no_trace_open()
        return self._entered[-1]

    # Passes

    def run(
        self, ids: Sequence[int], record: Sequence[Site] = (), edits: Sequence[Edit] = ()
    ) -> Forward:
        """One lazy forward pass over ids [pos]; arrays come with a batch axis of 1."""
        return forward(self.net, self.anatomy, mx.array([list(ids)]), record, edits)

    def trace(
        self,
        prompt: Prompt,
        interventions: Interventions | None = None,
        *,
        sites: Sequence[str] = ("*",),
        bos: Bos = "auto",
    ) -> Trace:
        """Run the prompt; its activations are lazy, so what is not looked at costs nothing.

        prompt: text, ids [pos], or several of them; each is edited as if it ran alone.
        interventions: operation by site, by its alias, or by any module's path; whatever has
        no effect is refused. sites: globs over sites and module paths, to hold less than
        everything in memory.
        """
        rows = rows_of(prompt, lambda text: self.encode(text, bos), self.card)
        at_sites, at_modules = parted(interventions or {}, self.addresses)
        record, record_modules = self.addresses.match(sites)
        lengths = [len(row) for row in rows]
        modules = ModuleOutputs(self.addresses, record_modules, max(lengths))
        with module_edits(self.addresses, at_modules, lengths):
            net = modules.during(self.net)
            batch = forward_batch(net, self.anatomy, rows, record, at_sites)
        return Trace(self.addresses, rows, batch, modules, self._entered)

    def generate(
        self,
        prompt: Prompt,
        max_tokens: int = 50,
        *,
        interventions: Interventions | None = None,
        sampling: Sampling | None = None,
        bos: Bos = "auto",
    ) -> Continuation:
        """Write on after a prompt, with a key-value cache, under interventions or none.

        Greedy by default; `Sampling(temperature=0.8, top_p=0.95, seed=1)` draws. An edit is for
        the whole sequence, or with `at_positions("prompt", …)`, `"new"` or numbers for those
        tokens alone. `run(Generate(…))` also proves that the cache changed nothing.
        """
        parts = self.stream(
            prompt, max_tokens, interventions=interventions, sampling=sampling, bos=bos
        )
        while True:
            try:
                next(parts)
            except StopIteration as end:
                return end.value

    def stream(
        self,
        prompt: Prompt,
        max_tokens: int = 50,
        *,
        interventions: Interventions | None = None,
        sampling: Sampling | None = None,
        bos: Bos = "auto",
    ) -> Generator[Piece, None, Continuation]:
        """`generate`, a piece a token: `for piece in model.stream(…): print(piece.text)`.

        Stops between two tokens when it is closed, or no longer looked at.
        """
        ids = self._one_prompt(prompt, bos, room=max_tokens)
        at_sites, at_modules = parted(interventions or {}, self.addresses)
        if at_modules:
            raise BadInput(
                f"{at_modules[0].site} is a module without a site, and generation edits sites; "
                f"those of this model: mlxterp-tui models info {self.card.reference}"
            )
        parts = generate(
            self.net,
            self.anatomy,
            ids,
            at_sites,
            max_tokens=max_tokens,
            sampling=sampling,
            end_ids=self.tokens.eos_ids,
        )
        return pieces(parts, self.tokens, ids)

    def _one_prompt(self, prompt: Prompt, bos: Bos = "auto", room: int = 0) -> list[int]:
        """The ids of what is one prompt, with room for so many more tokens in the context."""
        rows = rows_of(prompt, lambda text: self.encode(text, bos), self.card)
        return the_one(rows, self.card, room)

    # Predictions

    def unembed(self, hidden: mx.array) -> mx.array:
        """Final norm and unembedding as the model applies them: [..., d_model] -> [..., vocab]."""
        return self.anatomy.unembed(hidden)

    def project(self, normed: mx.array) -> mx.array:
        """`unembed` without the final norm, for what has been through it: -> [..., vocab]."""
        norm = self.anatomy.final_norm
        skipped = [] if norm is None else [(norm, lambda original, args, kwargs: args[0])]
        with calls_through(skipped):
            return self.anatomy.unembed(normed)

    def get_token_predictions(
        self, vectors: mx.array, top_k: int = 10, return_scores: bool = False
    ) -> list[Any]:
        """The tokens that a state [d_model] or logits [vocab] favour, told apart by their size.

        Returns ids, best first; with return_scores (id, logit) pairs; for [row, width] a list
        of such lists. States go through the final norm, as in the model (mlxterp leaves it
        out, which asks another question): a state that has been through it already is refused.
        """
        vectors = mx.array(vectors)
        if are_states(vectors, self.card.d_model, self.card.vocab_size):
            return self.predict_from_state(vectors, top_k, return_scores)
        return self.predict_from_logits(vectors, top_k, return_scores)

    def predict_from_state(
        self, states: mx.array, top_k: int = 10, return_scores: bool = False
    ) -> list[Any]:
        """`get_token_predictions` of residual states [d_model] or [row, d_model]."""
        refuse_normed(states, self.anatomy.final_norm)
        return self.predict_from_logits(self.unembed(states), top_k, return_scores)

    def predict_from_logits(
        self, logits: mx.array, top_k: int = 10, return_scores: bool = False
    ) -> list[Any]:
        """`get_token_predictions` of logits [vocab] or [row, vocab]."""
        return predicted(logits, top_k, return_scores)

    def logit_lens(
        self,
        text: Prompt,
        top_k: int = 1,
        layers: Iterable[int] | None = None,
        position: int | None = None,
        plot: bool = False,
    ) -> dict[int, list[Predictions]]:
        """{layer: [position][k] of (token id, logit, token)}, best first.

        Layer l is the residual stream after block l, through the final norm and unembedding;
        the scores are logits. position: that one alone, as a list of one. plot also prints
        the top tokens as a table. `LogitLens` gives probabilities, ranks, entropies and KL.
        """
        return self._read_out(text, top_k, layers, position, plot, lambda state, layer: state)

    def tuned_lens(
        self,
        text: Prompt,
        tuned_lens: FittedLens | str | Path,
        top_k: int = 1,
        layers: Iterable[int] | None = None,
        position: int | None = None,
        plot: bool = False,
    ) -> dict[int, list[Predictions]]:
        """`logit_lens` through a fitted lens: one of `load_tuned_lens`, or its name or folder."""
        lens = tuned_lens
        if not isinstance(lens, FittedLens):
            lens = self.load_tuned_lens(lens)
        return self._read_out(text, top_k, layers, position, plot, lens)

    def load_tuned_lens(self, path: str | Path) -> FittedLens:
        """A lens of this model, by the name under which it is kept or by its folder.

        Tuned and ridge lenses of ours, and those of the package tuned-lens. `lens(state, layer)`
        is what it takes for the last block's output. BadInput for another model's.
        """
        return open_lens(str(path), self.card, self.net, self.anatomy)

    def train_tuned_lens(
        self,
        texts: Sequence[str],
        num_steps: int = 250,
        held_out: Sequence[str] = (),
        on_part: Callable[[LensStep | LensEvaluation], None] | None = None,
        **recipe: Any,
    ) -> FittedLens:
        """Train a tuned lens on texts; it is in memory alone.

        held_out: other texts to measure it on; without any, a part of the texts. on_part hears
        each step's losses and each measurement. recipe: `tokens_per_step`, `sequence_length`,
        `optimizer`, `init`, `seed` and the like, as in `TrainTunedLens`, whose run
        (`run(TrainTunedLens(…), model)`) also keeps checkpoints and puts the lens into a folder.
        """
        asked = TrainTunedLens(steps=num_steps, **recipe)
        state = lens_training.train(
            *(self.net, self.anatomy, self.tokens),
            lens_training.given(texts, held_out),
            asked,
            on_part,
        )
        return FittedLens.of("trained here", "tuned", state.translators)

    def patchscope(
        self,
        prompt: Prompt,
        site: str,
        position: int = -1,
        target_prompt: Prompt = IDENTITY_PROMPT,
        target_position: int = -1,
        target_layer: int | None = None,
        max_tokens: int = 12,
    ) -> Continuation:
        """What the model writes after `target_prompt` with a state of `prompt` written into it.

        target_layer: the block whose same site is written over; None is the same block.
        `run(Patchscope(…))` gives the first token's probabilities, and proofs, too.
        """
        ids = self._one_prompt(prompt)
        place = self.sites.parse(site)
        state = self.trace(ids, sites=[str(place)]).activations[str(place)]
        if target_layer is not None:
            place = self.sites.parse(f"blocks.{target_layer}.{place.kind}")
        written = replace_with(state[..., one_position(position, len(ids)), :])
        there = at_positions(target_position, written)
        return self.generate(target_prompt, max_tokens, interventions={str(place): there})

    def activation_patching(
        self,
        clean_text: Prompt,
        corrupted_text: Prompt,
        component: str = "mlp",
        layers: Iterable[int] | None = None,
        position: int | None = None,
        answer: str | None = None,
        wrong: str | None = None,
        plot: bool = False,
    ) -> dict[int, float]:
        """{layer: per cent of the logit difference} that the clean run's activation brings back.

        component: mlp or attn at all positions, or at one; resid_pre, resid_mid, resid_post at
        one. answer, wrong: single tokens, leading space included; left out, each run's own top
        token. plot prints bars. `run(ActivationPatching(…))` gives whole maps, and proofs, too.
        """
        kind = patching.kind_of(component, position)
        clean, corrupted = self._one_prompt(clean_text), self._one_prompt(corrupted_text)
        names = [None if text is None else self.tokens.single(text) for text in (answer, wrong)]
        where = None if position is None else one_position(position, len(clean)).start
        found = patching.recovered(
            *(self.net, self.anatomy, self.sites, self.resumption.method),
            patching.Texts(clean, corrupted, *names),
            kind,
            some_layers(layers, self.card.layers),
            where,
        )
        if plot:
            patching.print_recovery(found, component)
        return found

    def _read_out(
        self,
        text: Prompt,
        top_k: int,
        layers: Iterable[int] | None,
        position: int | None,
        plot: bool,
        translate: Callable[[mx.array, int], mx.array],
    ) -> dict[int, list[Predictions]]:
        chosen, ids = some_layers(layers, self.card.layers), self._one_prompt(text)
        where = slice(None) if position is None else one_position(position, len(ids))
        trace = self.trace(ids, sites=[f"blocks.{layer}.resid_post" for layer in chosen])
        states = {n: trace.activations[f"blocks.{n}.resid_post"][0, where] for n in chosen}
        translated = {n: translate(state, n) for n, state in states.items()}
        found = lens_predictions(translated, self.unembed, self.tokens.strings, top_k)
        if plot:
            print_lens(found, self.tokens.strings(ids[where]))
        return found
