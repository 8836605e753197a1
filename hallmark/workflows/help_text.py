"""How help looks: an option a line, as far as the terminal is wide, so that a command's help fits a screen."""

from __future__ import annotations

import argparse

_NAMES_WIDTH = 33


def one_line_each(prog: str) -> argparse.HelpFormatter:
    """A formatter that keeps an option's help beside its name, and an epilog's lines as they are."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=_NAMES_WIDTH)
