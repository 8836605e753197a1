"""What the files beside the served weights say, as JSON on stdout: `<the server's python> -I weights_files.py REQUEST`.

REQUEST is a JSON object: `source`, what the server is told to load (a folder, or a Hugging Face repository), and where they are
stated `revision`, `config_source`, `tokenizer_source`, `tokenizer_revision` and `download_dir`. It runs where hallmark is not
installed: one file, standard library only, Python 3.8 to 3.14. Nothing is fetched: only what lies there already is read.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Dict, Mapping  # noqa: UP035 (Python 3.8 subscripts no builtins)

MOST_BYTES = 100_000_000
"""Tokenizers are tens of megabytes."""
SNAPSHOTS = "snapshots"


class Unreadable(Exception):
    """A file that cannot be read; the message says why, for a person."""


def caches(environ: Mapping[str, str], download_dir: str) -> list[Path]:
    """The folders in which the server's Hugging Face library keeps repositories, the first of them its own."""
    home = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache") / "huggingface"
    hub = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE") or Path(environ.get("HF_HOME") or home) / "hub"
    return [Path(hub).expanduser(), *([Path(download_dir)] if download_dir else [])]


def folder_of(source: str, revision: str, where: list[Path]) -> Path:
    """The folder that the server reads `source` from: itself, or the snapshot of a repository at a branch, tag or commit."""
    if Path(source).is_dir():
        return Path(source)
    for cache in where:
        repository = cache / f"models--{source.replace('/', '--')}"
        branch = repository / "refs" / (revision or "main")
        commit = branch.read_text(encoding="utf-8").strip() if branch.is_file() else revision
        if commit and (repository / SNAPSHOTS / commit).is_dir():
            return repository / SNAPSHOTS / commit
    at = f" at {revision}" if revision else ""
    raise Unreadable(f"no folder {source}, and no snapshot of it{at} in {', '.join(map(str, where))}")


def read(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unreadable(f"{path}: larger than {MOST_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        raise Unreadable(f"{path}: {getattr(exc, 'strerror', None) or exc}") from exc


def read_object(path: Path) -> Dict[str, Any]:  # noqa: UP006 (Python 3.8)
    text = read(path)
    try:
        data = json.loads(text)
    except ValueError as exc:
        raise Unreadable(f"{path}: {exc}") from exc
    if not isinstance(data, dict):
        raise Unreadable(f"{path}: is no JSON object")
    return data


def tokenizer(folder: Path) -> dict[str, Any]:
    """What tokenizer.json knows, and what tokenizer_config.json and its neighbours say of it."""
    data = read_object(folder / "tokenizer.json")
    model = data.get("model", {}).get("vocab", {})
    base = list(model.values()) if isinstance(model, dict) else list(range(len(model)))
    added = [token["id"] for token in data.get("added_tokens", ())]
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            settings.update(read_object(folder / name))
    special = {name: text(value) for name, value in settings.items() if name.endswith("_token") and text(value)}
    files = [name for name in ("chat_template.jinja", "chat_template.json") if (folder / name).is_file()]
    return {
        "vocab_size": len({*base, *added}),
        "base_vocab_size": max(base, default=-1) + 1,
        "special_tokens": special,
        "chat_template": bool(files or settings.get("chat_template")),
    }


def text(token: Any) -> str:
    """A special token as text; files have it bare or as an object."""
    content = token.get("content", "") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def weights_files(request: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Any]:
    """What there is of config and tokenizer; null with its reason where it cannot be read."""
    found: dict[str, Any] = {"folder": "", "config": None, "tokenizer": None, "reasons": {}}
    where = caches(environ, request.get("download_dir", ""))
    source, revision = request["source"], request.get("revision", "")
    try:
        found["folder"] = str(folder_of(source, revision, where))
    except Unreadable as exc:
        found["reasons"]["folder"] = str(exc)
    try:
        folder = folder_of(request.get("config_source") or source, revision, where)
        found["config"] = read_object(folder / "config.json")
    except Unreadable as exc:
        found["reasons"]["config"] = str(exc)
    try:
        folder = folder_of(request.get("tokenizer_source") or source, request.get("tokenizer_revision") or revision, where)
        found["tokenizer"] = tokenizer(folder)
    except Unreadable as exc:
        found["reasons"]["tokenizer"] = str(exc)
    except Exception as exc:  # a tokenizer of another make
        found["reasons"]["tokenizer"] = f"tokenizer.json: {type(exc).__name__}: {exc}"
    return found


if __name__ == "__main__":
    print(json.dumps(weights_files(json.loads(sys.argv[1]), os.environ)))
