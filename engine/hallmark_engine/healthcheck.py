"""The image's HEALTHCHECK: exit 0 while /healthz of the gateway answers 200. One file, standard library only."""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path

ADDRESS_FILE = Path("/tmp/hallmark-engine.json")  # noqa: S108 - the container's own, and no secret
"""Where the entrypoint wrote which address it really serves at: a flag may have changed the port."""


def healthy(address_file: Path = ADDRESS_FILE) -> tuple[bool, str]:
    """Whether the gateway says so, and its words."""
    try:
        address = json.loads(address_file.read_text(encoding="utf-8"))
        connection = http.client.HTTPConnection(address["host"], address["port"], timeout=4)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read(500).decode("utf-8", "replace")
    except (OSError, ValueError, KeyError, http.client.HTTPException) as exc:
        return False, f"{type(exc).__name__}: {exc}"
    return answer.status == 200, text


if __name__ == "__main__":
    good, words = healthy()
    print(words)
    sys.exit(0 if good else 1)
