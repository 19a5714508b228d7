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
from collections.abc import Iterator
from pathlib import Path

from mlxterp_engine.experiments import BadInput, Step
from mlxterp_engine.models.cache import check_space, make_folder

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# Seconds of silence after which the hub counts as unreachable.
TIMEOUT = "8"


def snapshot(repo: str, cache: Path) -> Path | None:
    """The folder of a hub model that is already here, whole; else None."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for place in (None, hub_cache(cache)):
        try:
            folder = Path(snapshot_download(repo, cache_dir=place, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        except HFValidationError:
            raise BadInput(f"{repo!r} is no hub id; write it as owner/name") from None
        if is_whole(folder):
            return folder
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
    environment = os.environ | {"HF_HUB_ETAG_TIMEOUT": TIMEOUT, "HF_HUB_DOWNLOAD_TIMEOUT": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mlxterp_engine.models.hub_download", repo, str(place)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    said = False
    try:
        yield Step(0, 1, f"asking the hub for {repo}")
        for line in process.stdout:
            said = True
            message = json.loads(line)
            if "refused" in message:
                raise BadInput(message["refused"])
            if "needed" in message:
                check_space(place, message["needed"])
            if "done" in message:
                yield Step(message["done"], message["total"], f"fetching {repo}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if not said:
        raise BadInput(f"fetching {repo} from the hub failed; try again")
