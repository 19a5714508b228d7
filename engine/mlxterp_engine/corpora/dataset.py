"""Texts out of the library `datasets`: the hub's, read as they stream in, or a folder or file here.

Imported only when asked for: it takes most of a second. Nothing is read beyond what is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mlxterp_engine.corpora.corpus import Text
from mlxterp_engine.corpora.text_files import text_field, text_of
from mlxterp_engine.experiments import BadInput

SECONDS = 8  # of silence after which the hub counts as unreachable
RETRIES = 2  # of a broken read; the library's own 20 take minutes

# What `datasets` reads from a file here: its builder, and what that is told.
BUILDERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".parquet": ("parquet", {}),
    ".arrow": ("arrow", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".txt": ("text", {"sample_by": "paragraph"}),
}


class Address(NamedTuple):
    """`NAME`, `NAME:CONFIG` or `NAME:CONFIG:SPLIT`, either of the last two may be empty."""

    name: str
    config: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, said: str) -> Address:
        """BadInput for too many parts. A path that is there is taken whole, colons and all."""
        name, *rest = [said] if Path(said).expanduser().exists() else said.split(":")
        if not name.strip() or len(rest) > 2:
            raise BadInput(
                f"dataset is {said!r}; give a name, NAME:CONFIG or NAME:CONFIG:SPLIT, or a path"
            )
        config, split = [part or None for part in (*rest, "", "")][:2]
        return cls(name, config, split)

    @property
    def path(self) -> Path | None:
        """Where it lies here, if it does."""
        path = Path(self.name).expanduser()
        return path if path.exists() else None


def stream(said: str) -> Iterator[Text]:
    """The dataset's texts, one a row, blank ones left out. BadInput for what can't be read."""
    address = Address.parse(said)
    with _answered(said):
        rows = _split(_opened(address, said), address.split, said)
        field = ""
        for number, row in enumerate(rows):
            where = f"row {number} of dataset {said!r}"
            field = field or text_field(row, where)
            text = text_of(row, field, where)
            if text.strip():
                yield Text(f"{address.name}, row {number}", text)


def _opened(address: Address, said: str) -> Any:
    """By split, or one split alone."""
    path = address.path
    if path is None:
        return _from_hub(address, said)
    if path.is_dir():
        return _from_folder(path, address)
    return _from_file(path, said)


def _from_hub(address: Address, said: str) -> Any:
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if address.name.startswith((".", "/", "~")):
        raise BadInput(f"dataset {said!r} is not there; give a hub name, a folder or a file")
    if HF_HUB_OFFLINE:  # what was fetched before is in the library's own cache
        return datasets.load_dataset(address.name, address.config)
    HfApi().dataset_info(address.name, timeout=SECONDS)
    datasets.config.STREAMING_READ_MAX_RETRIES = RETRIES
    datasets.config.STREAMING_READ_RETRY_INTERVAL = 1
    return datasets.load_dataset(address.name, address.config, streaming=True)


def _from_folder(folder: Path, address: Address) -> Any:
    import datasets

    if (folder / "state.json").exists() or (folder / "dataset_dict.json").exists():
        return datasets.load_from_disk(str(folder))
    return datasets.load_dataset(str(folder), address.config, streaming=True)


def _from_file(path: Path, said: str) -> Any:
    import datasets

    if path.suffix not in BUILDERS:
        raise BadInput(
            f"dataset {said!r} is a file of an unknown kind; give {', '.join(BUILDERS)}, "
            "or a text file as corpus"
        )
    builder, options = BUILDERS[path.suffix]
    return datasets.load_dataset(builder, data_files=str(path), streaming=True, **options)


def _split(opened: Any, wanted: str | None, said: str) -> Any:
    """The split asked for, else `train`, else the only one."""
    if not hasattr(opened, "keys"):
        return opened
    names = list(opened.keys())
    if wanted is None:
        wanted = names[0] if len(names) == 1 else "train"
    if wanted not in names:
        raise BadInput(f"dataset {said!r} has no split {wanted!r}; it has {', '.join(names)}")
    return opened[wanted]


@contextmanager
def _answered(said: str) -> Iterator[None]:
    """Every way in which the library fails, as one sentence; its own complaints are not printed."""
    try:
        with _quiet("datasets"), _quiet("huggingface_hub"):
            yield
    except BadInput:
        raise
    except Exception as error:
        if not isinstance(error, OSError | ValueError) and not _is_theirs(error):
            raise
        raise BadInput(_sentence(said, error)) from None


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _is_theirs(error: Exception) -> bool:
    module = type(error).__module__
    return module.startswith(("datasets", "huggingface_hub", "pyarrow", "pandas", "http"))


def _sentence(said: str, error: Exception) -> str:
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    reason = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, GatedRepoError):
        return (
            f"dataset {said!r} asks for its terms to be accepted; do so on the hub, then "
            "`hf auth login`"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"the hub has no dataset {said!r} and it is no path here; check the name, or "
            "`hf auth login` if it is private"
        )
    if HF_HUB_OFFLINE:
        return (
            f"dataset {said!r} is not in the cache and HF_HUB_OFFLINE is set; unset it, or give "
            "text files, a local dataset, 'builtin' or 'self'"
        )
    if isinstance(error, ConnectionError) or type(error).__module__.startswith("http"):
        return (
            f"the hub cannot be reached for dataset {said!r} ({reason}); give text files, a local "
            "dataset, 'builtin' or 'self', or try again with a network"
        )
    return f"dataset {said!r} can't be read ({reason}); check its name, configuration and files"
