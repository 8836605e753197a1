"""What `specs lint` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Worst first."""

    ERROR = "error"
    """It cannot be meant: a check can never pass, or never fail."""
    WARNING = "warning"
    """It can be meant, and probably is not."""
    NOTE = "note"
    """Something that cannot be told from the spec."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing in one place, and what to do about it."""

    rule: str
    severity: Severity
    where: str
    message: str
    hint: str
