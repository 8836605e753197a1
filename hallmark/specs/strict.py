"""What all parts of a spec are made of: strict, frozen models, and the field types that they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as exc:
        raise ValueError(f"'{text}' is no version specifier such as '>=2.0,<3'") from exc
    return text


def _distribution_specifier(text: str) -> str:
    try:
        Requirement(f"x {text}".strip())  # the blank keeps `2.13` from becoming part of the name
    except InvalidRequirement as exc:
        raise ValueError(f"'{text}' is no version specifier such as '>=2.0,<3', with or without a marker") from exc
    return text


_OF_VERSIONS = Field(description="a version specifier such as '>=2.0,<3'; empty for any version")
Specifier = Annotated[str, AfterValidator(_specifier), _OF_VERSIONS]
DistributionSpecifier = Annotated[str, AfterValidator(_distribution_specifier), _OF_VERSIONS]
"""As of a distribution: a marker may follow, such as `>=2; python_version < '3.13'`."""
Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Scalar = str | int | float | bool


class Contradiction(ValueError):
    """Values that are fine one by one; `at` is the key path, below the model that objects, of the one to look at."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


def second(names: Iterable[object]) -> int | None:
    """The place of the first name that was there before."""
    seen: set[object] = set()
    for place, name in enumerate(names):
        if name in seen:
            return place
        seen.add(name)
    return None


class Strict(BaseModel):
    # An infinite latency target would be no target.
    model_config = ConfigDict(
        defer_build=True, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
