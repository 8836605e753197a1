"""What CONTRIBUTING.md says of additions to hallmark itself: one file and one line each, applied to a copy and seen at work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from selftests.plugin.stand_in_spec import ROOT


@dataclass(frozen=True)
class Addition:
    """One file (none where a line is all), and one line that is changed from `old` to `new` in `where`."""

    where: str
    old: str
    new: str
    file: str = ""
    text: str = ""
    seen: str = ""
    """An expression that is true in a hallmark which has it, and false in one which has not."""


ADDITIONS = {
    "device": Addition(
        where="model_specs/devices.yaml",
        old="devices:\n",
        new="devices:\n  acme_x1: { title: Acme X1, vendor: Acme, detect: { how: cpu, board: X1 } }\n",
        seen="'acme_x1' in load_catalogue([CATALOGUE]).devices",
    ),
    "vendor": Addition(
        file="hallmark/environment/vendors/acme.py",
        text='"""Acme."""\n\nfrom hallmark.environment.machine import Vendor, table\n\n'
        'VENDOR = Vendor("acme", sources={"acme-smi": table("acme-smi list", r"^(?P<id>\\d+) (?P<name>\\w+)$")})\n',
        where="hallmark/built_in.py",
        old='"gaudi", "spyre")',
        new='"gaudi", "spyre", "acme")',
        seen="'acme' in [vendor.name for vendor in vendors()]",
    ),
    "check": Addition(
        file="tests/server/test_acme.py",
        text='import pytest\n\npytestmark = pytest.mark.server\n\n\n@pytest.mark.check("server.acme", title="It is Acme\'s", '
        'source="x", fault="y")\ndef test_acme(cell, client):\n    assert client.get("/acme").status == 200\n',
        where="tests/checks.txt",
        old="server.health ",
        new="server.acme  server/test_acme.py\nserver.health ",
        seen="'server.acme' in [entry.check for entry in demanded(cell)]",
    ),
    "launcher": Addition(
        file="hallmark/serving/acme.py",
        text='"""Acme."""\n\nfrom hallmark.serving.launchers import LauncherKind\nfrom hallmark.serving.local.launcher import '
        'LocalLauncher\n\nKIND = LauncherKind(\n    name="acme",\n    summary="started by acme-run",\n'
        '    site="hallmark.serving.local.site:LocalSite",\n    launcher="hallmark.serving.acme:AcmeLauncher",\n)\n\n\n'
        'class AcmeLauncher(LocalLauncher):\n    """As the local one."""\n',
        where="hallmark/built_in.py",
        old='"docker", "attach")',
        new='"docker", "attach", "acme")',
        seen="kinds['acme'].make_launcher() and kinds['acme'].site_class()",
    ),
    "fleet engine": Addition(
        file="hallmark/fleet/acme.py",
        text='"""Acme."""\n\nfrom hallmark.fleet.engines import Site\nfrom hallmark.fleet.local import LocalBackend\n\n\n'
        'class AcmeBackend(LocalBackend):\n    """As this machine."""\n\n    name = "acme"\n\n\n'
        "def opened(site: Site) -> AcmeBackend:\n    return AcmeBackend(site.spec_dirs, {})\n",
        where="hallmark/built_in.py",
        old='EngineKind(name="local"',
        new='EngineKind(name="acme", opened="hallmark.fleet.acme:opened"),\n        EngineKind(name="local"',
        seen="engine('acme').name == 'acme'",
    ),
    "renderer": Addition(
        file="hallmark/report/render_csv.py",
        text='"""CSV."""\n\n\ndef render_csv(report):\n'
        '    return "".join(f"{row.check},{row.verdict}\\n" for row in report.rows)\n',
        where="hallmark/built_in.py",
        old='Renderer(file="report.json"',
        new='Renderer(file="report.csv", render="hallmark.report.render_csv:render_csv"),\n        Renderer(file="report.json"',
        seen="'report.csv' in renderers() and callable(named(renderers()['report.csv'].render))",
    ),
    "gate": Addition(
        file="hallmark/perf/slowest.py",
        text='"""The slowest request."""\n\nfrom hallmark.core.records import Evidence\n\n\ndef gate(cell, point, result):\n'
        '    return [Evidence(name="slowest", value=1.0)]\n',
        where="hallmark/built_in.py",
        old='Gate(kind="perf", name="tier"',
        new='Gate(kind="perf", name="slowest", judge="hallmark.perf.slowest:gate"),\n        Gate(kind="perf", name="tier"',
        seen="'slowest' in [gate.name for gate in extensions().answers('gates')]",
    ),
}
LOOK = """
import json
from hallmark.core.extensions import extensions, named
from hallmark.core.product import CATALOGUE
from hallmark.environment.vendors import vendors
from hallmark.report.render import renderers
from hallmark.serving.launchers import launcher_kinds
from hallmark.specs.catalogue import Selection, load_catalogue
from hallmark.specs.checks import demanded
from hallmark.fleet.engines import Site, engine_kinds

kinds = {kind.name: kind for kind in launcher_kinds()}
(cell,) = load_catalogue([CATALOGUE]).select(Selection(models=("hallmark-tiny",), device="cpu"))


def engine(name):
    return named(engine_kinds()[name].opened)(Site(address="", folder=CATALOGUE, spec_dirs=(CATALOGUE,), units=frozenset()))


def seen(expression):
    try:
        return bool(eval(expression))
    except (LookupError, AttributeError):
        return False
"""


def look(folder: Path) -> dict[str, bool]:
    """Kind of addition -> whether the hallmark in `folder` has it."""
    expressions = {kind: addition.seen for kind, addition in ADDITIONS.items()}
    program = f"{LOOK}\nprint(json.dumps({{kind: seen(e) for kind, e in {expressions!r}.items()}}))"
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(folder)})
    assert ended.returncode == 0, ended.stderr
    found: dict[str, bool] = json.loads(ended.stdout)
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("copy")
    for name in ("hallmark", "tests", "model_specs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.long
def test_each_is_one_file_and_one_line(copy: Path) -> None:
    assert look(copy) == dict.fromkeys(ADDITIONS, False), "a plain copy has none of them"
    for kind, addition in ADDITIONS.items():
        register = copy / addition.where
        said = register.read_text(encoding="utf-8")
        assert said.count(addition.old) == 1, kind
        before, after = ({line.strip() for line in text.splitlines()} for text in (addition.old, addition.new))
        assert len(after - before) == 1, "one line"
        register.write_text(said.replace(addition.old, addition.new), encoding="utf-8")
        if addition.file:
            assert not (copy / addition.file).exists()
            (copy / addition.file).write_text(addition.text, encoding="utf-8")
    assert look(copy) == dict.fromkeys(ADDITIONS, True)


@pytest.mark.parametrize("kind", ADDITIONS)
def test_the_table_of_contributing_names_the_files(kind: str) -> None:
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines() if line.startswith(f"| {kind} ")]
    (row,) = rows
    addition = ADDITIONS[kind]
    assert f"`{addition.where}`" in row
    assert not addition.file or f"`{Path(addition.file).parent}/`" in row
