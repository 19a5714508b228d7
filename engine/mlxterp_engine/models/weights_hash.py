"""SHA-256 over a model's weights: the same numbers, whatever lies around them.

A folder's hash runs over each parameter's name, dtype, shape and bytes, sorted by name, so
that it does not depend on how the parameters are spread over files. A GGUF file's is the
file's own. Known hashes are kept by path, size and time of change.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.cache import models_folder
from mlxterp_engine.whole_files import write_whole

KNOWN = "hashes.json"
CHUNK = 1 << 24


def weights_sha256(path: Path, cache: Path | None = None) -> str:
    """The hash of a .gguf file or of a folder's weights; instant where it is known already."""
    kept = (cache or models_folder()) / KNOWN
    key, known = _key(path), _known(kept)
    if key not in known:
        known[key] = _file_hash(path) if path.is_file() else _folder_hash(path)
        _keep(kept, key, known[key])
    return known[key]


def safetensors_header(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """What a .safetensors file holds, by name, and where its data begins. Reads no weights."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        last = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if 8 + length + last > path.stat().st_size:
            raise ValueError("it ends before its weights do")
    except (OSError, ValueError, struct.error, AttributeError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} is cut off or no safetensors file ({error}); fetch the model again"
        ) from None
    return header, 8 + length


def weight_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("model*.safetensors"))


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    entries = []
    for file in weight_files(folder):
        header, start = safetensors_header(file)
        entries += [(name, file, start, entry) for name, entry in header.items()]
    for name, file, start, entry in sorted(entries, key=lambda found: found[0]):
        digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
        begin, end = entry["data_offsets"]
        for chunk in _bytes(file, start + begin, start + end):
            digest.update(chunk)
    return digest.hexdigest()


def _bytes(file: Path, begin: int, end: int) -> Iterator[bytes]:
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for at in range(begin, end, CHUNK):
            yield data[at : min(at + CHUNK, end)]


def _key(path: Path) -> str:
    """Changes with every file that the hash runs over."""
    files = [path] if path.is_file() else weight_files(path)
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(stats).encode()).hexdigest()


def _known(kept: Path) -> dict[str, str]:
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or not ours: it is only a memory
        return {}
    return known if isinstance(known, dict) else {}


def _keep(kept: Path, key: str, value: str) -> None:
    """Remembering is a convenience: a full or read-only disk does not stop a run."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps(_known(kept) | {key: value}, indent=1).encode())
    except OSError:
        return
