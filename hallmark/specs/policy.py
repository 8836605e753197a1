"""`policy.yaml`: what a catalogue allows of its specs. A folder without one gets the policy that hallmark ships."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hallmark.core.product import CATALOGUE
from hallmark.core.waivers import WaiverLimits
from hallmark.specs.loader import POLICY_STEM, policy_file, validate
from hallmark.specs.migrations import migrated
from hallmark.specs.strict import Positive, Strict, Text
from hallmark.specs.yaml_source import read

Percent = Annotated[float, Field(ge=0, le=100)]
_SHIPPED = CATALOGUE / f"{POLICY_STEM}.yaml"


class WaiverPolicy(Strict):
    """Within what limits a check may be waived."""

    longest_days: Positive
    """The most days from `made_on` to `ends_on` of a waiver."""
    most_percent: Percent
    """How many of the checks that a cell demands may be waived, rounded down."""
    never: tuple[Text, ...]
    """The checks that are never waived, by their names; `*` stands for anything."""


class CertificatePolicy(Strict):
    """How long a result is taken for one of today."""

    valid_days: Positive = 90
    """The days from a run's beginning on which it still counts; `hallmark verify` says that it has ended after them."""


class Policy(Strict):
    """`model_specs/policy.yaml`."""

    schema_version: Literal[2]
    """What this file is written in."""
    waivers: WaiverPolicy
    """What is allowed of the waivers of each cell."""
    certificates: CertificatePolicy = Field(default_factory=CertificatePolicy)
    """For how long a run of a cell counts."""


def limits_of(folder: Path) -> WaiverLimits:
    """What the policy of a folder of specs allows; SpecError where it is wrong."""
    path = policy_file(folder)
    if path is None or path.resolve() == _SHIPPED.resolve():
        return shipped_limits()
    return _limits(path, source=str(path))


def valid_days_of(folder: Path) -> int:
    """For how many days a run counts by the policy of a folder of specs; SpecError where that is wrong."""
    path = policy_file(folder)
    if path is None or path.resolve() == _SHIPPED.resolve():
        return shipped_valid_days()
    return _policy(path).certificates.valid_days


@cache
def shipped_valid_days() -> int:
    """The same by hallmark's own policy."""
    return _policy(_SHIPPED).certificates.valid_days


@cache
def shipped_limits() -> WaiverLimits:
    """What hallmark's own policy allows."""
    return _limits(_SHIPPED, source="hallmark's own policy")


def _policy(path: Path) -> Policy:
    return validate(Policy, migrated(read(path)))


def _limits(path: Path, *, source: str) -> WaiverLimits:
    stated = _policy(path).waivers
    return WaiverLimits(longest_days=stated.longest_days, most_percent=stated.most_percent, never=stated.never, source=source)
