"""A tuned lens from texts that are in memory, by the recipe of the experiment."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from mlxterp_engine.corpora.corpus import Corpus, Text
from mlxterp_engine.corpora.sequences import Reader, per_step
from mlxterp_engine.corpora.splitting import split, split_from
from mlxterp_engine.experiments import BadInput, Step
from mlxterp_engine.experiments.train_lens import LensEvaluation, LensStep
from mlxterp_engine.experiments.train_tuned_lens import TrainTunedLens
from mlxterp_engine.lenses import training
from mlxterp_engine.lenses.capture import check_lens
from mlxterp_engine.lenses.lesson import lesson_of
from mlxterp_engine.lenses.ridge import fit
from mlxterp_engine.lenses.steps import finished
from mlxterp_engine.lenses.training import Lesson, Part, Recipe, State
from mlxterp_engine.lenses.translators import Translators
from mlxterp_engine.models.anatomy_parts import Anatomy
from mlxterp_engine.models.tokens import Tokens

OnPart = Callable[[LensStep | LensEvaluation], None]


def train(
    net: Any,
    anatomy: Anatomy,
    tokens: Tokens,
    texts: Corpus,
    recipe: TrainTunedLens,
    on_part: OnPart | None,
) -> State:
    """recipe: a request of which the corpus, the folder and the model do not count."""
    check_lens(anatomy, "this model")
    needed = recipe.steps * per_step(recipe.tokens_per_step, recipe.sequence_length)
    steps = lesson_of(
        texts,
        Reader.of(tokens, recipe.bos),
        anatomy.vocab_size,
        recipe.sequence_length,
        needed,
        recipe.held_out_tokens,
    )
    lesson = finished(steps)
    plan = Recipe(recipe.steps, recipe.tokens_per_step, recipe.optimizer, recipe.seed)
    start = _start(net, anatomy, lesson, recipe, needed)
    return _looked_at(
        training.train(net, anatomy, lesson, plan, training.begin(plan, start)), on_part
    )


def given(texts: Sequence[str], held_out: Sequence[str]) -> Corpus:
    """Texts as a corpus; without held-out ones a part of them is held out."""
    if isinstance(texts, str) or isinstance(held_out, str):
        raise BadInput("texts is one string; give a list of texts")
    named = [Text(f"text {number}", text) for number, text in enumerate(texts)]
    aside = [Text(f"held out {number}", text) for number, text in enumerate(held_out)]
    if not named:
        raise BadInput("there is no text to train on; give some")
    made = split_from(named, aside) if aside else split(named)
    about = f"{len(named)} texts given in Python; {made.rule}"
    return Corpus("given", about, made.training, made.held_out)


def _start(
    net: Any, anatomy: Anatomy, lesson: Lesson, recipe: TrainTunedLens, needed: int
) -> Translators:
    if recipe.init == "ridge":
        return finished(fit(net, anatomy, [lesson.training.ids[:needed]], recipe.ridge)).translators
    return Translators.zero(len(anatomy.blocks), anatomy.d_model)


def _looked_at(steps: Generator[Part, None, State], on_part: OnPart | None) -> State:
    while True:
        try:
            part = next(steps)
        except StopIteration as end:
            return end.value
        if on_part is not None and not isinstance(part, Step):
            on_part(part)
