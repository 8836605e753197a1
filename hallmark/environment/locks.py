"""What an environment was resolved to, kept beside it: built again, it holds the same versions, and nothing is resolved.

Standard library only. A lock belongs to its environment's key, hence to one Python, one platform and one demand.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

_LIST = """
import importlib.metadata as m, json
def editable(d):
    return json.loads(d.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable")
names = {d.metadata["Name"].lower(): d.metadata["Name"] + "==" + d.version for d in m.distributions() if not editable(d)}
print("\\n".join(names[n] for n in sorted(names)))
"""
"""What an editable checkout is at is the checkout's own business, so it is left out: on no index would pip find it."""


def lock_path(folder: Path, key: str) -> Path:
    """Where the lock of the environment `folder` with this key is."""
    return folder.with_name(f"{folder.name}-{key[:12]}.requirements.txt")


def read_lock(path: Path) -> tuple[str, ...]:
    """The requirements of a lock; none where there is no whole one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(line for line in lines if line and not line.startswith("#"))


def write_lock(path: Path, python: Path) -> None:
    """Note what the environment of `python` holds; without success nothing is noted, and the next build resolves."""
    try:
        done = subprocess.run([python, "-I", "-c", _LIST], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return
    partial = path.with_name(path.name + ".partial")
    with contextlib.suppress(OSError):
        partial.write_text(
            f"# of {path.name}: delete this file to have the versions resolved anew\n{done.stdout}", encoding="utf-8"
        )
        partial.replace(path)
