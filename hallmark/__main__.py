"""`python -m hallmark` and `hallmark` are the command line, ended tidily by a signal from their first instruction on."""

from __future__ import annotations

import sys
from collections.abc import Callable

from hallmark.core.signals import INTERRUPTED, STOPPED, EndSignals


def main() -> int:
    return ended_tidily(_command)


def ended_tidily(command: Callable[[], int]) -> int:
    """The exit code of `command`, or 130 where a signal ended it; what comes after the first signal changes nothing."""
    signals = EndSignals()
    try:
        signals.take()
        return command()
    except KeyboardInterrupt:
        print(f"hallmark: {STOPPED}", file=sys.stderr)
        return INTERRUPTED
    finally:
        signals.ignore()


def _command() -> int:
    from hallmark import cli  # takes seconds on a busy machine

    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
