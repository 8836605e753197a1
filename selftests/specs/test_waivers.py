"""Waivers as exceptions that a policy governs: each limit is broken, and kept, by the hallmark policy and by one's own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hallmark.cli import main
from hallmark.core.errors import SpecError
from hallmark.core.product import SUITE
from hallmark.specs.catalogue import Catalogue, load_catalogue
from hallmark.specs.cell import Cell
from hallmark.specs.checks import declared_checks, demanded
from hallmark.specs.policy import shipped_limits
from hallmark.specs.waiver_rules import breaches, ending, require_allowed
from hallmark.workflows import specs_command
from selftests.specs.sheets import FAMILY, family_file, line_of, spec_folder, weights_folder

POLICY = 'schema_version: 2\nwaivers: {{ longest_days: {days}, most_percent: {percent}, never: ["{never}"] }}\n'


def sheet(*checks: str, ends_on: str = "2026-04-01") -> str:
    """The small family, with a waiver of each check on the device of its whole cell."""
    fields = f'owner: J. Doe, reason: known, issue: "ABC-12", made_on: "2026-01-01", ends_on: "{ends_on}"'
    lines = "".join(f"\n          - {{ check: {check}, {fields} }} # HERE" for check in checks)
    return FAMILY.replace("max_context: 512", f"max_context: 512\n        waivers:{lines or ' []'}", 1)


def loaded(folder: Path, *checks: str, policy: str = "", ends_on: str = "2026-04-01") -> tuple[Catalogue, Cell]:
    spec_folder(folder, sheet(*checks, ends_on=ends_on))
    if policy:
        family_file(folder, policy, "policy.yaml")
    catalogue = load_catalogue([folder])
    return catalogue, next(cell for cell in catalogue.cells if cell.id == "id_plain_Small-1B-Instruct_cpu")


def said(folder: Path, *checks: str, policy: str = "", ends_on: str = "2026-04-01") -> list[str]:
    _, cell = loaded(folder, *checks, policy=policy, ends_on=ends_on)
    return [breach.message for breach in breaches(cell)]


def may_be_waived(folder: Path) -> list[str]:
    """Every check of the cell that may be waived."""
    return [entry.check for entry in demanded(loaded(folder)[1]) if not shipped_limits().forbids(entry.check)]


def test_as_many_as_the_policy_allows_and_one_more(tmp_path: Path) -> None:
    checks = may_be_waived(tmp_path)
    demands = len(demanded(loaded(tmp_path)[1]))
    most = demands // 20
    assert said(tmp_path, *checks[:most]) == []
    more = said(tmp_path, *checks[: most + 1])
    assert more == [
        f"{most + 1} of {demands} demanded checks are waived; at most {most}, 5 % (hallmark's own policy)",
    ]


def test_ninety_days_and_one_more(tmp_path: Path) -> None:
    assert said(tmp_path, "server.chat") == []
    longer = "the waiver of server.chat is for 91 days; at most 90 (hallmark's own policy)"
    assert said(tmp_path, "server.chat", ends_on="2026-04-02") == [longer]


@pytest.mark.parametrize(
    ("folder", "files", "waivable"),
    [
        ("server", ("identity", "auth", "security", "isolation"), ["server.health"]),  # which says nothing of who answers
        ("spec", ("requirements",), []),
    ],
)
def test_identity_auth_isolation_and_the_environment_are_never_waived(
    folder: str, files: tuple[str, ...], waivable: list[str]
) -> None:
    """By the files of their tests: a check that is new there belongs into model_specs/policy.yaml."""
    paths = {f"{folder}/test_{name}.py" for name in files}
    names = [check.id for check in declared_checks() if check.file in paths]
    assert len(names) >= len(files)
    assert [name for name in names if not shipped_limits().forbids(name)] == waivable


def test_a_folder_has_a_policy_of_its_own(tmp_path: Path) -> None:
    stricter = POLICY.format(days=30, percent=50, never="server.chat")
    told = said(tmp_path / "a", "server.chat", policy=stricter)
    assert [message.partition(" (")[0] for message in told] == [
        "server.chat is never waived",
        "the waiver of server.chat is for 90 days; at most 30",
    ]
    assert f"({tmp_path / 'a' / 'policy.yaml'})" in told[0]
    assert said(tmp_path / "b", "server.auth", policy=POLICY.format(days=90, percent=5, never="server.chat")) == []
    none = said(tmp_path / "c", "server.chat", policy=POLICY.format(days=90, percent=0, never="-"))
    assert none[0].partition("; ")[2].startswith("at most 0, 0 %")


def test_a_policy_binds_its_own_folder_alone(tmp_path: Path) -> None:
    spec_folder(tmp_path / "first", FAMILY.replace("Small", "Other").replace("family: small", "family: other"))
    loaded(tmp_path / "second", policy=POLICY.format(days=1, percent=1, never="-"))
    cells = load_catalogue([tmp_path / "first", tmp_path / "second"]).cells
    assert {(cell.family, cell.waiver_limits.longest_days) for cell in cells} == {("other", 90), ("small", 1)}


def test_a_policy_says_for_how_long_a_run_counts(tmp_path: Path) -> None:
    own = POLICY.format(days=90, percent=5, never="-")
    assert loaded(tmp_path / "a")[1].valid_days == loaded(tmp_path / "b", policy=own)[1].valid_days == 90
    assert loaded(tmp_path / "c", policy=own + "certificates: { valid_days: 30 }\n")[1].valid_days == 30


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema_version: 2\nwaivers: { longest_days: 90, most_percent: 5 } # HERE\n", "'waivers.never' is missing"),
        (POLICY.format(days=90, percent=101, never="-").replace("\nwaivers", "\n\nwaivers"), "less than or equal to 100"),
        (POLICY.format(days=0, percent=5, never="-"), "greater than 0"),
    ],
)
def test_a_policy_that_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        loaded(tmp_path, policy=text)
    assert caught.value.where.startswith(f"{tmp_path / 'policy.yaml'}:")


def test_two_policies_in_a_folder_are_one_too_many(tmp_path: Path) -> None:
    family_file(tmp_path, POLICY.format(days=1, percent=1, never="-"), "policy.yml")
    with pytest.raises(SpecError, match="a folder has one policy"):
        loaded(tmp_path, policy=POLICY.format(days=1, percent=1, never="-"))


def test_a_run_begins_only_where_the_policy_is_kept(tmp_path: Path) -> None:
    """The line is that of the waiver, also where a runtime configuration has others; another cell's waivers keep nobody."""
    catalogue, cell = loaded(tmp_path, "server.chat", "server.auth")
    with pytest.raises(SpecError, match=r"server\.auth is never waived") as caught:
        require_allowed(catalogue, [cell])
    assert caught.value.where == f"{tmp_path / 'small.yaml'}:{line_of(sheet('server.chat', 'server.auth')) + 1}"
    require_allowed(catalogue, [other for other in catalogue.cells if other.device == "t3k"])
    catalogue, cell = loaded(tmp_path, "server.chat")
    require_allowed(catalogue, [cell])


def test_lint_ends_as_a_run_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(specs_command, "known_tasks", lambda: None)
    weights_folder(tmp_path / "specs")
    for check, code in (("server.auth", 2), ("server.chat", 0)):
        loaded(tmp_path / "specs", check)
        assert main(["specs", "lint", f"--spec-dir={tmp_path / 'specs'}"]) == code
        assert ("never waived" in capsys.readouterr().out) == (code == 2)


@pytest.mark.parametrize(
    ("today", "told"),
    [
        ("2026-03-17", []),
        ("2026-03-18", ["the waiver of server.chat ends on 2026-04-01, in 14 days"]),
        ("2026-03-31", ["the waiver of server.chat ends on 2026-04-01, in 1 day"]),
        ("2026-04-01", ["the waiver of server.chat ends on 2026-04-01, today"]),
        ("2026-04-02", ["the waiver of server.chat ended on 2026-04-01: a miss is not waived any more"]),
    ],
)
def test_a_waiver_that_ends_is_told_two_weeks_before_and_from_then_on(tmp_path: Path, today: str, told: list[str]) -> None:
    _, cell = loaded(tmp_path, "server.chat")
    assert [breach.message for breach in ending(cell, today=date.fromisoformat(today))] == told


def test_every_shipped_waiver_keeps_the_shipped_policy() -> None:
    waiving = [cell for cell in load_catalogue([Path(SUITE).parent / "model_specs"]).cells if cell.entry.waivers]
    assert waiving, "else this shows nothing"
    assert [breach.message for cell in waiving for breach in breaches(cell)] == []
