"""What a model is, from its headers alone: for `models list` and `models info`."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlxterp_engine.models.cache import models_folder
from mlxterp_engine.models.catalogue import CATALOGUE, Entry
from mlxterp_engine.models.gguf_file import read_gguf
from mlxterp_engine.models.resolve import Located, check_folder, of_catalogue
from mlxterp_engine.models.tokenizer_folder import read_json
from mlxterp_engine.models.weights_hash import safetensors_header, weight_files
from mlxterp_engine.worker.tasks import ModelEntry


@dataclass(frozen=True)
class Inspected:
    """config: keys of mlx-lm's ModelArgs. quantisation: e.g. Q4_1, 4-bit, BF16."""

    architecture: str
    parameters: int
    weight_bytes: int
    quantisation: str
    licence: str
    config: dict[str, Any]


def inspect(path: Path) -> Inspected:
    """A .gguf file or a folder, without loading a weight. BadInput: cut off or foreign."""
    return inspect_file(path) if path.is_file() else inspect_folder(path)


def inspect_file(path: Path) -> Inspected:
    model = read_gguf(path)
    return Inspected(
        architecture=model.architecture,
        parameters=model.parameters,
        weight_bytes=path.stat().st_size,
        quantisation=model.quantisation,
        licence=model.licence,
        config=model.config,
    )


def inspect_folder(folder: Path) -> Inspected:
    check_folder(folder)
    config = read_json(folder / "config.json")
    tensors: dict[str, dict[str, Any]] = {}
    for file in weight_files(folder):
        tensors |= safetensors_header(file)[0]
    return Inspected(
        architecture=str(config.get("model_type", "")),
        parameters=_parameters(tensors, config),
        weight_bytes=sum(file.stat().st_size for file in weight_files(folder)),
        quantisation=_quantisation(tensors, config),
        licence=_licence(folder),
        config=config,
    )


def list_models(cache: Path | None = None) -> list[ModelEntry]:
    """Every model of the catalogue, and where it lies if it is here."""
    cache = cache or models_folder()
    return [_listed(entry, of_catalogue(entry, cache)) for entry in CATALOGUE.values()]


def _listed(entry: Entry, located: Located) -> ModelEntry:
    return ModelEntry(
        reference=entry.name,
        architecture=entry.architecture,
        parameters=entry.parameters,
        download_bytes=entry.download_bytes,
        licence=entry.licence,
        summary=entry.summary,
        available=located.path is not None,
        provenance=located.provenance,
        path=str(located.path) if located.path else None,
    )


def _parameters(tensors: dict[str, dict[str, Any]], config: dict[str, Any]) -> int:
    """Numbers of the model: a quantised weight packs several in each 32-bit word."""
    total = 0
    for name, entry in tensors.items():
        stem = name.removesuffix(".weight")
        if name.endswith((".scales", ".biases")) and f"{name.rpartition('.')[0]}.scales" in tensors:
            continue
        count = math.prod(entry["shape"])
        packed = f"{stem}.scales" in tensors and entry["dtype"] == "U32"
        total += count * 32 // _bits(config, stem) if packed else count
    return total


def _bits(config: dict[str, Any], module: str) -> int:
    settings = config.get("quantization") or config.get("quantization_config") or {}
    own = settings.get(module)
    return int((own if isinstance(own, dict) else settings).get("bits", 4))


def _quantisation(tensors: dict[str, dict[str, Any]], config: dict[str, Any]) -> str:
    settings = config.get("quantization") or config.get("quantization_config")
    if isinstance(settings, dict) and "bits" in settings:
        return f"{settings['bits']}-bit"
    counts: Counter[str] = Counter()
    for entry in tensors.values():
        counts[entry["dtype"]] += math.prod(entry["shape"])
    return counts.most_common(1)[0][0] if counts else ""


def _licence(folder: Path) -> str:
    """As the model card's first lines give it: `license: apache-2.0`."""
    card = folder / "README.md"
    if not card.exists():
        return next((e.licence for e in CATALOGUE.values() if e.folder == folder), "")
    for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:60]:
        if line.startswith("license:"):
            return line.removeprefix("license:").strip()
    return ""
