"""What every experiment takes, and how a request refuses bad values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from mlxterp_engine.experiments.errors import BadInput

import msgspec

DEFAULT_MODEL = "smollm2-135m"
LAST_RESORT = "glass-tiny"  # comes along, for where nothing can be fetched

Bos = Literal["auto", "on", "off"]
Device = Literal["auto", "cpu", "gpu"]
DTypeChoice = Literal["auto", "float32", "bfloat16", "float16"]

BOS_CHOICES: tuple[str, ...] = get_args(Bos)
DEVICE_CHOICES: tuple[str, ...] = get_args(Device)
DTYPE_CHOICES: tuple[str, ...] = get_args(DTypeChoice)
CHOICES = {"bos": BOS_CHOICES, "device": DEVICE_CHOICES, "dtype": DTYPE_CHOICES}


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
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if not self.model.strip():
            raise BadInput(
                "model is empty; give a catalogue name, a folder, a .gguf file or a hub id"
            )

    @property
    def prompts(self) -> tuple[str, ...]:
        """The texts that the model reads, in the order in which the technique gets them."""
        prompt = getattr(self, "prompt", None)
        return () if prompt is None else (prompt,)

    @property
    def in_chat(self) -> tuple[bool, ...]:
        """Which of `prompts` stand in the model's chat template."""
        return (self.chat,) * len(self.prompts)

    @property
    def about(self) -> str:
        """What it is about, for a line of a list: its first text, or what it is trained on."""
        return self.prompts[0] if self.prompts else ""

    @property
    def background(self) -> bool:
        """Whether it takes so long that others are let in between its parts."""
        return False


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise BadInput(f"{name} is {value!r}; give one of {', '.join(choices)}")


def check_range(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInput(f"{name} is {value!r}; give a whole number from {least} to {most}")


def check_number(name: str, value: float, least: float, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most:
        raise BadInput(f"{name} is {value!r}; give a number from {least} to {most}")


def check_prompt(name: str, text: str) -> None:
    if not text:
        raise BadInput(f"{name} is empty; give some text, for example 'The capital of France is'")
    if "\x00" in text:
        raise BadInput(f"{name} holds a NUL byte at {text.index(chr(0))}; remove it")
