"""What the models and enumerations of a spec say of themselves, read from the text below each key and value.

Only the schema and the page of the keys need it: read whenever the models are imported, it would take a third of that time.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from hallmark.specs.model import DeviceCatalogue, FamilySpec
from hallmark.specs.policy import Policy

ROOTS: tuple[type[BaseModel], ...] = (FamilySpec, DeviceCatalogue, Policy)
"""What one file can be."""


def described() -> tuple[list[type[BaseModel]], list[type[StrEnum]]]:
    """Every model and every enumeration that a spec file, the device catalogue or the policy is made of."""
    found: dict[type, None] = {}
    for root in ROOTS:
        _collect(root, found)
    models = [each for each in found if issubclass(each, BaseModel)]
    return models, [each for each in found if issubclass(each, StrEnum)]


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Key -> what its field says of itself, else the text below it in the class that declares it; of each that has one."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            docs |= member_docs(base)
    said = {name: field.description or docs.get(name, "") for name, field in model.model_fields.items()}
    return {name: text for name, text in said.items() if text}


@cache
def member_docs(documented: type) -> Mapping[str, str]:
    """Name -> the text below it, of each key or member that has one; Python itself keeps none of them."""
    return dict(_below(ast.parse(textwrap.dedent(inspect.getsource(documented)))))


def _collect(annotation: Any, found: dict[type, None]) -> None:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel | StrEnum):
        if annotation in found:
            return
        found[annotation] = None
        if issubclass(annotation, BaseModel):
            for field in annotation.model_fields.values():
                _collect(field.annotation, found)
    for argument in get_args(annotation):
        _collect(argument, found)


def _below(module: ast.Module) -> Iterator[tuple[str, str]]:
    body = module.body[0].body if isinstance(module.body[0], ast.ClassDef) else []
    for statement, following in pairwise(body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if isinstance(following, ast.Expr):
                    yield name, inspect.cleandoc(ast.literal_eval(following.value))
