"""Of all self-tests: what needs more than Python, or long, says so, and a run that leaves it out says how many tests that are."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from hypothesis import settings

from selftests.distribution import LongFirst, place_in_order

# A busy machine is no fault of what is tested.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")
ENVIRONMENTS = {
    "server": "real",
    "docker": "docker",
    "browser": "browser",
    "prometheus": "prometheus",
    "wheel": "wheel",
    "catalogue": "catalogue",
    "ray": "ray",
    "slurm": "slurm",
    "long": "long",
}
"""Marker -> tox environment that runs the tests that carry it; of two markers, the first here counts."""
ELSEWHERE = pytest.StashKey[Counter[str]]()
"""Marker -> how many tests this run leaves to its environment."""


def pytest_configure(config: pytest.Config) -> None:
    # Who starts us under nohup has SIGHUP ignored, here and in all that tests start; tests send it.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.stash[ELSEWHERE] = Counter()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Every worker collects thousands of tests, none of which is garbage: to look for some costs as much as half of the rest, and
    later each time that there is some.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("server") and not os.environ.get("HALLMARK_SERVER_PYTHON"):
        pytest.skip("not tested: HALLMARK_SERVER_PYTHON names no interpreter with vLLM")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place_in_order(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadscope":
        return None
    return LongFirst(config, log)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if marker := next((name for name in ENVIRONMENTS if item.get_closest_marker(name)), None):
            item.config.stash[ELSEWHERE][marker] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["elsewhere"] = dict(session.config.stash[ELSEWHERE])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker of xdist collects the same tests: what the last tells is what each told."""
    node.config.stash[ELSEWHERE] = Counter(getattr(node, "workeroutput", {}).get("elsewhere", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash[ELSEWHERE]:
        told = ", ".join(f"{left[name]} ({name}: tox -e {tox})" for name, tox in ENVIRONMENTS.items() if left[name])
        terminalreporter.write_line(
            f"not in this run: tests that need more than Python, or long: {told}; .ci/run and .ci/nightly have them all"
        )
