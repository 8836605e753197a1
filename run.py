#!/usr/bin/env python3
"""Certify a model on a device, from nothing but Python 3.11: makes .venv, installs hallmark into it, and runs it there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

if sys.version_info < (3, 11):
    sys.exit(f"run.py needs Python 3.11 or later, this is {sys.version.split()[0]} - start it with a newer python3")

sys.path.insert(0, str(ROOT))

from hallmark.core.errors import HallmarkError  # noqa: E402 - the checkout is importable only now
from hallmark.core.signals import INTERRUPTED, STOPPED, EndSignals, held_back  # noqa: E402
from hallmark.environment.provision import EnvironmentPlan, ensure  # noqa: E402
from hallmark.workflows.secrets import moved_to_environment  # noqa: E402


def _say(text: str) -> None:
    print(f"hallmark: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Build the suite's environment if it is not there yet, and hand over to it."""
    plan = EnvironmentPlan(requirements=(), editable=ROOT, extras=("selftest", "downloads", "docker", "signing", "pkcs11", "ray"))
    try:
        EndSignals().take()
        python = ensure(plan, ROOT / ".venv", log=_say, tools=ROOT / ".hallmark" / "tools")
        with held_back():
            os.execv(python, [str(python), "-m", "hallmark.checkout", *moved_to_environment(sys.argv[1:], os.environ)])
    except HallmarkError as exc:
        print(f"run.py: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print(f"run.py: {STOPPED}", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
