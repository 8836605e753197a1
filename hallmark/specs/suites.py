"""Checks as their tests declare them: read from the test files without running anything.

A suite is a folder of test files. Each check is declared once, in the `check` marker of its test; `checks.txt` beside them has
a line for each, so that a check whose test is gone is still demanded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hallmark.core.errors import UsageError
from hallmark.core.parts import Kind

INDEX = "checks.txt"
KINDS: tuple[Kind, ...] = ("spec", "server", "evals", "perf")
_MARKER = "mark.check"
_PARAMETRIZE = "mark.parametrize"
_WORDS = ("title", "needs", "kind", "source", "covers", "fault", "last", "ends_server", "again")


@dataclass(frozen=True, slots=True)
class Suite:
    """A folder of acceptance tests with its `checks.txt`."""

    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Its test files, sorted."""
        return tuple(sorted(self.folder.rglob("test_*.py")))

    @property
    def checks(self) -> tuple[DeclaredCheck, ...]:
        """In the order of `checks.txt`; UsageError where that and the tests are not one to one in what is declared."""
        return _checks(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCheck:
    """One `check` marker."""

    id: str
    """`{name}` in it stands for a parameter of the test, such as `evals.{eval_target.name}`."""
    title: str
    """What is required, in a sentence; it may have the id's parameters and `{cell}`."""
    needs: tuple[str, ...] = ()
    """What a cell must have for the check to be demanded of it (`needs.py`); it may have the id's parameter, too."""
    kind: Kind = "extra"
    source: str = ""
    """Where the requirement comes from."""
    covers: tuple[str, ...] = ()
    """Ids of requirements that a suite lists beside its tests (`requirements.yaml`)."""
    fault: str = ""
    """What turns it red."""
    file: str
    """The test file, below the suite's folder."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The values of the parameters that the test states itself."""


def kind_of(check: str) -> Kind:
    """The kind that a check's id begins with."""
    first = check.partition(".")[0]
    return next((kind for kind in KINDS if kind == first), "extra")


@cache
def _checks(suite: Suite) -> tuple[DeclaredCheck, ...]:
    declared = {check.id: check for file in suite.files for check in _declared_in(file, suite.folder)}
    index = suite.folder / INDEX
    listed = dict(_lines(index))
    if unlisted := [check for check in declared.values() if check.id not in listed]:
        check = unlisted[0]
        raise UsageError(
            f"the check {check.id} is not listed in {INDEX}", where=f"{suite.folder / check.file}", hint=f"add '{_line(check)}'"
        )
    return tuple(declared.get(id_) or _gone(id_, file) for id_, file in listed.items())


def _line(check: DeclaredCheck) -> str:
    return f"{check.id}  {check.file}"


def _lines(index: Path) -> Iterator[tuple[str, str]]:
    try:
        text = index.read_text(encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror}", where=str(index), hint="a line 'ID FILE' for each check") from exc
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if len(words) not in (0, 2):
            raise UsageError(f"'{line.strip()}' is not 'ID FILE'", where=f"{index}:{number}")
        if words:
            yield words[0], words[1]


def _gone(id_: str, file: str) -> DeclaredCheck:
    return DeclaredCheck(id=id_, title=f"its test in {file} is gone", kind=kind_of(id_), file=file)


def _declared_in(path: Path, folder: Path) -> Iterator[DeclaredCheck]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (OSError, ValueError, SyntaxError):
        return  # pytest tells what is wrong with it; its checks are listed, so they are missing
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from _of_function(node, path, folder)


def _of_function(node: ast.FunctionDef, path: Path, folder: Path) -> Iterator[DeclaredCheck]:
    calls = [decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)]
    values = dict(parameter for call in calls if (parameter := _parameter(call)))
    for call in calls:
        if not ast.unparse(call.func).endswith(_MARKER):
            continue
        where = f"{path}:{call.lineno}"
        try:
            (id_,) = map(ast.literal_eval, call.args)
            words = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        except ValueError as exc:
            raise UsageError("the check marker takes an id and literal words", where=where) from exc
        yield _from_words(id_, words, where, file=path.relative_to(folder).as_posix(), values=values)


def _from_words(
    id_: str, words: Mapping[str | None, Any], where: str, *, file: str, values: Mapping[str, tuple[str, ...]]
) -> DeclaredCheck:
    if unknown := [str(word) for word in words if word not in _WORDS]:
        raise UsageError(f"the check marker does not know '{unknown[0]}'", where=where, hint=f"it takes {', '.join(_WORDS)}")
    if not words.get("title"):
        raise UsageError(f"the check {id_} has no title", where=where, hint="title='what is required, in a sentence'")
    return DeclaredCheck(
        id=id_,
        title=words["title"],
        needs=_texts(words.get("needs", ())),
        kind=words.get("kind") or kind_of(id_),
        source=words.get("source", ""),
        covers=_texts(words.get("covers", ())),
        fault=words.get("fault", ""),
        file=file,
        values=values,
    )


def _texts(word: str | Iterable[str]) -> tuple[str, ...]:
    return (word,) if isinstance(word, str) else tuple(word)


def _parameter(call: ast.Call) -> tuple[str, tuple[str, ...]] | None:
    """Name and values of a `parametrize` with one name and literal texts."""
    if not ast.unparse(call.func).endswith(_PARAMETRIZE):
        return None
    try:
        name, values = map(ast.literal_eval, call.args)
    except ValueError:
        return None
    return (name, tuple(map(str, values))) if isinstance(name, str) else None
