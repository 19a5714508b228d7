"""Tensors out of a file that torch.save wrote, without torch, and without running what is in it.

Such a file is a zip: `data.pkl`, a pickle that names the tensors, and one file of raw bytes for
each storage. A pickle can ask for any function of any module to be called. This one may ask for
a dictionary and for a tensor's description, and nothing else; both come back as plain values.
(The package ptloader does the same; it knows no bfloat16, and by default lets other types in.)
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from mlxterp_engine.experiments.errors import BadInput

import numpy as np

LARGEST_PICKLE = 16 << 20  # bytes: names and shapes of some hundred tensors take 100 kB
ITEM_BYTES = {"FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2}
_BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    OSError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    NotImplementedError,
    RuntimeError,  # an encrypted zip
)


class Storage(NamedTuple):
    """kind: torch's name for it. count: of numbers."""

    kind: str
    key: str
    count: int


class Tensor(NamedTuple):
    """A tensor's place in its storage, in numbers and not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def fits(self) -> bool:
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or any(
            type(n) is not int or n < 0 for n in numbers
        ):
            return False
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        return 0 in self.shape or self.offset + last < self.storage.count


def read_tensors(path: Path, most_numbers: int) -> dict[str, np.ndarray]:
    """The file's tensors by name, float32.

    BadInput for a file that asks for anything but tensors of float32, float16 and bfloat16,
    that is damaged, or that holds more numbers than `most_numbers`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(path, archive)
            tensors = _described(path, _stored(archive, f"{root}data.pkl", LARGEST_PICKLE))
            total = sum(math.prod(tensor.shape) for tensor in tensors.values())
            if total > most_numbers:
                raise BadInput(
                    f"{path} holds {total} numbers, and a lens of its size has {most_numbers} at "
                    "most; it is another file"
                )
            return {name: _numbers(archive, root, tensor) for name, tensor in tensors.items()}
    except BadInput:
        raise
    except _BROKEN as error:
        raise BadInput(
            f"{path} can't be read as tensors of torch.save ({error}); save it again with torch "
            "1.6 or newer"
        ) from None


def _root(path: Path, archive: zipfile.ZipFile) -> str:
    """What stands before every name in the archive, `archive/` as a rule."""
    roots = [name.removesuffix("data.pkl") for name in archive.namelist()]
    (root,) = [root for root, name in zip(roots, archive.namelist(), strict=True) if root != name]
    order = f"{root}byteorder"
    if order in archive.namelist() and _stored(archive, order, 16) != b"little":
        raise BadInput(f"{path} was written on a big-endian machine; save it on another")
    return root


def _stored(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A file of the archive, which torch does not compress: so it is no larger than it looks."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
        raise ValueError(f"{name} is compressed, or larger than {most} bytes")
    return archive.read(info)


def _described(path: Path, data: bytes) -> dict[str, Tensor]:
    found = _Unpickler(path, data).load()
    if not isinstance(found, dict):
        raise ValueError("it holds no dictionary of tensors")
    for name, tensor in dict.items(found):
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or not tensor.fits:
            raise ValueError(f"{str(name)[:80]!r} is no tensor")
    return dict(found)


class _Rebuild:
    """In place of torch's function. A thing without attributes: a pickle can't change it."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without a storage")
        return Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in ITEM_BYTES:
            return name
        raise BadInput(
            f"{self._path} asks for {module}.{name}, which no tensor of float32, float16 or "
            "bfloat16 needs; nothing of it was run. Get the file from a source you trust, or save "
            "the lens again"
        )

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", str(kind), str(key), _, int(count)) if kind in ITEM_BYTES:
                return Storage(kind, key, count)
        raise ValueError("a storage of a kind that no lens has")


def _numbers(archive: zipfile.ZipFile, root: str, tensor: Tensor) -> np.ndarray:
    storage = tensor.storage
    size = storage.count * ITEM_BYTES[storage.kind]
    data = _stored(archive, f"{root}data/{storage.key}", size)
    if len(data) != size:
        raise ValueError(f"storage {storage.key} has {len(data)} bytes and should have {size}")
    flat = _FLOATS[storage.kind](data)
    steps = [step * flat.itemsize for step in tensor.strides]
    # In bounds: `Tensor.fits` has looked.
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps)
    return np.array(view, dtype=np.float32, order="C")


def _bfloat16(data: bytes) -> np.ndarray:
    """The upper half of a float32 is a bfloat16."""
    return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)


_FLOATS = {
    "FloatStorage": lambda data: np.frombuffer(data, dtype="<f4"),
    "HalfStorage": lambda data: np.frombuffer(data, dtype="<f2"),
    "BFloat16Storage": _bfloat16,
}
