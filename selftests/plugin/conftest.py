"""Fixtures of the whole-command tests: a place with a spec of its own, and the run without a fault."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from selftests.once import alone_in, shared_folder
from selftests.plugin.commands import Command, Ended, processes_with, wait_for
from selftests.plugin.stand_in_spec import (
    DEVICE,
    EVALS,
    EVERY,
    MODEL,
    ROOT,
    eval_target,
    family,
    perf_point,
    write_spec,
    write_task,
)

SEVERAL = "stand-in-*"
_FOREIGN = ("PYTEST_", "GITHUB_", "HALLMARK_", "STAND_IN_", "HF_", "COV_", "COVERAGE_")
_INTERPRETERS = {"PYTHONOPTIMIZE", "PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONWARNINGS"}
"""What only a fresh interpreter obeys."""
_NO_STRANGERS = "-p no:schemathesis -p no:hypothesispytest -p no:anyio"
"""Plugins that only self-tests use, and that each command would import."""


class Place:
    """A folder with specs, tasks, plugins and artifacts of its own, and the commands that use them."""

    def __init__(self, folder: Path, *, real_evals: bool = False, forks: bool = True) -> None:
        """`real_evals`: with lm-eval itself, whose imports take longer than all the rest; else with its stand-in.

        `forks`: its commands have no interpreter of their own, see forkserver.py.
        """
        self.folder = folder
        self.forks = forks
        self._sessions: list[int] = []
        self.real_evals = real_evals
        self.specs, self.artifacts, self.plugins = folder / "specs", folder / "artifacts", folder / "plugins"
        self.plugins.mkdir(parents=True)
        self.specs.mkdir()
        self.mark = f"HALLMARK_SELFTEST_MARK={uuid.uuid4()}"
        self._offered = EVERY

    @property
    def _python_path(self) -> str:
        return os.pathsep.join(map(str, [ROOT, self.plugins, *([] if self.real_evals else [EVALS])]))

    @property
    def environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        mark, _, value = self.mark.partition("=")
        is_whole = self._offered == EVERY
        few_checks = "" if is_whole else " -p selftests.plugin.few_checks"
        return own | {
            "PYTHONPATH": self._python_path,
            "PYTEST_ADDOPTS": f"-o cache_dir={self.folder}/cache {_NO_STRANGERS}{few_checks}",
            "HF_HOME": f"{self.folder}/hf",
            "XDG_CACHE_HOME": f"{self.folder}/user_cache",
            "PYTEST_DEBUG_TEMPROOT": str(self.folder),  # pytest ends by sweeping it, which takes seconds where others share it
            "HALLMARK_LEASES": f"{self.folder}/leases",
            mark: value,
            **({} if is_whole else {"STAND_IN_FAULTS": f"offers-only={'+'.join(self._offered) or 'nothing'}"}),
        }

    def spec(
        self, *, items: int = 60, task: dict[str, Any] | None = None, offered: Sequence[str] | None = None, **fields: Any
    ) -> Path:
        """Write the spec; without fields it has no fault, few features, and neither evals nor perf points.

        The stand-in offers what its spec demands, so that nothing else is checked; or the features `offered`. Where that is
        EVERY one, commands have all checks of the suite, else those of `few_checks.py`.
        """
        if fields.get("evals"):
            write_task(self.folder / "tasks", items=items, **(task or {}))
        data = family(environment={"PYTHONPATH": self._python_path}, **fields)
        self._offered = tuple(data["impls"][0]["features"] if offered is None else offered)
        return write_spec(self.specs, data)

    def whole_spec(self, *, items: int = 60, task: dict[str, Any] | None = None, **fields: Any) -> Path:
        """Write a spec with one eval and one perf point, which a clean server fulfils."""
        return self.spec(items=items, task=task, **{"evals": [eval_target()], "perf": [perf_point()], **fields})

    def specs_of(self, faults: Sequence[str], **fields: Any) -> dict[str, str]:
        """Write a spec for each fault, so that one command (`model=SEVERAL`) runs them all; fault -> its model."""
        models = {fault: f"stand-in-{place}" for place, fault in enumerate(faults, start=101)}
        for fault, model in models.items():
            self.spec(models=(model,), name=model, faults=fault, **fields)
        return models

    def plugin(self, name: str, source: str) -> str:
        """A module that `-p` can load."""
        (self.plugins / f"{name}.py").write_text(source, encoding="utf-8")
        return name

    def distribution(self, name: str, source: str) -> None:
        """A plugin as one is installed that depends on pytest-hallmark: commands that run without pytest see it, too."""
        self.plugin(name, source)
        information = self.plugins / f"{name}-1.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\nRequires-Dist: pytest-hallmark\n", encoding="utf-8"
        )
        (information / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}\n", encoding="utf-8")

    def _options(self, model: str, *, server: bool = True) -> list[str]:
        local = [f"--server-python={sys.executable}"] if server else []
        return [f"--model={model}", f"--device={DEVICE}", f"--spec-dir={self.specs}", f"--artifacts={self.artifacts}", *local]

    def start(self, argv: list[str], *, cwd: Path = ROOT, **environ: str) -> Command:
        env = self.environ | environ
        is_forked = self.forks and env.keys() & _INTERPRETERS == os.environ.keys() & _INTERPRETERS
        command = Command([sys.executable, "-m", *argv], cwd=cwd, env=env, artifacts=self.artifacts, forked=is_forked)
        if is_forked:
            self._sessions.append(command.process.pid)
        return command

    def processes(self) -> list[int]:
        """What its commands started and what still runs."""
        return processes_with(self.mark, self._sessions)

    def release_words(self, *more: str, model: str = MODEL, workflow: str = "release") -> list[str]:
        """`run.py --workflow release`, less the making of its environment, as what follows `python -m`."""
        return ["hallmark.checkout", f"--workflow={workflow}", *self._options(model), *more]

    def release(self, *more: str, model: str = MODEL, workflow: str = "release", **environ: str) -> Command:
        return self.start(self.release_words(*more, model=model, workflow=workflow), **environ)

    def pytest(self, *more: str, model: str = MODEL, cwd: Path = ROOT, **environ: str) -> Command:
        return self.start(["pytest", *self._options(model), *more], cwd=cwd, **environ)

    def checkout(self) -> Path:
        """A copy of the acceptance tests with an ini file of their own, to be changed by a test."""
        copy = self.folder / "checkout"
        shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "conftest.py").write_text('pytest_plugins = ["hallmark.plugin.plugin"]\n', encoding="utf-8")
        addopts = "--strict-markers --import-mode=importlib"
        ini = f"[pytest]\ntestpaths = tests\naddopts = {addopts}\nhallmark_own_suite = true\n"
        (copy / "pytest.ini").write_text(ini, encoding="utf-8")
        return copy

    def require_nobody_left(self, *, within_s: float = 5.0) -> None:
        """Every process that a command of this place started is gone."""
        wait_for(lambda: not self.processes(), "end of all processes", deadline_s=within_s)


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    marked = request.node.get_closest_marker
    made = Place(tmp_path / "place", real_evals=bool(marked("real_evals")), forks=not marked("fresh_interpreter"))
    yield made
    for pid in made.processes():
        os.kill(pid, 9)


@pytest.fixture(scope="session")
def clean_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the clean run is: one for all workers of xdist."""
    return shared_folder(tmp_path_factory, "clean")


@pytest.fixture(scope="session")
def clean(clean_folder: Path) -> Ended:
    """The clean twin: a whole release run of a server without faults, made by whichever worker needs it first."""
    kept = clean_folder / "ended"
    with alone_in(clean_folder):
        if not kept.exists():
            place = Place(clean_folder / "place", real_evals=True)
            place.whole_spec(features=EVERY)
            ended = place.release("--", f"--benchmark-json={clean_folder / 'benchmark.json'}").end()
            kept.write_bytes(pickle.dumps(ended))
        found: Ended = pickle.loads(kept.read_bytes())
        return found
