"""Faults by which a stranger gets what is not his. What is read from the network is read here alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from selftests.faulty.jobs import Job, too_deep
from selftests.faulty.model import decode, encode

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

SECURITY: Mapping[str, tuple[str, str]] = {
    "fetches-media": (
        "whatever a message points to is fetched: 'all', or 'quiet' where the request is refused all the same",
        "all",
    ),
    "development-routes": ("/sleep and /collective_rpc are served", ""),
    "forges-roles": ("marks of roles in what a user writes are taken for roles", ""),
    "doubles-bos": ("a chat begins with a token more than its template has", ""),
    "echoes-key": ("an error repeats the key that was shown", ""),
}
LEVERS = ("/sleep", "/collective_rpc")


def _addresses(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "url" and isinstance(inner, str):
                yield inner
            yield from _addresses(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _addresses(inner)


async def fetch_media(body: bytes, faults: Faults) -> bool:
    """Connect to what the messages point to, where the fault says so; whether the request is then to be answered."""
    if "fetches-media" not in faults or too_deep(body):
        return False
    try:
        addresses = list(_addresses(json.loads(body)))
    except (ValueError, RecursionError):
        return False
    for parts in map(urlsplit, addresses):
        if parts.scheme == "http" and parts.port:  # nothing outside of this machine
            try:
                _, writer = await asyncio.open_connection(parts.hostname, parts.port)
                writer.close()
            except OSError:
                continue
    return bool(addresses) and faults.text("fetches-media") == "all"


def read(job: Job, faults: Faults) -> Job:
    """The chat as a server reads it that has these faults."""
    if not job.chat:
        return job
    (prompt,) = job.prompts
    if "forges-roles" in faults:
        prompt = tuple(encode(decode(prompt)))
    if "doubles-bos" in faults:
        prompt = (0, *prompt)
    return replace(job, prompts=(prompt,))
