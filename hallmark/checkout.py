"""`python -m hallmark.checkout` is what run.py hands over to, once its environment is there."""

from __future__ import annotations

from hallmark.__main__ import ended_tidily


def _command() -> int:
    from hallmark import cli  # takes seconds on a busy machine

    return cli.checkout()


if __name__ == "__main__":
    raise SystemExit(ended_tidily(_command))
