"""What all parts of a spec are made of: strict, frozen models, and the field types that they share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hallmark.core.errors import nearest
from hallmark.environment.system_names import detection_names, system_names
from hallmark.specs.satisfiable import satisfiable

ENGINE_ARGUMENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Names that every shell and container runtime passes on."""


class Refused(ValueError):
    """A value that makes no sense, with what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as exc:
        raise Refused(f"'{text}' is no version specifier such as '>=2.0,<3'") from exc
    return _satisfiable(text, text)


def _distribution_specifier(text: str) -> str:
    try:
        wanted = Requirement(f"x {text}".strip())  # the blank keeps `2.13` from becoming part of the name
    except InvalidRequirement as exc:
        raise Refused(f"'{text}' is no version specifier such as '>=2.0,<3', with or without a marker") from exc
    return _satisfiable(str(wanted.specifier), text)


def _satisfiable(specifier: str, text: str) -> str:
    if not satisfiable(specifier):
        raise Refused(f"'{text}' contradicts itself: no version meets it", "drop or correct a part of it")
    return text


def _distribution(name: str) -> str:
    """A name that an installer takes for a package: no option, no path, no address, and no version either."""
    try:
        found = Requirement(name)
    except InvalidRequirement as exc:
        raise Refused(f"'{name}' is no name of a package", "write one such as vllm, or lm-eval[api]") from exc
    if found.specifier or found.url or found.marker or name != name.strip():
        raise Refused(f"'{name}' is more than the name of a package", f'write {found.name}: "<version specifier>"')
    return name


def _system_name(name: str) -> str:
    known = name.lower().replace("_", "-")
    if known not in (names := system_names()):
        raise Refused(f"'{name}' is nothing that hallmark can find out about a machine", nearest(known, names))
    return name


def _detection_name(name: str) -> str:
    if name not in (names := detection_names()):
        raise Refused(f"'{name}' is no vendor that hallmark knows", nearest(name, names))
    return name


class _OneOfTheVendors:
    """Makes the JSON schema name them, as far as they are known when it is made."""

    @staticmethod
    def __get_pydantic_json_schema__(core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core_schema), "enum": list(detection_names())}


def _variable(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise Refused(f"'{name}' is no name of a variable", "use letters, digits and _, and no digit at the front")
    return name


def _engine_argument(name: str) -> str:
    if not ENGINE_ARGUMENT.fullmatch(name):
        raise Refused(f"'{name}' is no engine argument", "write its name without dashes in front, such as max_num_seqs")
    return name


def _commit(text: str) -> str:
    if not re.fullmatch(r"\w[\w./+-]*", text):
        raise Refused(f"'{text}' is neither a commit nor a tag", "write a commit of 7 digits or more, or a tag")
    if re.fullmatch(rf"[0-9a-fA-F]{{1,{SHORTEST_COMMIT - 1}}}", text):
        raise Refused(f"'{text}' is too short for a commit", f"give {SHORTEST_COMMIT} hexadecimal digits or more")
    return text


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
ServedName = Annotated[
    str,
    Field(pattern=r"^([A-Za-z0-9/][!-~]*)?$", max_length=400, description="A model's name as clients write it."),
]
CheckId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100, description="the id of a check")]
SHORTEST_COMMIT = 7
"""Digits; fewer may be those of several commits."""
_OF_COMMITS = Field(description="a git commit, 7 digits or more, or a tag", max_length=100)
Commit = Annotated[str, _OF_COMMITS, AfterValidator(_commit)]
OptionalCommit = Annotated[str, _OF_COMMITS, AfterValidator(lambda text: text and _commit(text))]
"""Empty where none is pinned."""
_LONGEST_SPECIFIER = 200
_OF_VERSIONS = Field(description="a version specifier such as '>=2.0,<3'; empty for any version", max_length=_LONGEST_SPECIFIER)
Specifier = Annotated[str, _OF_VERSIONS, AfterValidator(_specifier)]
DistributionSpecifier = Annotated[str, _OF_VERSIONS, AfterValidator(_distribution_specifier)]
"""As of a distribution: a marker may follow, such as `>=2; python_version < '3.13'`."""
Distribution = Annotated[str, Field(max_length=_LONGEST_SPECIFIER), AfterValidator(_distribution)]
"""A package's name, with extras where it has some."""
SystemName = Annotated[str, AfterValidator(_system_name)]
"""Something about a machine that has a version, such as `gcc` or `nvidia-driver`."""
DetectionName = Annotated[str, AfterValidator(_detection_name), _OneOfTheVendors]
"""How a device is found: `cpu`, or the name of an accelerator vendor."""
Variable = Annotated[str, AfterValidator(_variable)]
Index = Annotated[str, Field(pattern=r"^((https?|file)://\S+)?$", description="the address of a package index; empty for none")]
Repository = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?)?$",
        description="A Hugging Face repository: <owner>/<name>.",
    ),
]
Module = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]

_MOST = 1_000_000_000
"""Of tokens, requests, sequences, seconds or gibibytes: beyond it a number is a slip."""
Positive = Annotated[int, Field(gt=0, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Quantity = Annotated[float, Field(ge=1e-6, le=1e12)]
"""What is measured: milliseconds, tokens or requests per second."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]
Replaces = Text | tuple[Text, ...]
"""One name, or several."""
Scalar = str | int | float | bool


class Contradiction(Refused):
    """Values that are fine one by one; `at` is the key path, below the model that objects, of the one to look at."""

    def __init__(self, message: str, *at: str | int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.at = at


def second(names: Iterable[object]) -> int | None:
    """The place of the first name that was there before."""
    seen: set[object] = set()
    for place, name in enumerate(names):
        if name in seen:
            return place
        seen.add(name)
    return None


def _one_spelling(arguments: dict[str, Scalar]) -> dict[str, Scalar]:
    names = list(arguments)
    if (place := second(name.replace("-", "_") for name in names)) is not None:
        raise Contradiction(f"'{names[place]}' is there twice, with - and with _", names[place])
    return arguments


EngineArguments = Annotated[dict[Annotated[str, AfterValidator(_engine_argument)], Scalar], AfterValidator(_one_spelling)]


class Strict(BaseModel):
    model_config = ConfigDict(
        defer_build=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,  # an infinite latency target would be no target
        hide_input_in_errors=True,  # it may be a secret, and a traceback shows what pydantic says
    )
