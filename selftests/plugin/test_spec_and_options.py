"""--strict-config and --install-missing on whole commands, against the stand-in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from selftests.environment import fakes
from selftests.plugin.conftest import Place, place

__all__ = ["place"]
pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_a_conflict_warns_and_under_strict_config_stops_the_run(place: Place) -> None:
    place.spec(env_vars={"A_SETTING": "1"})
    warned = place.release(A_SETTING="2").end()
    plan = json.loads((warned.folder / "launch_plan.json").read_text(encoding="utf-8"))
    assert plan["warnings"] == ["A_SETTING=2 is set in the environment and kept; the spec says 1"]
    assert warned.rows["spec.env.A_SETTING"]["verdict"] == "FAIL"
    assert (warned.folder / "server.log").exists()
    stopped = place.release("--strict-config", A_SETTING="2").end()
    assert stopped.code == 2
    assert "--strict-config: A_SETTING=2 is set in the environment and kept; the spec says 1" in stopped.said
    assert not any((folder / "server.log").exists() for folder in stopped.folders), "no server was started"
    assert place.release("--strict-config", A_SETTING="1").end().bad.keys() == {"spec.targets"}


def test_a_variable_of_the_command_line_wins_is_on_record_and_certifies_nothing(place: Place) -> None:
    """pytest itself does not end 0 either: nothing was left out, so its 0 would read as accepted."""
    place.whole_spec()
    ended = place.pytest("--server-env", "A_SETTING=3", "--server-env=DO_NOT_TRACK=2", A_SETTING="2").end()
    ended.must_end(1, "PARTIAL")
    assert not ended.bad
    assert "narrowed: --server-env A_SETTING, DO_NOT_TRACK: this is not the server that the spec describes" in ended.causes
    plan = json.loads((ended.folder / "launch_plan.json").read_text(encoding="utf-8"))
    values = {row["name"]: row for row in plan["values"]}
    assert values["A_SETTING"] | {"value": "3", "origin": "command line", "overrode": "environment: 2"} == values["A_SETTING"]
    assert values["DO_NOT_TRACK"]["overrode"] == "default: 1"
    assert "server-env=A_SETTING=3 DO_NOT_TRACK=2 (command line)" in ended.out


STOPS = "server.stop-several"


def waiver(check: str, *, made: int = -1, ends: int = 60) -> dict[str, str]:
    """A waiver that holds from day `made` to day `ends`, counted from today."""
    today = datetime.now(UTC).date()
    days = {"made_on": str(today + timedelta(days=made)), "ends_on": str(today + timedelta(days=ends))}
    return {"check": check, "owner": "J. Doe", "reason": "known", "issue": "ABC-12", **days}


@pytest.mark.parametrize(("made", "ends", "code", "outcome"), [(-1, 60, 0, "ACCEPTED"), (-60, -2, 1, "REJECTED")])
def test_a_miss_that_is_waived_stops_no_release_on_its_days(place: Place, made: int, ends: int, code: int, outcome: str) -> None:
    stated = waiver(STOPS, made=made, ends=ends)
    place.whole_spec(faults="first-stop-only", waivers=[stated])
    ended = place.release().end().must_end(code, outcome)
    row = ended.rows[STOPS]
    assert row["verdict"] == ("CONDITIONAL" if code == 0 else "FAIL")
    told = f"waived by J. Doe until {stated['ends_on']} (ABC-12: known)"
    assert row["reason"].startswith(f"{told}: ") == (code == 0)
    assert f"{STOPS} {told}, made on {stated['made_on']}: the " in ended.said


def test_a_waiver_that_is_not_needed_is_told(place: Place) -> None:
    place.whole_spec(waivers=[waiver(STOPS)])
    ended = place.release().end().must_end(0, "ACCEPTED")
    assert ended.rows[STOPS]["verdict"] == "PASS"
    assert "the waiver is not needed any more: the check passes" in ended.said
    assert ended.report["waiver_limits"]["longest_days"] == 90


def test_a_waiver_that_the_policy_forbids_stops_the_run_before_it_begins(place: Place) -> None:
    place.whole_spec(waivers=[waiver("server.version")])
    ended = place.release().end()
    assert ended.code == 2
    (line,) = [line for line in ended.said.splitlines() if "never waived" in line]
    assert "stand-in.yaml:" in line
    assert "server.version is never waived (hallmark's own policy) - " in line
    assert not ended.folders


def test_a_waiver_of_a_check_covers_no_death_of_the_server(place: Place) -> None:
    check = "server.bad-request.invalid-json"
    place.whole_spec(faults="dies-on-bad-request", waivers=[waiver(check)])
    ended = place.release().end().must_end(1, "REJECTED")
    assert ended.rows[check]["verdict"] == "FAIL"


@pytest.mark.parametrize(("image", "partial"), [("spec:1", []), ("other:2", ["--image other:2: the spec's is spec:1"])])
def test_another_image_than_the_spec_s_certifies_nothing(place: Place, image: str, partial: list[str]) -> None:
    place.whole_spec(impl={"image": "spec:1"})
    ended = place.release("--docker", f"--image={image}", DOCKER_HOST=f"unix://{place.folder}/none.sock").end()
    assert json.loads((ended.folder / "manifest.json").read_text(encoding="utf-8"))["partial"] == partial


def test_what_was_tried_is_in_the_environment_and_what_is_missing_still_counts(place: Place) -> None:
    tools = place.folder / "tools"
    fakes.tool(tools, "uv", f"echo tried >> {tools}/calls")
    place.spec(impl={"python_deps": {"pytest": ">=8", "absent-thing": ">=1"}})
    environ = {"PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin", "PIP_NO_INDEX": "1"}
    unasked = place.release(**environ).end()
    assert json.loads((unasked.folder / "runtime_environment.json").read_text(encoding="utf-8"))["installation"] == []
    assert not (tools / "calls").exists()
    asked = place.release("--install-missing", **environ).end().must_end(1, "REJECTED")
    told = json.loads((asked.folder / "runtime_environment.json").read_text(encoding="utf-8"))
    assert told["installation"] == [
        {"requirement": "absent-thing >=1", "installer": "uv", "succeeded": True, "detail": "installed"}
    ]
    assert told["dependency_check_results"]["missing_deps"][0].startswith("python.absent-thing >=1: not installed")
    assert asked.rows["spec.python.absent-thing"]["verdict"] == "FAIL"
