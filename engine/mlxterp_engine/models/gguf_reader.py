"""Open a GGUF file: its metadata, its tensors as stored, and exact dequantisation.

The `gguf` package does the reading. Not `mx.load`: it reads Q4_K silently wrong (every other
sub-block gets a wrong scale) and refuses Q3_K, Q5_0, Q5_1, Q5_K and the IQ types.
"""

from __future__ import annotations

import struct
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import BadInput

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFValueType
from gguf import quants as gguf_quants
from gguf.gguf_reader import ReaderTensor

MAGIC = b"GGUF"
# Bytes of quantised rows dequantised at once: of 2^13 … 2^20, the fastest on the default
# model (0.18 s; the package's own groups of 16 rows take 1.2 s).
CHUNK = 1 << 18

# What the package raises on a file that breaks off, or that lies about its lengths.
BROKEN = (ValueError, IndexError, KeyError, OverflowError, MemoryError, struct.error)

_FLAT = {
    GGUFValueType.UINT8: "u1",
    GGUFValueType.INT8: "i1",
    GGUFValueType.UINT16: "<u2",
    GGUFValueType.INT16: "<i2",
    GGUFValueType.UINT32: "<u4",
    GGUFValueType.INT32: "<i4",
    GGUFValueType.FLOAT32: "<f4",
    GGUFValueType.UINT64: "<u8",
    GGUFValueType.INT64: "<i8",
    GGUFValueType.FLOAT64: "<f8",
    GGUFValueType.BOOL: "?",
}


class _Reader(GGUFReader):
    """The package's reader, with arrays read at once and not entry by entry.

    A vocabulary of 49 152 strings and as many merges takes 2.1 s in the package and 0.05 s
    here; one of 152 000 would take six seconds before anything is shown.
    """

    def __init__(self, path: Path) -> None:
        self.lists: dict[int, list[Any]] = {}
        self.bytes = memoryview(b"")
        super().__init__(path)

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> Any:
        if GGUFValueType(raw_type) is not GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        self.bytes = self.bytes or memoryview(self.data)  # type: ignore[arg-type]
        item, count = struct.unpack_from("<IQ", self.bytes, orig_offs)
        kind, start = GGUFValueType(item), orig_offs + 12
        values, end = self._array(kind, count, start)
        self.lists[orig_offs] = values
        where = np.array([orig_offs])
        return end - orig_offs, [where], [0], [GGUFValueType.ARRAY, kind]

    def _array(self, kind: GGUFValueType, count: int, start: int) -> tuple[list[Any], int]:
        if kind is GGUFValueType.STRING:
            return self._strings(count, start)
        dtype = np.dtype(_FLAT[kind])
        end = start + count * dtype.itemsize
        if end > len(self.bytes):
            raise ValueError("an array runs past the end of the file")
        return np.frombuffer(self.bytes, dtype, count, start).tolist(), end

    def _strings(self, count: int, at: int) -> tuple[list[str], int]:
        data, length = self.bytes, struct.Struct("<Q").unpack_from
        values = []
        for _ in range(count):
            (size,) = length(data, at)
            at += 8 + size
            if at > len(data):
                raise ValueError("a string runs past the end of the file")
            values.append(str(data[at - size : at], "utf-8"))
        return values, at


class GGUF:
    """An open GGUF file. Tensors stay on disk (mapped) until they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _open(path)
        self.tensors: dict[str, ReaderTensor] = {t.name: t for t in self._reader.tensors}

    def get(self, key: str, default: Any = None) -> Any:
        """A metadata value as a plain Python value, or the default."""
        field = self._reader.fields.get(key)
        if field is None:
            return default
        if field.types[0] is GGUFValueType.ARRAY:
            return self._reader.lists[int(field.parts[field.data[0]][0])]
        value = field.contents()
        if field.types[0] is GGUFValueType.FLOAT32:
            return float(str(np.float32(value)))  # 1e-05, not 9.999999747378752e-06
        return value

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape as numpy and mlx have it: rows first."""
        return tuple(int(n) for n in reversed(self.tensors[name].shape.tolist()))

    def read(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        """A tensor in float32, exactly; `rows`: a reordering of the first axis."""
        tensor = self.tensors[name]
        data = tensor.data if rows is None else tensor.data[rows]
        return dequantise(data, tensor.tensor_type).reshape(self.shape(name))

    @cached_property
    def quantisation(self) -> str:
        """The type that most numbers of the file are stored in, e.g. Q4_1."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors.values():
            counts[tensor.tensor_type.name] += tensor.n_elements
        return counts.most_common(1)[0][0] if counts else "F32"

    @property
    def parameters(self) -> int:
        return sum(int(tensor.n_elements) for tensor in self.tensors.values())


def dequantise(data: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """Stored rows in float32. data: [..., bytes of a row] (or numbers, for plain types)."""
    name = GGMLQuantizationType(kind).name
    if data.dtype != np.uint8:
        return data.astype(np.float32)
    traits = getattr(gguf_quants, name, None)
    if traits is None:
        raise BadInput(f"tensors of type {name} cannot be read; convert the file to Q8_0 or F16")
    traits.init_grid()
    block, size = GGML_QUANT_SIZES[kind]
    flat = np.asarray(data).reshape(-1, data.shape[-1])
    out = np.empty((len(flat), flat.shape[-1] // size * block), np.float32)
    step = max(1, CHUNK // flat.shape[-1])
    for start in range(0, len(flat), step):
        out[start : start + step] = traits.dequantize_rows(flat[start : start + step])
    return out


def _open(path: Path) -> _Reader:
    _check_magic(path)
    try:
        reader = _Reader(path)
    except BROKEN as error:
        raise BadInput(
            f"{path} is cut off or corrupt; fetch the file again", details=repr(error)
        ) from None
    if reader.endianess is not GGUFEndian.LITTLE:
        raise BadInput(f"{path} is a big-endian GGUF file; convert it to little-endian")
    return reader


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}; check the path") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}; give a .gguf file") from None
    if magic != MAGIC:
        raise BadInput(f"{path} is not a GGUF file (it begins with {magic!r}); give a .gguf file")
