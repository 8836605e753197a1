"""What somebody without the key may try to get in by. Pure; none of it is ever shown, for it is nearly the key."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

FOREIGN_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.tNtYGn6BcpHS8dEVBvzNvTNqZ4hYmGSjXU3hwOBOwYk"  # noqa: S105 - nobody's
"""Signed with another secret, and its time is long over."""
UNSIGNED_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJoYWxsbWFyayIsImV4cCI6MTAwMDAwMDAwMDAwMH0."  # noqa: S105 - nobody's
"""By the algorithm `none`, for a very long time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What one request shows."""

    name: str
    """For a person: with a preposition, as in "POST /v1/completions without a key"."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)


NONE = Credential(name="without a key")
WRONG = Credential(name="with another key", headers={"authorization": "Bearer not-the-key"})


def near_misses(key: str) -> Iterator[Credential]:
    """What is nearly the key, and what is none. A server that any of it opens compares too little, or too much."""
    middle = len(key) // 2
    other = "a" if key[middle] != "a" else "b"
    tries = {
        "with an empty bearer": "",
        "with a wildcard for a key": "*",
        "with the first half of the key": key[:middle],
        "with the key without its last character": key[:-1],
        "with the key without its first character": key[1:],
        "with one more character after the key": key + "x",
        "with one more character before the key": "x" + key,
        "with one character of the key changed": key[:middle] + other + key[middle + 1 :],
        "with the key twice": key + key,
        "with the key twice, parted by a comma": f"{key},{key}",
        "with the key in quotes": f'"{key}"',
        "with the key and %00 after it": key + "%00",
        "with the key and %20 after it": key + "%20",
        "with the key and a no-break space after it": key + "\xa0",
        "with a token of another secret": FOREIGN_TOKEN,
        "with an unsigned token": UNSIGNED_TOKEN,
    }
    if key.swapcase() != key:
        tries["with the key in the other case"] = key.swapcase()
    yield Credential(name="with an empty header", headers={"authorization": ""})
    for name, text in tries.items():
        yield Credential(name=name, headers={"authorization": f"Bearer {text}" if text else "Bearer"})


def in_queries(key: str) -> Iterator[Credential]:
    """The key in the address: every log on the way writes it down."""
    for name in ("api_key", "api-key", "key", "token", "access_token"):
        yield Credential(name=f"with the key as ?{name}=", query=f"{name}={quote(key, safe='')}")


def elsewhere(key: str) -> Iterator[Credential]:
    """The whole key in another place: whoever has it may be let in. Anthropic's clients show it as X-API-Key, say."""
    basic = b64encode(f":{key}".encode()).decode()
    for header, value in {"x-api-key": key, "api-key": key}.items():
        yield Credential(name=f"as {header}", headers={header: value})
    for name, value in {"without a scheme": key, "as Token": f"Token {key}", "as Basic": f"Basic {basic}"}.items():
        yield Credential(name=name, headers={"authorization": value})


def spellings(path: str) -> Iterator[tuple[str, bytes]]:
    """(name, request target) of ways to write a path that some programs take for the same, and others do not."""
    first, rest = path[1:2], path[2:]
    within = path.replace("/", "//", 2).removeprefix("/") if path.count("/") > 1 else f"/{path}"
    for name, target in {
        "with a slash doubled": within,
        "with a slash before it": f"/{path}",
        "with a slash after it": f"{path}/",
        "in capitals": path.upper(),
        "with a letter encoded": f"/%{ord(first):02x}{rest}",
        "with its last slash encoded": "%2f".join(path.rsplit("/", 1)) if path.count("/") > 1 else f"/%2f{path[1:]}",
        "with a dot in it": f"/.{path}",
        "climbing out of /health": f"/health/..{path}",
        "climbing out of /v1": f"/v1/..{path}",
        "climbing by encoded dots": f"/health/%2e%2e{path}",
        "with a parameter": f"{path};x=1",
        "with %00 after it": f"{path}%00",
        "with %20 after it": f"{path}%20",
        "with %3f after it": f"{path}%3f",
        "in absolute form": f"http://localhost{path}",
    }.items():
        yield name, target.encode("ascii")
