"""The process that fetches from the hub: one JSON object a line on standard output.

    python -m mlxterp_engine.models.hub_download OWNER/NAME CACHE

{"needed": bytes} first, then {"done": bytes, "total": bytes}; or {"refused": sentence}.
"""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Callable
from typing import Any

from mlxterp_engine.models.hub import WANTED


def main(repo: str, cache: str) -> int:
    from huggingface_hub.errors import HfHubHTTPError

    try:
        _download(repo, cache)
    except HfHubHTTPError as error:
        _say(refused=_refusal(repo, error))
        return 2
    except (OSError, ValueError) as error:  # offline, no route, time-out, broken off
        _say(refused=_unreachable(repo, error))
        return 2
    except Exception as error:
        if "httpx" not in type(error).__module__ and "httpcore" not in type(error).__module__:
            raise
        _say(refused=_unreachable(repo, error))
        return 2
    return 0


def _download(repo: str, cache: str) -> None:
    from huggingface_hub import HfApi, snapshot_download

    files = HfApi().model_info(repo, files_metadata=True, timeout=8).siblings or []
    sizes = {
        file.rfilename: file.size or 0
        for file in files
        if any(fnmatch.fnmatch(file.rfilename, pattern) for pattern in WANTED)
    }
    if not any(name.endswith(".safetensors") for name in sizes):
        raise SystemExit(_say(refused=f"{repo} has no weights in safetensors; give another model"))
    total = sum(sizes.values())
    _say(needed=total)
    snapshot_download(
        repo,
        cache_dir=cache,
        allow_patterns=list(WANTED),
        tqdm_class=_reporter(lambda done: _say(done=min(done, total), total=total)),
        max_workers=4,
    )
    _say(done=total, total=total)


def _reporter(report: Callable[[int], Any]) -> Any:
    """A tqdm that draws nothing. The hub keeps one for bytes received and one for bytes
    written; what the one that is ahead holds is reported."""
    from tqdm.auto import tqdm

    fetched: dict[int, int] = {}

    class Reporter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            self.counts_bytes = options.get("unit") == "B"
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if self.counts_bytes:
                fetched[id(self)] = fetched.get(id(self), 0) + int(n or 0)
                report(max(fetched.values()))
            return None

    return Reporter


def _refusal(repo: str, error: Any) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{repo} asks for its licence to be accepted; do so on the hub, then `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no model {repo!r}; check the name, or `hf auth login` if it is private"
    return _unreachable(repo, error)


def _unreachable(repo: str, error: BaseException) -> str:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return f"{repo} is not in the cache and HF_HUB_OFFLINE is set; unset it, or give a folder"
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"the hub cannot be reached for {repo} ({reason[:120]}); give a folder or a .gguf file, "
        "or try again with a network"
    )


def _say(**message: Any) -> int:
    sys.stdout.write(json.dumps(message) + "\n")  # in one piece: several threads speak at once
    sys.stdout.flush()
    return 2


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
