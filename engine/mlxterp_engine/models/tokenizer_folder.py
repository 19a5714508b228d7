"""The tokenizer of an mlx-lm folder, without transformers where `tokenizer.json` is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlxterp_engine.experiments import BadInput
from mlxterp_engine.models.tokens import Tokens

from tokenizers import Tokenizer, processors


def tokens_of_folder(folder: Path) -> Tokens:
    """BadInput when the folder has no tokenizer that can be read."""
    settings = read_json(folder / "tokenizer_config.json")
    tokenizer = _tokenizer(folder)
    bos = _special(tokenizer, settings.get("bos_token"))
    _follow_add_bos(tokenizer, settings, bos)
    return Tokens(
        tokenizer,
        bos_id=bos,
        eos_ids=_ends(folder, tokenizer, settings),
        chat_template=_template(folder, settings),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); fetch the model again") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} holds no JSON object; fetch the model again")
    return value


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.exists():
        return _from_transformers(folder)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise BadInput(f"{path} is no tokenizer ({error}); fetch the model again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _from_transformers(folder: Path) -> Tokenizer:
    """For what has only a SentencePiece model or vocabulary lists: transformers converts it."""
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise BadInput(
            f"{folder} has no tokenizer.json, and no other tokenizer in it can be read; "
            "add the model's tokenizer files",
            details=str(error),
        ) from None
    backend = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise BadInput(f"{folder} has a tokenizer written in Python alone; add a tokenizer.json")
    return backend


def _special(tokenizer: Tokenizer, token: Any) -> int | None:
    """A special token's id; tokenizer_config.json names it as a string or an object."""
    name = token.get("content") if isinstance(token, dict) else token
    return tokenizer.token_to_id(name) if isinstance(name, str) else None


def _follow_add_bos(tokenizer: Tokenizer, settings: dict[str, Any], bos: int | None) -> None:
    """`add_bos_token` overrules what tokenizer.json does, as in transformers."""
    wanted = settings.get("add_bos_token")
    if bos is None or wanted is None:
        return
    does = tokenizer.encode("").ids[:1] == [bos]
    if wanted and not does:
        name = tokenizer.id_to_token(bos)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[name, "$A"], pair=[name, "$A", "$B"], special_tokens=[(name, bos)]
        )
    if does and not wanted:
        tokenizer.post_processor = None  # type: ignore[assignment]


def _ends(folder: Path, tokenizer: Tokenizer, settings: dict[str, Any]) -> list[int]:
    ids: list[Any] = []
    for name in ("generation_config.json", "config.json"):
        value = read_json(folder / name).get("eos_token_id")
        ids += value if isinstance(value, list) else [value]
    ids.append(_special(tokenizer, settings.get("eos_token")))
    return list(dict.fromkeys(i for i in ids if isinstance(i, int)))


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8")
    template = read_json(folder / "chat_template.json").get("chat_template")
    template = template or settings.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {entry.get("name"): entry.get("template") for entry in template}
        return named.get("default")
    return template
