"""A draft - a cell whose spec lacks what a certificate needs - may be run, is never accepted, and every surface says so."""

from __future__ import annotations

import pytest

from selftests.plugin.conftest import Place

pytestmark = pytest.mark.e2e
CELL = "id_stand-in-server_stand-in_cpu"


@pytest.mark.long
def test_a_draft_is_not_accepted_though_everything_it_demands_passed(place: Place) -> None:
    """The clean server and its whole spec, but for the statement: `clean` is accepted with the very same."""
    place.whole_spec(impl={"missing": ["eval_tasks"]})
    ended = place.release().end().must_end(4, "INCONCLUSIVE")
    line = "draft: missing eval tasks"
    assert f"  {line} ({CELL}): may be run, is never accepted" in ended.out.splitlines(), "in the header"
    verdict = ended.out.splitlines()[-1]
    assert verdict.startswith(f"verdict: INCONCLUSIVE - {line}; a draft is never accepted. All ")
    for name in ("report.html", "report.md", "report.json", "junit.xml"):
        assert line in (ended.folder / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_collecting_says_what_is_missing(place: Place, quiet: tuple[str, ...]) -> None:
    """Also where the spec itself does not say so."""
    place.spec(impl={"engine": {"name": "vllm", "module": "selftests.faulty.server"}})
    said = place.pytest("--collect-only", *quiet).end().out.splitlines()
    line = f"draft: missing engine version, eval targets, perf targets ({CELL}): may be run, is never accepted"
    assert line in said
    assert (f"  {line}" in said) == (not quiet), "the header, which -q leaves out"


def test_of_a_whole_spec_nothing_is_said(place: Place) -> None:
    place.whole_spec()
    assert "draft" not in place.pytest("--collect-only").end().out
