"""`python -m hallmark.plugin ARGUMENTS`: pytest, ended tidily by a signal from its first instruction on."""

from __future__ import annotations

from hallmark.core.signals import INTERRUPTED, EndSignals


def main() -> int:
    """pytest's exit code, or 130 where a signal ended it: pytest's own for that means other things, too."""
    signals = EndSignals()
    try:
        signals.take()
        import pytest  # takes seconds on a busy machine

        from hallmark.plugin.interrupts import Interrupts

        code = pytest.main(plugins=[Interrupts(signals, of_program=True)])
        return INTERRUPTED if signals.first and code == pytest.ExitCode.INTERRUPTED else int(code)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signals.ignore()


if __name__ == "__main__":
    raise SystemExit(main())
