"""`python -m hallmark` and `hallmark` are the command line, ended tidily by a signal from their first instruction on."""

from __future__ import annotations

import sys

from hallmark.core.signals import INTERRUPTED, STOPPED, EndSignals


def main() -> int:
    signals = EndSignals()
    try:
        signals.take()
        from hallmark import cli  # takes seconds on a busy machine

        return cli.main()
    except KeyboardInterrupt:
        print(f"hallmark: {STOPPED}", file=sys.stderr)
        return INTERRUPTED
    finally:
        signals.ignore()


if __name__ == "__main__":
    raise SystemExit(main())
