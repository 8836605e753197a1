"""The command line of the stand-in server, and where it listens."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from typing import Any

from selftests.faulty import LISTENER
from selftests.faulty.faults import FAULTS, Faults


def parse_arguments(argv: Sequence[str], description: str = "") -> argparse.Namespace:
    table = "\n".join(f"  {n + ('=' + f.default if f.default else ''):<36} {f.what}" for n, f in FAULTS.items())
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"faults:\n{table}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--served-model-name", default="")
    parser.add_argument("--max-model-len", type=int, default=512)
    parser.add_argument("--version", default="0.32.0", help="what /version answers")
    parser.add_argument("--api-key", default=os.environ.get("VLLM_API_KEY", ""))
    parser.add_argument("--ttft-ms", type=float, default=0.0)
    parser.add_argument("--itl-ms", type=float, default=0.0)
    parser.add_argument("--tokens-per-event", type=int, default=1)
    parser.add_argument("--time-log", default="", help="append one JSON line of monotonic times per streamed answer")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]")
    return parser.parse_known_args(argv)[0]


def where_to_listen(options: argparse.Namespace, faults: Faults) -> dict[str, Any]:
    """What asyncio is told of it: a socket that the parent has bound already, or the address."""
    if bound := os.environ.get(LISTENER):
        return {"sock": socket.socket(fileno=int(bound))}
    return {"host": options.host, "port": options.port, "reuse_port": True if "reuse-port" in faults else None}
