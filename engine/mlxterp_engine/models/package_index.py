"""Where this machine's Python package index keeps a wheel, as pip or uv is configured here.

No host is named: pip and uv know theirs.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import Request, urlopen

TIMEOUT = 15  # seconds without a byte
JSON_INDEX = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
PIP_BUILT_IN = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


@dataclass(frozen=True)
class Settings:
    """What pip is told on this machine. index: None where pip is told to use none."""

    index: str | None
    certificates: str | None


def pip_settings() -> Settings:
    """From the environment of uv and pip, then pip's files, then what is built into pip."""
    settings = _pip_configuration()
    certificates = settings.get("cert") or None
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return Settings(None, certificates)
    index = next(filter(None, map(os.environ.get, ("UV_DEFAULT_INDEX", "UV_INDEX_URL"))), None)
    return Settings(index or settings.get("index-url") or _built_in(), certificates)


def wheel_address(index: str, package: str, filename: str, tls: ssl.SSLContext) -> str | None:
    """The wheel's URL on that index; None where the index does not have it."""
    page = f"{index.rstrip('/')}/{package}/"
    with urlopen(Request(page, headers={"Accept": JSON_INDEX}), timeout=TIMEOUT, context=tls) as r:
        base, body = r.geturl(), r.read().decode("utf-8", "replace")
    for link in _links(body):
        address = urljoin(base, link)
        if unquote(urlsplit(address).path).rsplit("/", 1)[-1] == filename:
            return address.partition("#")[0]
    return None


def trust(settings: Settings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.certificates)


@cache
def has_pip() -> bool:
    return _run("-m", "pip", "--version") is not None


def _pip_configuration() -> dict[str, str]:
    """pip's settings for downloads; the environment overrules its files, as in pip."""
    lines = (_run("-m", "pip", "config", "list") or "").splitlines()
    stated = dict(line.split("=", 1) for line in lines if "=" in line)
    found: dict[str, str] = {}
    for section in ("global", "install", "download", ":env:"):
        for key, value in stated.items():
            if key.startswith(f"{section}."):
                found[key.removeprefix(f"{section}.")] = value.strip("'\"")
    for key in ("index-url", "cert", "no-index"):
        value = os.environ.get(f"PIP_{key.upper().replace('-', '_')}")
        if value is not None:
            found[key] = value
    return found


def _built_in() -> str | None:
    printed = _run("-c", PIP_BUILT_IN)
    return printed.strip() if printed else None


def _run(*arguments: str) -> str | None:
    """What this Python prints; None when it fails (there may be no pip in it)."""
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _links(body: str) -> Iterator[str]:
    """The links of an index page, JSON or HTML, whatever it calls itself."""
    if body.lstrip().startswith("{"):
        yield from (file["url"] for file in json.loads(body).get("files", []))
        return
    page = _Links()
    page.feed(body)
    yield from page.found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get("href")
        if tag == "a" and address:
            self.found.append(address)
