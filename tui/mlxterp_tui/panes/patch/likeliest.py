"""What the model itself says next: the answer of a prompt to which none was named."""

from __future__ import annotations

from typing import cast

from mlxterp_engine.experiments import LogitLens, Result
from mlxterp_tui.session import Session
from mlxterp_tui.setting import Setting


async def likeliest(session: Session, prompt: str, setting: Setting) -> str:
    """The token with the largest logit at the prompt's last position."""
    job = await session.glance(LogitLens(prompt=prompt, top_k=1, **setting.request_fields()))  # type: ignore[arg-type]
    result = cast(Result, await session.follow(job, lambda parts: None))
    return result.strings["top_tokens"][-1][-1][0]
