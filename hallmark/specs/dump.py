"""FamilySpec -> YAML that loads to the same spec again: what `specs convert` writes and `specs show` prints."""

from __future__ import annotations

from typing import Any

import yaml

from hallmark.specs.model import FamilySpec

_WIDTH = 120


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, as the specs of this project are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def to_plain(family: FamilySpec) -> dict[str, Any]:
    """The data of a spec file; what is default is left out.

    So are `extends` (what was inherited is written out) and `replaces`, which is about the file's place among others.
    """
    plain: dict[str, Any] = family.model_dump(mode="json", exclude_defaults=True, exclude={"extends", "replaces"})
    return plain


def to_yaml(family: FamilySpec, *, comment: str = "") -> str:
    """A whole spec file, with `comment` on top."""
    return as_yaml(to_plain(family), comment=comment)


def as_yaml(plain: dict[str, Any], *, comment: str = "") -> str:
    """The data of a spec file as its text."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return lines + text
