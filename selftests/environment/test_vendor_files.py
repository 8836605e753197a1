"""A vendor's file by a stranger counts like ours, here and in the server's interpreter; one that is broken is one clear line."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hallmark.core.errors import UsageError
from hallmark.environment import machine
from hallmark.environment import vendors as package
from hallmark.environment.bundle import facts_program
from hallmark.environment.collect import collect, here
from hallmark.environment.devices import detect
from hallmark.environment.requirements import State, check
from hallmark.environment.system_names import detection_names, system_names
from hallmark.environment.vendors import loaded, vendor_files, vendors
from hallmark.specs.model import Detection
from selftests.environment import fakes

ACME = r"""
from __future__ import annotations

import re

from hallmark.environment.machine import Machine, Unavailable, Vendor, accelerator, first, table


def nodes(machine: Machine) -> list[dict[str, str]]:
    return [accelerator("Acme of unknown type", name) for name in machine.entries("/dev/acme")]


def firmware(machine: Machine) -> str:
    found = re.search(r"fw (\S+)", machine.run("acme-smi", "--firmware"))
    if found is None:
        raise Unavailable("acme-smi: tells no firmware")
    return found.group(1)


VENDOR = Vendor(
    "acme",
    sources={"acme-smi": table("acme-smi --list", r"^(?P<id>[\d.]+) (?P<name>A\w+)$", "Acme "), "/dev/acme": nodes},
    pci="1de5:",
    drivers={"acme-driver": first(("/sys/module/acme/version", r"\A(\S+)"))},
    versions={"acme-firmware": firmware},
    variables=("ACME_",),
    tool_folders=("/opt/acme/bin",),
    revision="[rs]?",
    board_of=lambda identity: identity.partition(".")[0],
)
"""
SMI = """case "$1" in --list) printf '0.0 A100r\\n0.1 A100r\\n1.0 A100r\\n' ;; --firmware) echo "fw 7.1.0" ;; *) exit 2 ;; esac"""
BROKEN = {
    "gone": (None, "No such file or directory"),
    "no Python": ("VENDOR = (", r"line 1: '\(' was never closed"),
    "of a newer Python": (
        "match 1:\n    case 1: pass\n",
        "line 2: Pattern matching is only supported in Python 3.10",
    ),
    "no vendor": ("x = 1", "its VENDOR is missing"),
    "another thing": ("VENDOR = 'acme'", "its VENDOR is no Vendor but 'acme'"),
    "crashing": ("1 / 0", "ZeroDivisionError: division by zero"),
    "leaving": ("raise SystemExit('bye')", "SystemExit: bye"),
    "with a foreign import": ("import os\nimport yaml\n", "line 2: imports yaml, which a server's interpreter need not have"),
    "of several files": ("from . import other", "line 1: imports ., which a server's interpreter need not have"),
    "with an unknown field": (ACME.replace("pci=", "pcie="), "TypeError: .* unexpected keyword argument 'pcie'"),
    "with a bad name": (ACME.replace('"acme",', '"Acme Inc",'), "ValueError: 'Acme Inc' is no name"),
    "with a bad version name": (ACME.replace("acme-driver", "acme_driver"), "ValueError: 'acme_driver' is no name"),
    "with a text for a probe": (
        ACME.replace(": firmware}", ": '7.1'}"),
        "TypeError: versions: what stands for 'acme-firmware' is",
    ),
    "with a text for texts": (ACME.replace('("ACME_",)', '"ACME_"'), "TypeError: variables: not a tuple of texts"),
    "with a list of sources": (ACME.replace("sources={", "sources=[nodes] or {"), "TypeError: sources: not a mapping of names"),
    "with a bad pattern": (ACME.replace('"1de5:"', '"1de5:["'), "ValueError: pci: '1de5:\\[' is no pattern"),
    "with a taken name": (ACME.replace('"acme",', '"nvidia",'), "the name 'nvidia' is taken by .*nvidia.py"),
    "called cpu": (ACME.replace('"acme",', '"cpu",'), "the name 'cpu' is taken by hallmark itself"),
    "with a taken version": (ACME.replace("acme-driver", "tt-kmd"), "the version name 'tt-kmd' is taken by .*tenstorrent.py"),
    "with CUDA again": (ACME.replace("acme-driver", "cuda"), "the version name 'cuda' is taken by .*nvidia.py"),
    "with a general version": (ACME.replace("acme-driver", "gcc"), "the version name 'gcc' is taken by hallmark itself"),
}


def known_besides(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Makes the files of `paths` known after the built-in ones."""
    every = (*vendor_files(), *paths)
    monkeypatch.setattr(package, "vendor_files", lambda: every)


def written(folder: Path, text: str) -> Path:
    path = folder / "acme.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = written(tmp_path, ACME)
    known_besides(monkeypatch, path)
    return path


def in_another_interpreter(tmp_path: Path, tools: Path, **environ: str) -> dict[str, Any]:
    """What the collector's text prints where nothing can be imported but the standard library."""
    env = {"PATH": f"{tools}:/bin:/usr/bin", **environ}
    command = [sys.executable, "-I", "-S", "-W", "error", "-"]
    done = subprocess.run(command, input=facts_program(), env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_file_of_the_folder_is_a_vendor() -> None:
    folder = Path(str(package.__file__)).parent
    assert set(vendor_files()) == set(folder.glob("[!_]*.py"))
    assert [file.vendor.name for file in loaded()] == [path.stem for path in vendor_files()]


def test_a_strangers_device_is_found_counted_and_has_versions(root: Path, tools: Path, acme: Path) -> None:
    fakes.tool(root / "opt/acme/bin", "acme-smi", SMI)  # in the vendor's own folder, which PATH does not name
    fakes.files(root, {"/sys/module/acme/version": "2.4"})
    seen = fakes.machine(root, tools, ACME_VISIBLE="0", OTHER="1")
    answer = fakes.collected(seen)
    assert answer["accelerators"][0] == {"vendor": "acme", "name": "Acme A100r", "id": "0.0", "memory": "", "source": "acme-smi"}
    assert (answer["versions"]["acme-driver"], answer["versions"]["acme-firmware"]) == ("2.4", "7.1.0")
    assert (answer["driver_version"], answer["environment"]) == ("2.4", {"ACME_VISIBLE": "0"})
    # Its third chip is on a second board, by `board_of`; its name is that of the board and a revision.
    for board, count, present in (("a100", 2, True), ("a100", 3, False), ("a10", 1, False)):
        device = fakes.device("acme", board, count)
        assert detect(device, seen) == detect(device, here(seen))
        assert detect(device, seen).present is present


def test_specs_may_name_it_as_long_as_it_is_known(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "acme" in Detection.model_json_schema()["properties"]["how"]["enum"]
    cell = fakes.cell(system_deps={"acme-firmware": ">=7", "acme_driver": ">=3"})
    facts = fakes.facts(versions={"acme-firmware": "7.1.0", "acme-driver": "2.4"})
    states = {finding.name: finding.state for finding in check(cell, facts, {}) if finding.kind == "system"}
    assert states == {"acme-firmware": State.SATISFIED, "acme_driver": State.CONFLICTING}
    monkeypatch.undo()
    assert "acme" not in detection_names()
    assert "acme-firmware" not in system_names()
    with pytest.raises(ValidationError, match="'acme' is no vendor that hallmark knows"):
        fakes.device("acme")
    with pytest.raises(ValidationError, match="'acme-firmware' is nothing"):
        fakes.cell(system_deps={"acme-firmware": ">=7"})


def test_the_servers_interpreter_finds_it_without_hallmark(tmp_path: Path, tools: Path, acme: Path) -> None:
    fakes.tool(tools, "acme-smi", SMI)
    assert facts_program()
    acme.unlink()  # it is in the text
    answer = in_another_interpreter(tmp_path, tools, ACME_VISIBLE="0")
    assert [chip["name"] for chip in answer["accelerators"] if chip["vendor"] == "acme"] == ["Acme A100r"] * 3
    assert answer["versions"]["acme-firmware"] == "7.1.0"
    assert answer["reasons"]["acme-driver"].startswith("/sys/module/acme/version: No such file")
    assert answer["environment"] == {"ACME_VISIBLE": "0"}


def test_the_suite_gets_it_from_there(tools: Path, acme: Path) -> None:
    fakes.tool(tools, "acme-smi", SMI)
    facts = collect(Path(sys.executable), {"PATH": f"{tools}:/bin:/usr/bin"})
    assert detect(fakes.device("acme", "a100", 2), facts).present
    assert facts.versions["acme-firmware"] == "7.1.0"


CRASHES = {
    "an error": ("1 / 0", "unexpected answer (ZeroDivisionError"),
    "no list": ("return 5", "unexpected answer (TypeError"),
    "an odd entry": ("return [{'name': 1}]", "unexpected answer (KeyError: 'id'"),
    "an exit": ("raise SystemExit(3)", "unexpected answer (SystemExit: 3)"),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_source_that_crashes_costs_its_own_line_only(
    root: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    crash, why = CRASHES[name]
    known_besides(
        monkeypatch, written(tmp_path, ACME.replace('return [accelerator("Acme of', f'{crash}\n    return [accelerator("Acme of'))
    )
    fakes.tool(tools, "acme-smi", SMI)
    fakes.tool(tools, "gcc", fakes.GCC)
    answer = fakes.collected(fakes.machine(root, tools))
    assert any(why in line for line in answer["looked"]["acme"])
    assert [chip["name"] for chip in answer["accelerators"]] == ["Acme A100r"] * 3
    assert answer["gcc_version"] == "11.4.0"


@pytest.mark.parametrize(
    ("returned", "why"), [("7.1", "7.1, which is no version"), ("None", "None, which"), ("{}['fw']", "KeyError")]
)
def test_a_version_that_is_no_text_is_unknown(
    root: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returned: str, why: str
) -> None:
    known_besides(monkeypatch, written(tmp_path, ACME.replace("return found.group(1)", f"return {returned}")))
    fakes.tool(tools, "acme-smi", SMI)
    answer = fakes.collected(fakes.machine(root, tools))
    assert answer["versions"]["acme-firmware"] == "Unknown"
    assert why in answer["reasons"]["acme-firmware"]


def test_a_file_that_fails_only_there_is_a_reason(tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as under an older Python: here one that needs a variable of the suite's process."""
    monkeypatch.setenv("ACME_HERE", "1")
    known_besides(
        monkeypatch,
        written(tmp_path, f"import os\nos.environ['ACME_HERE']\n{ACME.replace('from __future__ import annotations', '')}"),
    )
    assert "acme" in detection_names()
    answer = in_another_interpreter(tmp_path, tools)
    why = "acme.py: KeyError: 'ACME_HERE'"
    assert answer["looked"]["acme"] == [why]
    assert (answer["versions"]["acme-firmware"], answer["reasons"]["acme-firmware"]) == ("Unknown", why)
    assert answer["python_version"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, why = BROKEN[name]
    path = written(tmp_path, text) if text is not None else tmp_path / "acme.py"
    known_besides(monkeypatch, path)
    with pytest.raises(UsageError, match=f"^{path}: this vendor file cannot be used: {why}") as caught:
        vendors()
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        fakes.device("nvidia")


def test_the_example_of_the_documentation_is_a_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = [line for line in str(machine.__doc__).splitlines() if line.startswith("    ") or not line]
    known_besides(monkeypatch, written(tmp_path, textwrap.dedent("\n".join(example))))
    assert vendors()[-1].name == "acme"


def test_boards_that_cannot_be_counted_are_absent(
    root: Path, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_besides(monkeypatch, written(tmp_path, ACME.replace('identity.partition(".")[0]', "identity[9]")))
    fakes.tool(tools, "acme-smi", SMI)
    presence = detect(fakes.device("acme", "a100"), fakes.machine(root, tools))
    assert not presence.present
    assert presence.looked[-1] == "its boards cannot be counted (IndexError: string index out of range)"


def test_two_strangers_of_one_file_name_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(written(tmp_path / name, f"from hallmark.environment.machine import Vendor\nVENDOR = Vendor('{name}')\n"))
    known_besides(monkeypatch, *paths)
    assert detection_names()[-2:] == ("one", "two")
    answer = in_another_interpreter(tmp_path, tmp_path)
    assert {"one", "two"} <= set(answer["looked"])


def test_the_text_is_ascii_whatever_a_vendor_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known_besides(monkeypatch, written(tmp_path, f"{ACME}# \u00c4cme\n"))
    assert facts_program().isascii()
    assert "acme" in in_another_interpreter(tmp_path, tmp_path)["looked"]
