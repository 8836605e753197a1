"""What the tests of downloads share: settings for servers on loopback, one call that fetches, what a reader would find."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hallmark_services.sidecar.downloads import Credentials, DownloadRequest, Downloads, DownloadSettings, Job
from hallmark_services.sidecar.downloads.target import MARKER

LOOPBACK = ("127.0.0.0/8",)


def settings(root: Path, **given: Any) -> DownloadSettings:
    """Settings that write below `root` and may reach this machine's own servers."""
    defaults: dict[str, Any] = {"allowed_roots": (str(root),), "source_roots": (str(root),), "allowed_networks": LOOPBACK}
    return DownloadSettings(**{**defaults, **given})


def hub_settings(root: Path, url: str, token: str = "") -> DownloadSettings:
    return settings(root, credentials=Credentials(hf_endpoint=url, hf_token=token))


def fetch(
    limits: DownloadSettings, source: str, target: Path, *, config: Mapping[str, str] | None = None, max_workers: int = 4
) -> Job:
    """One download from beginning to end."""

    async def run() -> Job:
        downloads = Downloads(limits)
        try:
            return await downloads.wait(downloads.submit(DownloadRequest(source, str(target), config or {}, max_workers)))
        finally:
            await downloads.close()

    return asyncio.run(run())


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` but the marker."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def marked(folder: Path) -> bool:
    """Whether the marker is there and every file that it names is whole."""
    try:
        marker = json.loads((folder / MARKER).read_text())
    except OSError:
        return False
    return all((folder / file["path"]).stat().st_size == file["size"] for file in marker["files"])


def noise(seed: int, count: int) -> bytes:
    return random.Random(seed).randbytes(count)
