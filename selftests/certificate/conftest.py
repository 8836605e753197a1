"""What the tests of certificates share: a run's folder, keys of several parties, and hallmark as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from hallmark import cli
from selftests.certificate.ended_runs import copied, subjects, write_ended

# pydantic has doubts about a whole number in `float | str`; the files hold it well all the same.
QUIET = "ignore:Pydantic serializer warnings"


class Key(NamedTuple):
    """Both halves of a key, and its id."""

    private: str
    public: str
    id: str


class Said(NamedTuple):
    """How a command ended."""

    code: int
    lines: list[str]
    error: str

    def has(self, part: str) -> bool:
        return any(part in line for line in self.lines)


Hallmark = Callable[..., Said]


@pytest.fixture
def hallmark(capsys: pytest.CaptureFixture[str]) -> Hallmark:
    """`hallmark WORD ...`, as somebody types it."""

    def typed(*words: object) -> Said:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        told = capsys.readouterr()
        return Said(code, told.out.splitlines(), told.err)

    return typed


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    from hallmark.signing.keys import make_key

    folder = tmp_path_factory.mktemp("keys")
    return {
        name: Key(str(folder / name), f"{folder / name}.pub", make_key(folder / name)) for name in ("ours", "witness", "stranger")
    }


@pytest.fixture
def ours(made_keys: dict[str, Key]) -> Key:
    """The key of who ran it."""
    return made_keys["ours"]


@pytest.fixture
def theirs(made_keys: dict[str, Key]) -> Key:
    """The key of another party."""
    return made_keys["witness"]


@pytest.fixture
def stranger(made_keys: dict[str, Key]) -> Key:
    """A key that signed nothing."""
    return made_keys["stranger"]


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ended(tmp_path_factory.mktemp("runs") / "run", known=subjects())


@pytest.fixture
def folder(made_folder: Path, tmp_path: Path) -> Path:
    """The folder of an accepted run, which nobody certified yet."""
    return copied(made_folder, tmp_path / "run")


@pytest.fixture(scope="session")
def made_signed(made_folder: Path, made_keys: dict[str, Key], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hallmark.workflows.certify.session import certify

    copy = copied(made_folder, tmp_path_factory.mktemp("signed") / "run")
    certify(copy, made_keys["ours"].private, operator="the release desk")
    return copy


@pytest.fixture
def signed(made_signed: Path, tmp_path: Path) -> Path:
    """The same, certified and signed by our key."""
    return copied(made_signed, tmp_path / "signed")
