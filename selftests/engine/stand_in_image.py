"""A program for selftests: the image's entrypoint outside an image, with the stand-in server in vLLM's place.

`STAND_IN_FAULTS` reaches the stand-in, `STAND_IN_SAYS` is what its log says first. The gateway is the real one; it and
the entrypoint run on this interpreter.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "engine"))

from hallmark_engine import commands, main  # noqa: E402 - the line above is what finds it


def prepare(folder: Path) -> None:
    """A package `vllm` below `folder` that is the stand-in, found by the engine's PYTHONPATH alone."""
    place = folder / "vllm" / "entrypoints" / "openai"
    place.mkdir(parents=True, exist_ok=True)
    server = ROOT / "selftests" / "faulty" / "server.py"
    lines = ["import os, runpy", "print(os.environ.get('STAND_IN_SAYS', ''), flush=True)"]
    lines.append(f"runpy.run_path({str(server)!r}, run_name='__main__')")
    (place / "api_server.py").write_text("\n".join(lines), encoding="utf-8")
    os.environ |= {"PYTHONPATH": str(folder), "ENGINE_CACHE": str(folder), "ENGINE_FLAVOR": "cpu", "HOME": str(folder)}
    commands.ENGINE_PYTHON = commands.GATEWAY_PYTHON = sys.executable
    commands.GATEWAY_LIBRARY = str(ROOT)
    main.ADDRESS_FILE = folder / "address.json"
    main.APPUSER = os.getuid()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
    raise SystemExit(main.main(sys.argv[2:]))
