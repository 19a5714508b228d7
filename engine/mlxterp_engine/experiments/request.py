"""What every experiment takes, and how a request refuses bad values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mlxterp_engine.experiments.errors import BadInput

import msgspec

DEFAULT_MODEL = "smollm2-135m"

Bos = Literal["auto", "on", "off"]
Device = Literal["auto", "cpu", "gpu"]
DTypeChoice = Literal["auto", "float32", "bfloat16", "float16"]

BOS_CHOICES = ("auto", "on", "off")
DEVICE_CHOICES = ("auto", "cpu", "gpu")
DTYPE_CHOICES = ("auto", "float32", "bfloat16", "float16")


class Request(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name"
):
    """The options that every experiment shares. See each experiment for the rest."""

    model: str = DEFAULT_MODEL
    seed: int = 0
    bos: Bos = "auto"
    chat: bool = False
    device: Device = "auto"
    dtype: DTypeChoice = "auto"

    def __post_init__(self) -> None:
        check_choice("bos", self.bos, BOS_CHOICES)
        check_choice("device", self.device, DEVICE_CHOICES)
        check_choice("dtype", self.dtype, DTYPE_CHOICES)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if not self.model.strip():
            raise BadInput(
                "model is empty; give a catalogue name, a folder, a .gguf file or a hub id"
            )


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadInput(f"{name} is {value!r}; give one of {', '.join(choices)}")


def check_range(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInput(f"{name} is {value!r}; give a whole number from {least} to {most}")


def check_prompt(name: str, text: str) -> None:
    if not text:
        raise BadInput(f"{name} is empty; give some text, for example 'The capital of France is'")
    if "\x00" in text:
        raise BadInput(f"{name} holds a NUL byte at {text.index(chr(0))}; remove it")
