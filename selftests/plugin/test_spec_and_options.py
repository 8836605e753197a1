"""--strict-config and --install-missing on whole commands, against the stand-in."""

from __future__ import annotations

import json

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


@pytest.mark.parametrize(("expires", "code", "outcome"), [("2999-12-31", 0, "ACCEPTED"), ("2026-01-31", 1, "REJECTED")])
def test_a_miss_that_is_waived_stops_no_release_until_its_day(place: Place, expires: str, code: int, outcome: str) -> None:
    waiver = {"check": "spec.env.A_SETTING", "owner": "J. Doe", "expires": expires, "reason": "known"}
    place.whole_spec(env_vars={"A_SETTING": "1"}, waivers=[waiver])
    ended = place.release(A_SETTING="2").end().must_end(code, outcome)
    row = ended.rows["spec.env.A_SETTING"]
    assert row["verdict"] == ("CONDITIONAL" if code == 0 else "FAIL")
    assert row["reason"].startswith(f"waived by J. Doe until {expires} (known): ") == (code == 0)


def test_a_waiver_of_a_check_covers_no_death_of_the_server(place: Place) -> None:
    check = "server.bad-request.invalid-json"
    waiver = {"check": check, "owner": "J. Doe", "expires": "2999-12-31", "reason": "known"}
    place.whole_spec(faults="dies-on-bad-request", waivers=[waiver])
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
