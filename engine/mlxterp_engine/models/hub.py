"""Models of the Hugging Face hub, in the user's own hub cache or in ours.

Downloads run in a process of their own, so that they can be stopped at any moment and so
that this one never waits for the hub; what was fetched so far stays and is resumed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import BadInput, RunFailed, Step
from mlxterp_engine.models.cache import check_space, make_folder

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# What mlx-lm loads, and no code: a hub's Python files are never run.
WANTED = ("*.json", "model*.safetensors", "*.model", "*.tiktoken", "*.txt", "*.jinja")
# Seconds of silence after which the hub counts as unreachable; and nothing told about us.
SETTINGS = {
    "HF_HUB_ETAG_TIMEOUT": "8",
    "HF_HUB_DOWNLOAD_TIMEOUT": "30",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def snapshot(repo: str, cache: Path) -> Path | None:
    """The folder of a hub model that is already here, whole; else None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for place in (None, hub_cache(cache)):
        try:
            found = snapshot_download(
                repo, cache_dir=place, local_files_only=True, allow_patterns=list(WANTED)
            )
        except LocalEntryNotFoundError:
            continue
        except HFValidationError:
            raise BadInput(f"{repo!r} is no hub id; write it as owner/name") from None
        if is_whole(Path(found)):
            return Path(found)
    return None


def hub_cache(cache: Path) -> Path:
    return cache / "hub"


def is_whole(folder: Path) -> bool:
    """Config and every weight file that it should have."""
    if not (folder / "config.json").exists() or not list(folder.glob("model*.safetensors")):
        return False
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return True
    names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return all((folder / name).exists() for name in names)


def fetch_from_hub(repo: str, cache: Path) -> Iterator[Step]:
    """Fetch config, tokenizer and weights into our cache. BadInput when that is not possible."""
    place = hub_cache(cache)
    make_folder(place)
    yield Step(0, 1, f"asking the hub for {repo}")
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlxterp_engine.models.hub_download", repo, str(place)],
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=os.environ | SETTINGS,
            text=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield from _heard(json.loads(line), repo, place)
            failed = process.wait() != 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if failed:
            complaints.seek(0)
            raise RunFailed(f"fetching {repo} from the hub failed; try again", complaints.read())


def _heard(message: dict[str, Any], repo: str, place: Path) -> Iterator[Step]:
    if "refused" in message:
        raise BadInput(message["refused"])
    if "needed" in message:
        check_space(place, message["needed"])
    if "done" in message:
        yield Step(message["done"], message["total"], f"fetching {repo}")
