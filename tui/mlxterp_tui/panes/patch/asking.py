"""What a question needs before it can be asked: the answers that nobody named."""

from __future__ import annotations

import asyncio
from typing import cast

from mlxterp_engine.experiments import BadInput, LogitLens, Result
from mlxterp_tui.panes.patch.question import PatchQuestion
from mlxterp_tui.session import Session
from mlxterp_tui.setting import Setting
from mlxterp_tui.token_text import quoted


async def answered(
    session: Session, question: PatchQuestion, prompts: tuple[str, str | None], setting: Setting
) -> PatchQuestion:
    """What is not named is the token that the model itself says after each prompt."""
    prompt, second = prompts
    if not question.takes_two or not second or question.metric == "kl":
        return question
    answer = question.answer or await likeliest(session, prompt, setting)
    if question.metric == "prob":
        return question.answering(answer, question.wrong)
    wrong = question.wrong or await likeliest(session, second, setting)
    if answer == wrong:
        raise BadInput(
            f"The model says {quoted(answer)} after both prompts, so there are no two answers to "
            "tell apart; t names them."
        )
    return question.answering(answer, wrong)


async def likeliest(session: Session, prompt: str, setting: Setting) -> str:
    """The token with the largest logit at the prompt's last position. Stopped where it is not
    waited for any more: of a long prompt this takes a while."""
    asked = LogitLens(prompt=prompt, top_k=1, **setting.request_fields())  # type: ignore[arg-type]
    job = await session.glance(asked)
    try:
        result = cast(Result, await session.follow(job, lambda parts: None))
    except asyncio.CancelledError:
        await session.cancel(job.id)
        raise
    return result.strings["top_tokens"][-1][-1][0]
