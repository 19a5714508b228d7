"""Numbers that cross the wire without numpy on the reading side."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import msgspec

DType = Literal["float32", "int32", "bool"]
FORMATS: dict[str, Any] = {"float32": "f", "int32": "i", "bool": "?"}


class Array(msgspec.Struct, frozen=True, eq=False):
    """A row-major little-endian array. `data` is a view of the message it came in."""

    dtype: DType
    shape: tuple[int, ...]
    data: memoryview

    def __post_init__(self) -> None:
        expected = math.prod(self.shape) * struct_size(self.dtype)
        if self.data.nbytes != expected:
            raise ValueError(
                f"array of {self.dtype}{list(self.shape)} holds {self.data.nbytes} bytes; "
                f"it should hold {expected}"
            )

    @classmethod
    def of(cls, values: Any) -> Array:
        """From anything with numpy's interface: float32, int32 or bool, made contiguous."""
        name = str(values.dtype)
        if name not in FORMATS:
            raise ValueError(f"arrays of {name} do not cross the wire; cast to float32 or int32")
        return cls(
            cast(DType, name), tuple(int(n) for n in values.shape), memoryview(values.tobytes())
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Array)
            and (self.dtype, self.shape) == (other.dtype, other.shape)
            and bytes(self.data) == bytes(other.data)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def values(self) -> memoryview:
        """A typed view with this shape: `a.values[row, column]`. Not for empty arrays."""
        return self.data.cast("B").cast(FORMATS[self.dtype], self.shape)

    def tolist(self) -> Any:
        """Nested lists, as deep as the shape."""
        if 0 in self.shape:
            return _empty(self.shape)
        if self.shape == ():
            return self.data.cast("B").cast(FORMATS[self.dtype])[0]
        return self.values.tolist()


def struct_size(dtype: DType) -> int:
    return 1 if dtype == "bool" else 4


def _empty(shape: tuple[int, ...]) -> list[Any]:
    if len(shape) == 1 or shape[0] == 0:
        return []
    return [_empty(shape[1:]) for _ in range(shape[0])]
