"""What the collector of facts and every vendor file share: the machine behind one door, probes, and what a vendor is.

A vendor file is one file of its own, ours (`vendors/`) and a stranger's alike, with one module-level `VENDOR`:

    from hallmark.environment.machine import Vendor, first, table

    VENDOR = Vendor(
        "acme",
        sources={"acme-smi": table("acme-smi --list", r"^(?P<id>\\d+) (?P<name>Acme \\w+)$")},
        pci="1de5:",
        drivers={"acme-driver": first(("/sys/module/acme/version", r"\\A(\\S+)"))},
        variables=("ACME_",),
    )

This file, the vendor files and `facts.py` are run by the server's interpreter, where hallmark is not installed: they import
the standard library and this module only, and run under Python 3.8 to 3.14.
"""

from __future__ import annotations

import copy
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, Sequence  # noqa: UP035 (Python 3.8 subscripts no collections.abc)

if TYPE_CHECKING:
    Accelerators = list[dict[str, str]]
    Source = Callable[["Machine"], Accelerators]
    Version = Callable[["Machine"], str]
    Used = Callable[["Machine"], Mapping[int, float]]

UNKNOWN = "Unknown"
MOST_BYTES = 4_000_000
TOOL_FOLDERS = ("/usr/local/sbin", "/usr/sbin")
"""Where administrators' tools are, which a service's PATH may lack."""
PCI = "PCI"
PCI_FOLDER = "/sys/bus/pci/devices"
PCI_CLASSES = ("0x03", "0x12")
"""Display controllers and processing accelerators; a vendor's bridges, adapters and sound devices are not counted."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Of a vendor or a version: lower case, words joined by single dashes."""


class Unavailable(Exception):
    """A fact that is not available; the message says why, for a person."""


class Machine:
    """The one door to the machine: files below `root`, tools on the PATH of `environ`, each given `timeout_s` seconds."""

    def __init__(self, root: Path | str = "/", environ: Mapping[str, str] | None = None, *, timeout_s: float = 5.0) -> None:
        self.root = Path(root)
        self.environ = dict(os.environ if environ is None else environ)
        self.timeout_s = timeout_s
        self.tool_folders: tuple[str, ...] = TOOL_FOLDERS
        self._made: dict[Any, tuple[Any, str]] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()

    def with_tools(self, folders: Sequence[str]) -> Machine:
        """The same machine, and the same answers, whose tools are looked for in the absolute `folders` as well."""
        other = copy.copy(self)
        other.tool_folders = (*folders, *TOOL_FOLDERS)
        return other

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for all threads that ask; what is Unavailable once stays so."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._made:
                try:
                    self._made[key] = make(), ""
                except Unavailable as exc:
                    self._made[key] = None, str(exc)
        value, problem = self._made[key]
        if problem:
            raise Unavailable(problem)
        return value

    def read(self, path: str) -> str:
        """The text of an absolute path; Unavailable when it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace").strip()
        except OSError as exc:
            raise Unavailable(f"{path}: {exc.strerror}") from exc

    def entries(self, path: str) -> list[str]:
        """The sorted names in an absolute folder; Unavailable when there is none."""
        try:
            return sorted(entry.name for entry in (self.root / path.lstrip("/")).iterdir())
        except OSError as exc:
            raise Unavailable(f"{path}: {exc.strerror}") from exc

    def run(self, tool: str, *arguments: str) -> str:
        """What a tool prints on stdout, run once; Unavailable when it is missing, hangs, fails or does not stop printing."""
        return str(self.once((self.tool_folders, tool, *arguments), lambda: self._run(tool, *arguments)))

    def _run(self, tool: str, *arguments: str) -> str:
        folders = [self.environ.get("PATH", os.defpath), *(str(self.root / folder.lstrip("/")) for folder in self.tool_folders)]
        path = shutil.which(tool, path=os.pathsep.join(folders))
        if path is None:
            raise Unavailable(f"{tool}: not on PATH")
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "start_new_session": True}
        try:
            with tempfile.TemporaryFile() as errors:
                process = subprocess.Popen([path, *arguments], stderr=errors, env=dict(self.environ, LC_ALL="C"), **pipes)
                output, code = self._finish(tool, process)
                errors.seek(0)
                complaint = errors.read(4096).decode("utf-8", "replace")
        except OSError as exc:
            raise Unavailable(f"{tool}: cannot be run: {exc.strerror}") from exc
        if code != 0:
            raise Unavailable(f"{tool}: exit code {code}{_first_line(complaint or output, before=': ')}")
        return output

    def _finish(self, tool: str, process: Any) -> tuple[str, int]:
        deadline = time.monotonic() + self.timeout_s
        try:
            output = _drain(process, deadline)
            return output, process.wait(max(0.1, deadline - time.monotonic()))
        except (TimeoutError, OverflowError, subprocess.TimeoutExpired) as exc:
            _kill(process)
            why = str(exc) if isinstance(exc, OverflowError) else f"no answer in {self.timeout_s:g} s"
            raise Unavailable(f"{tool}: {why}") from None
        finally:
            process.stdout.close()


def _drain(process: Any, deadline: float) -> str:
    # Not communicate(): a tool that prints for ever would fill the memory, and an orphan of it would hold the pipe.
    descriptor, output, poll = process.stdout.fileno(), b"", select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while len(output) < MOST_BYTES:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return output.decode("utf-8", "replace")
        output += chunk
    raise OverflowError(f"printed more than {MOST_BYTES} bytes")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the tool's whole group: the tool may be gone, and a child hold the pipe. One stuck in its driver is left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(0.5)
    except (OSError, subprocess.TimeoutExpired):
        pass


def _first_line(text: str, *, before: str = "") -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(c if c.isprintable() else "?" for c in line)[:120]
    return before + line if line else ""


def search(pattern: str, text: str, what: str) -> str:
    """The one thing that the pattern finds, however often; Unavailable for none, and for several that differ."""
    found = sorted(set(re.findall(pattern, text, re.MULTILINE)))
    if not found:
        raise Unavailable(f"{what}: answered something else: '{_first_line(text)}'")
    if len(found) > 1:
        raise Unavailable(f"{what}: several differ: {', '.join(found)}")
    return str(found[0])


def gather(jobs: Mapping[str, Callable[[Machine], Any]], machine: Machine) -> tuple[dict[str, Any], dict[str, str]]:
    """All jobs at once, a thread each: their values, and for each one without a value the reason."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def attempt(name: str, job: Callable[[Machine], Any]) -> None:
        try:
            values[name] = job(machine)
        except Unavailable as exc:
            reasons[name] = str(exc)
        except (Exception, SystemExit) as exc:  # a probe that trips over an odd machine must not cost the other facts
            reasons[name] = f"{name}: unexpected answer ({type(exc).__name__}: {exc})"

    threads = [threading.Thread(target=attempt, args=item, daemon=True) for item in jobs.items()]
    deadline = time.monotonic() + machine.timeout_s + 2.0
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    values, reasons = dict(values), dict(reasons)  # a thread that is still at it may write to the old ones
    reasons.update({name: "no answer in time" for name in jobs if name not in values and name not in reasons})
    return values, reasons


# What a vendor file is made of. A source answers with one entry a chip, or raises Unavailable with the line of where it looked.


def accelerator(name: str, identity: str, *, memory: str = "") -> dict[str, str]:
    """One chip as a source shows it; `identity` is its UUID, board id or slot, `memory` as the tool writes it."""
    return {"name": name, "id": identity, "memory": memory}


def counted(names: Iterable[str]) -> str:
    """Such as "4 x n300 L, 4 x n300 R"; the bare name for a single one."""
    found = list(names)
    return ", ".join(f"{found.count(kind)} x {kind}" if len(found) > 1 else kind for kind in sorted(set(found)))


def tool_json(machine: Machine, tool: str, *arguments: str) -> Any:
    """What a tool answers in JSON; Unavailable when it answers none."""
    text = machine.run(tool, *arguments)
    body = re.search(r"[\[{].*[\]}]", text, re.DOTALL)  # these tools print warnings around their JSON
    try:
        return json.loads(body.group() if body else "")
    except ValueError as exc:
        raise Unavailable(f"{tool}: answered no JSON: '{_first_line(text)}'") from exc


def table(command: str, pattern: str, maker: str = "") -> Source:
    """A source that is a tool's table: the groups `name`, `id` and perhaps `memory` of each row are an accelerator.

    `maker` is put before each name.
    """

    def source(machine: Machine) -> Accelerators:
        tool, *arguments = command.split()
        text = machine.run(tool, *arguments)
        rows = [match.groupdict() for match in re.finditer(pattern, text, re.MULTILINE)]
        if not rows:
            raise Unavailable(f"{tool}: names no device{_first_line(text, before=': ')}")
        return [accelerator(maker + row["name"], row["id"], memory=row.get("memory") or "") for row in rows]

    return source


def memory_table(command: str, pattern: str) -> Used:
    """A source of memory in use that is a tool's table: the group `mib` of each row, by its group `number` or by its place."""

    def used(machine: Machine) -> dict[int, float]:
        tool, *arguments = command.split()
        text = machine.run(tool, *arguments)
        rows = [match.groupdict() for match in re.finditer(pattern, text, re.MULTILINE)]
        if not rows:
            raise Unavailable(f"{tool}: tells no memory in use{_first_line(text, before=': ')}")
        return {int(row.get("number") or place): float(row["mib"]) for place, row in enumerate(rows)}

    return used


def csv_table(name: str, identity: str) -> str:
    """The pattern of `table` for lines "name, id, memory", of the patterns of the first two."""
    return rf"^\s*(?P<name>{name})\s*,\s*(?P<id>{identity})\s*,\s*(?P<memory>\d.*\S)\s*$"


def first(*sources: tuple[str, str]) -> Version:
    """A version: places (a file, or a command), each with what to look for there; the best, which is the first, that has it."""

    def one(machine: Machine, place: str, pattern: str) -> str:
        tool, *arguments = place.split()
        return search(pattern, machine.read(place) if place.startswith("/") else machine.run(tool, *arguments), tool)

    def version(machine: Machine) -> str:
        jobs = {str(number): (lambda m, source=source: one(m, *source)) for number, source in enumerate(sources)}
        values, reasons = gather(jobs, machine)
        for number in jobs:
            if number in values:
                return str(values[number])
        raise Unavailable("; ".join(dict.fromkeys(reasons[number] for number in jobs)))

    return version


def _functions(field: str, value: Mapping[str, Callable[[Machine], Any]] | None) -> dict[str, Callable[[Machine], Any]]:
    if not isinstance(value, (Mapping, type(None))):
        raise TypeError(f"{field}: not a mapping of names to functions")
    if wrong := [name for name, probe in (value or {}).items() if not callable(probe)]:
        raise TypeError(f"{field}: what stands for '{wrong[0]}' is not a function")
    return dict(value or {})


def _texts(field: str, value: Sequence[str]) -> tuple[str, ...]:
    # A single text would be taken for its letters.
    if isinstance(value, str) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{field}: not a tuple of texts")
    return tuple(value)


class Vendor:
    """One accelerator vendor: how its boards are found and counted, and how the versions of what drives them are.

    A mistake in it is a TypeError or ValueError that names the field.
    """

    def __init__(
        self,
        name: str,
        *,
        sources: Mapping[str, Source] | None = None,
        pci: str = "",
        pci_names: Mapping[str, str] | None = None,
        drivers: Mapping[str, Version] | None = None,
        versions: Mapping[str, Version] | None = None,
        variables: Sequence[str] = (),
        tool_folders: Sequence[str] = (),
        revision: str = "",
        board_of: Callable[[str], str] = str,
        visible: Mapping[str, str] | None = None,
        numbers: Mapping[str, int] | None = None,
        used: Mapping[str, Used] | None = None,
    ) -> None:
        self.name = name
        """The `how` of its devices in a catalogue."""
        self.sources = _functions("sources", sources)
        """Where its accelerators are looked for, best first, by the tool or folder that is asked."""
        self.pci = pci
        """A pattern at the start of "vendor:device" on the PCI bus, which is asked last; empty where it is not asked."""
        self.pci_names = dict(pci_names or {})
        """What such a pattern is called."""
        self.drivers = _functions("drivers", drivers)
        """Versions of what makes its boards usable, by the name that `system_deps` of a spec gives them."""
        self.versions = _functions("versions", versions)
        """The same of firmware, toolkits and tools."""
        self.variables = _texts("variables", variables)
        """How the names of the environment variables start that matter to a server on its boards."""
        self.tool_folders = _texts("tool_folders", tool_folders)
        """Absolute folders where it puts tools without telling PATH."""
        self.revision = revision
        """A pattern of what may follow a board's name and not make it another."""
        self.board_of = board_of
        """From an accelerator's id to its board's: those of one board count once. By default they have the same id."""
        self.visible = dict(visible or {})
        """Variables that hide other boards from a process: by their names their values, where `{}` is the numbers of those that
        it may see, such as 0,1. Empty where its boards cannot be hidden.
        """
        self.numbers = dict(numbers or {})
        """How many numbers in a row each board of a kind has there, where that is not one."""
        self.used = _functions("used", used)
        """Where the memory in use is asked for, best first, by the tool: MiB by those numbers."""
        self._check()

    def _check(self) -> None:
        for name in (self.name, *self.drivers, *self.versions):
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: lower case letters and digits, with single dashes between")
        if twice := [name for name in self.drivers if name in self.versions]:
            raise ValueError(f"versions: '{twice[0]}' is one of the drivers")
        if PCI in self.sources:
            raise ValueError(f"sources: '{PCI}' is what `pci` makes")
        if not callable(self.board_of):
            raise TypeError("board_of: not a function")
        for field, pattern in (("pci", self.pci), ("revision", self.revision), *(("pci_names", p) for p in self.pci_names)):
            try:
                re.compile(pattern)
            except (re.error, TypeError) as exc:
                raise ValueError(f"{field}: {pattern!r} is no pattern: {exc}") from exc

    def look(self, machine: Machine) -> tuple[Accelerators, list[str]]:
        """Its accelerators by the best source that names any, and a line for each place that was looked at."""
        sources = {**self.sources, **({PCI: self._on_the_bus} if self.pci else {})}
        jobs = {place: (lambda m, p=place, s=source: self._entries(p, s(m))) for place, source in sources.items()}
        values, reasons = gather(jobs, machine.with_tools(self.tool_folders))
        lines = [
            reasons[place] if place in reasons else f"{place}: {counted(chip['name'] for chip in values[place]) or 'none'}"
            for place in sources
        ]
        return next((values[place] for place in sources if values.get(place)), []), lines

    def numbers_of(self, board: str, slots: Iterable[int]) -> list[int]:
        """The numbers, among all boards of a machine, of some of one kind."""
        each = self.numbers.get(board, 1)
        return [slot * each + part for slot in slots for part in range(each)]

    def memory_used(self, machine: Machine) -> tuple[dict[int, float], list[str]]:
        """MiB in use by number, of the best source that answers; and a line for each that does not."""
        values, reasons = gather(self.used, machine.with_tools(self.tool_folders))
        return next((dict(values[tool]) for tool in self.used if values.get(tool)), {}), list(reasons.values())

    def _entries(self, place: str, found: Accelerators) -> Accelerators:
        # Made of texts whatever a source gives: an entry that is no JSON would cost all facts.
        return [
            {"vendor": self.name, **{key: str(chip[key]) for key in ("name", "id", "memory")}, "source": place} for chip in found
        ]

    def version(self, name: str, machine: Machine) -> str:
        """One of its `drivers` or `versions`; Unavailable when it is not there."""
        value = {**self.drivers, **self.versions}[name](machine.with_tools(self.tool_folders))
        if not isinstance(value, str) or not value:
            raise Unavailable(f"{name}: answered {value!r:.60}, which is no version")
        return value

    def _on_the_bus(self, machine: Machine) -> Accelerators:
        slots = machine.entries(PCI_FOLDER)
        ids = {s: ":".join(machine.read(f"{PCI_FOLDER}/{s}/{part}")[2:] for part in ("vendor", "device")) for s in slots}
        ours = [slot for slot in slots if re.match(self.pci, ids[slot])]
        ours = [slot for slot in ours if machine.read(f"{PCI_FOLDER}/{slot}/class").startswith(PCI_CLASSES)]
        if not ours:
            raise Unavailable(f"PCI vendor 0x{self.pci.partition(':')[0]}: none of {len(slots)} devices")
        names = {s: next((n for start, n in self.pci_names.items() if re.match(start, ids[s])), "PCI device") for s in ours}
        return [accelerator(f"{names[slot]} {ids[slot]}", slot) for slot in ours]
