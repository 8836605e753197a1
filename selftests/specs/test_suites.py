"""Checks are declared beside their tests and read without running anything; what is gone is still demanded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.product import SUITE
from hallmark.specs.checks import declared_checks
from hallmark.specs.suites import DeclaredCheck, Suite
from selftests.faulty.faults import FAULTS

ONE = """
import pytest

raise RuntimeError("nothing here is ever run")


@pytest.mark.check(
    "acme.link", title="Each link is up", needs=["vendor:acme", "chat"], source="the manual", covers="L1", fault="a cut"
)
def test_link(cell, check): ...


@pytest.mark.parametrize("lane", ["left", "right"])
@pytest.mark.check("server.acme.{lane}", title="Lane {lane} is up", kind="server")
def test_lane(cell, lane): ...
"""
INDEX = "# ours\nacme.link  test_one.py\nserver.acme.{lane}  test_one.py  # both\n"


def suite(folder: Path, *, tests: str = ONE, index: str = INDEX) -> Suite:
    folder.mkdir(exist_ok=True)
    (folder / "test_one.py").write_text(tests)
    (folder / "checks.txt").write_text(index)
    return Suite(folder)


def test_what_the_markers_say_is_read(tmp_path: Path) -> None:
    link, lane = suite(tmp_path).checks
    assert link == DeclaredCheck(
        id="acme.link",
        title="Each link is up",
        needs=("vendor:acme", "chat"),
        kind="extra",
        source="the manual",
        covers=("L1",),
        fault="a cut",
        file="test_one.py",
    )
    assert (lane.kind, lane.values) == ("server", {"lane": ("left", "right")})


def test_a_test_that_is_gone_is_still_demanded(tmp_path: Path) -> None:
    """Its function, or its whole file."""
    less = suite(tmp_path / "function", tests=ONE.partition("@pytest.mark.parametrize")[0])
    assert [check.id for check in less.checks] == ["acme.link", "server.acme.{lane}"]
    assert less.checks[1].title == "its test in test_one.py is gone"
    nothing = suite(tmp_path / "file")
    (nothing.folder / "test_one.py").unlink()
    assert [check.title for check in nothing.checks] == ["its test in test_one.py is gone"] * 2


def test_a_check_of_the_suite_whose_test_is_deleted_is_still_demanded(tmp_path: Path) -> None:
    copy = tmp_path / "suite"
    shutil.copytree(SUITE, copy)
    (copy / "server" / "test_usage.py").unlink()
    whole, less = Suite(SUITE).checks, Suite(copy).checks
    assert [check.id for check in whole] == [check.id for check in less]
    gone = [check.id for check in less if check.title.endswith("is gone")]
    assert gone == [check.id for check in whole if check.file == "server/test_usage.py"]
    assert "server.usage-chat" in gone


@pytest.mark.parametrize(
    ("tests", "index", "says"),
    [
        (
            ONE,
            "acme.link  test_one.py",
            "the check server.acme.{lane} is not listed in checks.txt - add 'server.acme.{lane}  test_one",
        ),
        (ONE, INDEX + "acme.more", "'acme.more' is not 'ID FILE'"),
        (ONE.replace("title=", "name="), INDEX, "test_one.py:7: the check marker does not know 'name'"),
        (ONE.replace('title="Each link is up"', 'title=""'), INDEX, "the check acme.link has no title"),
        (ONE.replace('"Each link is up"', "TITLE"), INDEX, "the check marker takes an id and literal words"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, tests: str, index: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        _ = suite(tmp_path, tests=tests, index=index).checks
    assert says in str(raised.value).replace("  - ", " - ")
    assert "\n" not in str(raised.value)


def test_without_an_index_nothing_is_believed(tmp_path: Path) -> None:
    bare = suite(tmp_path)
    (tmp_path / "checks.txt").unlink()
    with pytest.raises(UsageError, match=r"checks\.txt: cannot be read"):
        _ = bare.checks


@pytest.mark.parametrize("check", declared_checks(), ids=lambda check: check.id)
def test_each_check_says_what_it_requires_where_from_and_how_it_fails(check: DeclaredCheck) -> None:
    assert check.title[0].isupper() or check.title[0] in "{/"
    assert not check.title.endswith(".")
    assert check.source
    assert (
        check.fault.partition("=")[0] in FAULTS
        if check.kind in ("server", "evals", "perf") and " " not in check.fault
        else check.fault
    )
