"""A cell is made ready step by step, each step once; the first failure stays, and an absent device costs nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from hallmark.core.errors import Inconclusive, InfrastructureError, LaunchError, ProvisionError, UsageError, Void
from hallmark.core.redact import Redactor
from hallmark.environment.devices import Presence
from hallmark.environment.document import SCHEMA_FILE
from hallmark.environment.findings import State
from hallmark.serving import testbed as module
from hallmark.serving.local import site as local_site
from hallmark.serving.local.launcher import LocalLauncher
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.server import Launcher, LaunchPlan, RunningServer
from hallmark.serving.site import TestbedSettings
from hallmark.serving.testbed import Testbed
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.cell import Cell
from selftests.faulty import running
from selftests.serving.plans import stand_in
from selftests.specs.sheets import spec_folder

Make = Callable[..., Testbed]


def cell_of(folder: Path, device: str = "cpu") -> Cell:
    catalogue = load_catalogue([spec_folder(folder / "specs")])
    (cell,) = catalogue.select(Selection(models=("Small-1B",), device=device, impl="plain"))
    return cell


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were really taken; a device is always there, and an environment is built at once."""
    taken: list[str] = []

    def noting(name: str, answer: Any) -> Callable[..., Any]:
        def step(*_: object, **__: object) -> Any:
            taken.append(name)
            return answer

        return step

    monkeypatch.setattr(module, "detect", noting("detect", Presence(present=True, found="CPU", looked=("here",))))
    monkeypatch.setattr(local_site, "ensure", noting("ensure", Path(sys.executable)))
    return taken


@pytest.fixture
def said() -> list[str]:
    """What a person was told."""
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[Make]:
    made: list[Testbed] = []

    def testbed(*, device: str = "cpu", server: str = "local", environ: dict[str, str] | None = None, **settings: Any) -> Testbed:
        launch = LaunchSettings(**{name: settings.pop(name) for name in ("server_url", "api_key", "port") if name in settings})
        chosen = TestbedSettings(server=server, launch=launch, environments=tmp_path / "environments", **settings)
        given = environ or {"PATH": "/usr/bin:/bin"}
        redact = Redactor.of_environment(given)
        made.append(
            Testbed(
                cell_of(tmp_path, device),
                chosen,
                folder=tmp_path,
                environ=given,
                progress=lambda _: None,
                say=said.append,
                redact=redact,
            )
        )
        return made[-1]

    yield testbed
    for testbed_made in made:
        testbed_made.close()


class StandInLauncher(Launcher):
    """Starts the stand-in with `faults` in place of the plan's engine, and counts."""

    def __init__(self, folder: Path, *faults: str) -> None:
        self.folder = folder
        self.faults = faults
        self.started = 0

    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        self.started += 1
        real = stand_in(self.folder, *self.faults, startup_timeout_s=20)
        return LocalLauncher().start(real, progress)


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StandInLauncher]:
    def use(*faults: str) -> StandInLauncher:
        chosen = StandInLauncher(tmp_path, *faults)
        monkeypatch.setattr(module, "make_launcher", lambda _: chosen)
        return chosen

    return use


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell's device is here."""
    presence = Presence(present=False, found="none", looked=("tt-smi: not found", "PCI: no such vendor"))
    monkeypatch.setattr(module, "detect", lambda _: presence)


def environment_in(folder: Path) -> dict[str, Any]:
    """The document, which must be of its published form."""
    document: dict[str, Any] = json.loads((folder / "runtime_environment.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    return document


@pytest.mark.usefixtures("absent")
def test_an_absent_device_is_void_and_nothing_is_built(make: Make, tmp_path: Path) -> None:
    testbed = make(device="t3k")
    for step in ("require_device", "server"):
        with pytest.raises(Void, match="no t3k here") as caught:
            getattr(testbed, step)()
        assert "looked at tt-smi: not found; PCI: no such vendor" in str(caught.value)
    assert not (tmp_path / "environments").exists()
    assert not (tmp_path / "server.log").exists()


@pytest.mark.usefixtures("absent")
def test_without_the_device_the_environment_is_on_record_with_what_is_not_known(
    make: Make, tmp_path: Path, said: list[str]
) -> None:
    testbed = make(device="t3k")
    with pytest.raises(Void):
        testbed.require_device()
    document = environment_in(tmp_path)
    assert said == [f"the environment is on record in {tmp_path / 'runtime_environment.json'}"]
    assert document["device_presence"]["present"] is False
    assert document["kernel"] == os.uname().release, "what any interpreter can tell of the machine is told"
    for fact in ("python_version", "installed_packages"):
        assert document[fact] in ("Unknown", [])
        assert "its device is not here" in document["unknown"][fact]
    assert {finding.state for finding in testbed.findings if finding.kind == "python"} == {State.UNKNOWN}
    assert not (tmp_path / "environments").exists()


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize("how", ["named", "built before"])
def test_without_the_device_an_environment_that_is_there_is_told_and_judged(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(local_site, "built", lambda *_: Path(sys.executable) if how == "built before" else None)
    testbed = make(device="t3k", server_python=sys.executable if how == "named" else "")
    assert {finding.state for finding in testbed.findings if finding.kind == "python"} <= {State.MISSING, State.SATISFIED}
    testbed.write_environment()
    assert environment_in(tmp_path)["collected_by"] == sys.executable
    assert f"pytest=={pytest.__version__}" in environment_in(tmp_path)["installed_packages"]


@pytest.mark.usefixtures("absent")
def test_without_device_and_image_what_would_be_inside_is_unknown(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-daemon.sock")
    make(device="t3k", server="docker", image="engine:1").write_environment()
    document = environment_in(tmp_path)
    assert document["system_info"]["os"] == "Unknown"
    assert "no Docker daemon answers" in document["unknown"]["os"]
    assert document["kernel"] == os.uname().release, "which containers share"


def test_a_device_that_is_there_is_no_matter(make: Make) -> None:
    make().require_device()


def test_each_step_is_taken_once(make: Make, calls: list[str], launcher: Callable[..., StandInLauncher]) -> None:
    chosen = launcher()
    testbed = make()
    for _ in range(3):
        testbed.require_device()
        assert testbed.site.python == Path(sys.executable)
        assert testbed.plan is testbed.plan
        assert testbed.server is testbed.server
    assert sorted(calls) == ["detect", "ensure"]
    assert chosen.started == 1


def test_the_first_failure_stays_and_is_not_repeated(
    make: Make, calls: list[str], launcher: Callable[..., StandInLauncher]
) -> None:
    """A start of twenty minutes that failed is not tried again by each of thirty checks."""
    chosen = launcher("exit-at-start=5")
    testbed = make()
    first, lengths = None, []
    for _ in range(3):
        with pytest.raises(LaunchError, match="exit code 5") as caught:
            _ = testbed.server
        first = first or caught.value
        assert caught.value is first
        lengths.append(len(caught.traceback))
    assert chosen.started == 1
    assert lengths[2] == lengths[1] <= lengths[0], "nor does its traceback grow with each check that meets it"
    assert testbed.death is None, "what never was ready did not die"


@pytest.mark.parametrize(
    "failure",
    [ProvisionError("no wheel of vllm"), InfrastructureError("disk"), OSError("too many open files"), KeyError("a bug")],
)
def test_a_failure_of_any_kind_stays(make: Make, calls: list[str], monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*_: object, **__: object) -> Path:
        calls.append("ensure")
        raise failure

    monkeypatch.setattr(local_site, "ensure", fail)
    testbed = make()
    for _ in range(3):
        with pytest.raises(type(failure)) as caught:
            _ = testbed.server
        assert caught.value is failure
    assert calls.count("ensure") == 1


def test_an_interrupt_is_no_failure_that_stays(make: Make, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the run; it is no finding about the cell."""
    answers = iter([KeyboardInterrupt(), Path(sys.executable)])

    def interrupted(*_: object, **__: object) -> Path:
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(local_site, "ensure", interrupted)
    testbed = make()
    with pytest.raises(KeyboardInterrupt):
        _ = testbed.site.python
    assert testbed.site.python == Path(sys.executable)


def test_what_runs_is_written_down_without_secrets(
    make: Make, calls: list[str], tmp_path: Path, launcher: Callable[..., StandInLauncher]
) -> None:
    launcher()
    secret = 'a "quoted" secret'
    testbed = make(environ={"PATH": "/usr/bin:/bin", "A": secret, "A_TOKEN": secret})
    assert testbed.server.death is None
    plan = (tmp_path / "launch_plan.json").read_text()
    assert "quoted" not in plan
    assert json.loads(plan)["cell"] == testbed.cell.id
    environment = json.loads((tmp_path / "runtime_environment.json").read_text())
    assert environment
    assert "quoted" not in json.dumps(environment)
    assert testbed.served["version"] == {"version": "0.32.0"}
    assert testbed.served["models"]["data"][0]["id"] == "stand-in"


def test_close_ends_the_server_and_may_come_twice(make: Make, calls: list[str], launcher: Callable[..., StandInLauncher]) -> None:
    launcher()
    testbed = make()
    url = testbed.server.endpoint.base_url
    assert httpx.get(url + "/health").status_code == 200
    testbed.close()
    testbed.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/health")


def test_closing_what_never_started_is_harmless(make: Make) -> None:
    make().close()


def test_a_death_is_known_here_too(make: Make, calls: list[str], launcher: Callable[..., StandInLauncher]) -> None:
    launcher("die-after=1")
    testbed = make()
    assert not testbed.has_died()
    url = testbed.server.endpoint.base_url
    assert not testbed.has_died()
    with pytest.raises(httpx.HTTPError):
        httpx.post(url + "/v1/completions", json={"model": "stand-in", "prompt": "a"})
    assert testbed.has_died(within_s=5)
    assert testbed.death is not None
    assert testbed.death.exit_code == 17


def test_a_server_that_cannot_be_written_about_is_still_ended(
    make: Make, calls: list[str], monkeypatch: pytest.MonkeyPatch, launcher: Callable[..., StandInLauncher]
) -> None:
    """The disk fills up between its start and the first note about it."""
    launcher()
    testbed = make()
    plan = testbed.plan

    def full(*_: object, **__: object) -> None:
        raise InfrastructureError("cannot write: No space left on device")

    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(InfrastructureError, match="No space"):
        _ = testbed.server
    url = testbed._made["server"].endpoint.base_url
    testbed.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/health")
    assert plan


def test_attached_nothing_is_looked_for_built_or_stopped(make: Make, calls: list[str], tmp_path: Path) -> None:
    """A server elsewhere, on a device that this machine need not have."""
    with running() as theirs:
        testbed = make(device="t3k", server="attach", server_url=theirs.base_url)
        testbed.require_device()
        assert testbed.server.endpoint.base_url == theirs.base_url
        assert testbed.served["version"] == {"version": "0.32.0"}
        assert testbed.plan.argv == ()
        with pytest.raises(Inconclusive, match="--server-python"):
            _ = testbed.facts
        testbed.close()
        assert theirs.process.poll() is None
        assert httpx.get(theirs.base_url + "/health").status_code == 200
    assert calls == []
    assert not (tmp_path / "runtime_environment.json").exists(), "an environment that nobody saw"


def test_an_interpreter_that_is_given_is_used_as_it_is(make: Make, calls: list[str], tmp_path: Path) -> None:
    """Not even a link is followed: a virtual environment's python is one."""
    link = tmp_path / "venv-python"
    link.symlink_to(sys.executable)
    assert make(server_python=str(link)).site.python == link
    assert "ensure" not in calls


def test_an_interpreter_that_is_not_there_is_a_usage_error(make: Make) -> None:
    with pytest.raises(UsageError, match="--server-python") as caught:
        _ = make(server_python="/no/such/python").site.python
    assert len(str(caught.value).splitlines()) == 1


def test_a_free_port_is_chosen_unless_one_is_given(make: Make, calls: list[str]) -> None:
    chosen, given = make().plan, make(port=4321).plan
    assert int(chosen.endpoint.base_url.rpartition(":")[2]) > 0
    assert given.endpoint.base_url == "http://127.0.0.1:4321"


@pytest.mark.parametrize(("interpreter", "seen"), [(sys.executable, True), ("/bin/sh", False), ("", False)])
def test_an_attached_servers_machine_is_known_by_the_program_that_listens(make: Make, interpreter: str, *, seen: bool) -> None:
    """An address of this machine may be the near end of a tunnel."""
    with running() as server:
        testbed = make(server="attach", server_url=server.base_url, server_python=interpreter)
        assert testbed.seen_here is seen


def test_the_facts_of_another_interpreter_are_not_an_attached_servers(make: Make) -> None:
    """One that is named, and does not listen there: whatever it has installed says nothing of the server."""
    with running() as server:
        elsewhere = make(server="attach", server_url=server.base_url, server_python="/bin/sh")
        with pytest.raises(Inconclusive, match="is not seen to be /bin/sh"):
            _ = elsewhere.facts
        with pytest.raises(Inconclusive, match="arguments"):
            _ = elsewhere.argument_differences


def test_the_variables_of_an_attached_server_are_its_processes_own(make: Make) -> None:
    with running(environ={"A_SETTING": "theirs"}) as server:
        testbed = make(
            server="attach", server_url=server.base_url, server_python=sys.executable, environ={**os.environ, "A_SETTING": "ours"}
        )
        assert testbed.site.environment(testbed.plan)["A_SETTING"] == "theirs"
        assert testbed.facts.python_executable == sys.executable
