"""What anyone has after `pip install pytest-hallmark`, in an empty folder and with nothing of the checkout in sight."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from selftests.plugin.stand_in_spec import DEVICE, POINT, ROOT
from selftests.product.conftest import options, spec_of_stand_in
from selftests.product.installed import Installed

pytestmark = pytest.mark.wheel

OWN_CHECK = """
import pytest

@pytest.mark.check("own.port", title="The server is where it says")
def test_port(cell, server):
    assert server.endpoint.base_url.startswith("http://127.0.0.1:")
"""
BESIDE = (
    "pytest-playwright",
    "pytest-django",
    "pytest-asyncio",
    "pytest-cov",
    "pytest-randomly",
    "pytest-timeout",
    "pytest-rerunfailures",
    "pytest-xdist",
)


def test_the_checks_of_a_device_are_listed_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    words = ["pytest", "--collect-only", "-q", "-m", "t3k", "--model", "Llama-3.3-70B-Instruct"]
    ended = installed.start(tmp_path, *words).end()
    assert ended.code == 0, ended.said
    assert "test_health[id_tt-transformers_Llama-3.3-70B-Instruct_t3k]" in ended.out
    assert not (tmp_path / "artifacts").exists()


def test_hallmark_says_what_it_is_and_has(installed: Installed, tmp_path: Path) -> None:
    for words, shown in ((["--version"], "0."), (["specs", "list"], "hallmark-tiny"), (["--help"], "hallmark")):
        ended = installed.start(tmp_path, "hallmark", *words).end()
        assert (ended.code, shown in ended.out) == (0, True), ended.said


def test_an_own_check_is_accepted_and_missing_once_its_file_is_gone(installed: Installed, user_folder: Path) -> None:
    """And nothing is written into the installation."""
    before = installed.fingerprint()
    spec_of_stand_in(user_folder, impl={"checks": ["own.port"]})
    shutil.copy(ROOT / "examples" / "gate_plugin" / "conftest.py", user_folder)
    own = user_folder / "test_own.py"
    own.write_text(OWN_CHECK)
    whole = installed.start(user_folder, *options(server_python=sys.executable)).end().must_end(0, "ACCEPTED")
    assert whole.rows["own.port"]["evidence"][0]["value"].startswith("server.endpoint.base_url.startswith")
    slowest = [item for item in whole.rows[f"perf.{POINT}"]["evidence"] if item["name"] == "slowest request"]
    assert slowest[0]["target"]["limit"] == 60_000, "the gate of that conftest.py was asked, too"
    own.unlink()
    less = installed.start(user_folder, *options(server_python=sys.executable)).end()
    assert (less.outcome, less.report["missing"]) == ("INCOMPLETE", ["own.port"])
    assert installed.fingerprint() == before


def test_it_runs_beside_the_usual_plugins_and_a_rerun_makes_no_failure_good(installed: Installed, user_folder: Path) -> None:
    """Own tests and hallmark's in one session; each of those plugins is at work in it."""
    installed.install(*BESIDE)
    (user_folder / "test_mine.py").write_text("async def test_mine():\n    assert True\n\ndef test_plain():\n    assert 1\n")
    (user_folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\ntimeout = 300\n")
    more = ("--reruns=1", "--cov=.", "--cov-report=", "-p", "randomly")
    clean = installed.start(user_folder, *options(*more, server_python=sys.executable)).end().must_end(0, "ACCEPTED")
    assert "test_mine.py" in clean.out
    spec_of_stand_in(user_folder, faults="no-stop")
    red = installed.start(user_folder, *options(*more, server_python=sys.executable)).end()
    assert (red.code, red.outcome) == (1, "REJECTED"), red.said
    assert red.bad["server.stop"] == "FAIL"
    assert "rerun" in red.out


FLAKY = """
from pathlib import Path

def test_flaky(cell, check):
    seen = Path({marker!r})
    first = not seen.exists()
    seen.touch()
    check.equal("first try", first, False)
"""


def test_what_failed_once_stays_failed(installed: Installed, user_folder: Path) -> None:
    """A server that is right only when it is asked twice."""
    installed.install("pytest-rerunfailures")
    (user_folder / "test_flaky.py").write_text(FLAKY.format(marker=str(user_folder / "seen")))
    ended = installed.start(user_folder, *options("--reruns=2", server_python=sys.executable)).end()
    assert (user_folder / "seen").exists()
    assert (ended.code, ended.outcome) == (1, "REJECTED"), ended.said


@pytest.mark.server
@pytest.mark.long
def test_hallmark_tiny_is_accepted_with_the_wheel_alone(installed: Installed, tmp_path: Path) -> None:
    """On a real vLLM."""
    words = ["pytest", "--model=hallmark-tiny", f"--device={DEVICE}", f"--server-python={os.environ['HALLMARK_SERVER_PYTHON']}"]
    before = installed.fingerprint()
    installed.start(tmp_path, *words).end(deadline_s=600).must_end(0, "ACCEPTED")
    assert installed.fingerprint() == before
