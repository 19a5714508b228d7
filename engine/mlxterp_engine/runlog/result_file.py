"""A run's result as one file: safetensors, readable without numpy, whole or not there.

The result's arrays lie under their own names (F32, I32, BOOL). What is not an array is msgpack
in U8 tensors, for JSON has no NaN: `__meta__` (`Meta`) and `__strings__` of a finished run,
`__parts__` (`Started | Step | AnyPart`) of a cancelled one, and `__told__`, what was known
before it began, so that a log can be made anew from its files. `__metadata__` names the format,
its version, and two SHA-256: `arrays` over names, dtypes, shapes and bytes of the arrays, and
`whole`, which goes on over the msgpack.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mlxterp_engine.experiments import Array
from mlxterp_engine.whole_files import write_whole

FORMAT = "mlxterp run"
VERSION = "1"
SUFFIX = ".safetensors"
LARGEST_HEADER = 100 << 20
_DTYPES = {"F32": "float32", "I32": "int32", "BOOL": "bool"}
_CODES = {name: code for code, name in _DTYPES.items()}


class Damaged(Exception):
    """The file is not what was written."""


class Contents(NamedTuple):
    """texts: msgpack by name. sha256: of the arrays."""

    arrays: dict[str, Array]
    texts: dict[str, memoryview]
    sha256: str


def write(path: Path, arrays: Mapping[str, Array], texts: Mapping[str, bytes]) -> tuple[str, int]:
    """Synced to disk under another name, then renamed. (SHA-256 of the arrays, bytes)."""
    of_arrays, whole = _digests(arrays, texts)
    header: dict[str, Any] = {
        "__metadata__": {"format": FORMAT, "version": VERSION, "arrays": of_arrays, "whole": whole}
    }
    offset = 0
    for name, code, shape, size in _layout(arrays, texts):
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    pieces = [len(encoded).to_bytes(8, "little"), encoded]
    pieces = [*pieces, *(array.data for array in arrays.values()), *texts.values()]
    write_whole(path, pieces, permissions=0o600)
    return of_arrays, 8 + len(encoded) + offset


def read(path: Path) -> Contents:
    """The arrays are views of the file. Raises Damaged, or OSError."""
    data = _mapped(path)
    try:
        metadata, tensors, body = _header(data)
        found = {name: _tensor(entry, body) for name, entry in tensors.items()}
        arrays = {
            name: Array(_DTYPES[code], shape, view)  # type: ignore[arg-type]
            for name, (code, shape, view) in found.items()
            if code != "U8"
        }
        texts = {name: view for name, (code, _, view) in found.items() if code == "U8"}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"its header makes no sense ({error})") from error
    of_arrays, whole = _digests(arrays, texts)
    if whole != metadata.get("whole"):
        raise Damaged("its bytes are not those that were written")
    return Contents(arrays, texts, of_arrays)


def digest(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
    return _digests(arrays, {})[0]


def _digests(
    arrays: Mapping[str, Array], texts: Mapping[str, bytes | memoryview]
) -> tuple[str, str]:
    """(over the arrays, and on over the texts)."""
    running = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        running.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        running.update(array.data)
    of_arrays = running.hexdigest()
    for name in sorted(texts):
        running.update(f"{name}\n".encode())
        running.update(texts[name])
    return of_arrays, running.hexdigest()


def _layout(
    arrays: Mapping[str, Array], texts: Mapping[str, bytes]
) -> Iterator[tuple[str, str, list[int], int]]:
    for name, array in arrays.items():
        yield name, _CODES[array.dtype], list(array.shape), array.data.nbytes
    for name, text in texts.items():
        yield name, "U8", [len(text)], len(text)


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < 8:
            raise Damaged("it is cut off")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _header(data: memoryview) -> tuple[dict[str, str], dict[str, Any], memoryview]:
    """(metadata, tensors by name, their bytes)."""
    length = int.from_bytes(data[:8], "little")
    if length > min(LARGEST_HEADER, data.nbytes - 8):
        raise Damaged("it is cut off")
    tensors = json.loads(bytes(data[8 : 8 + length]))
    metadata = tensors.pop("__metadata__", {})
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise Damaged(f"it is no {FORMAT!r} of version {VERSION}")
    return metadata, tensors, data[8 + length :]


def _tensor(entry: dict[str, Any], body: memoryview) -> tuple[str, tuple[int, ...], memoryview]:
    begin, end = entry["data_offsets"]
    shape = tuple(int(n) for n in entry["shape"])
    size = math.prod(shape) * (4 if entry["dtype"] in ("F32", "I32") else 1)
    if not 0 <= begin <= end <= body.nbytes or end - begin != size:
        raise Damaged("it is cut off")
    return entry["dtype"], shape, body[begin:end]
