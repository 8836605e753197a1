"""What one machine and one interpreter are, as one JSON object on stdout: `<the server's python> -I facts.py`.

It runs where hallmark is not installed: standard library only, Python 3.8 to 3.14, no import of hallmark. The suite
imports it too, to look for a device before any server exists. A fact that cannot be had is the string "Unknown", and
`reasons` says why; nothing here raises out of `collect`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Mapping  # noqa: UP035 (Python 3.8 subscripts no collections.abc)

SCHEMA_VERSION = 1
UNKNOWN = "Unknown"
TOOL_TIMEOUT_S = 5.0
MOST_BYTES = 4_000_000
TOOL_FOLDERS = ("usr/local/cuda/bin", "opt/rocm/bin")
"""Where vendors put tools without telling PATH."""
MASK = "[redacted]"
SECRET = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|[-_]PASS$|CREDENTIAL|AUTHORIZATION"
    r"|(API|ACCESS|AUTH|PRIVATE|SIGNING|ENCRYPTION)[-_]?KEY"
    r"|(API|ACCESS|AUTH|BEARER|HF|REFRESH|SESSION)[-_]?TOKENS"
    r"|(?<!PER_)TOKEN(?!I[SZ]|S(?![A-Z])|_(BUDGET|COUNT|LENGTH|LIMIT|THRESHOLD))",
    re.IGNORECASE,
)
"""As in `hallmark/core/redact.py`, which says why."""
RELEVANT = re.compile(
    r"(VLLM_|CUDA_|NVIDIA_|NCCL_|HIP_|ROCR_|ROCM_|HF_|TRANSFORMERS_|TOKENIZERS_|TORCH|PYTORCH_|TT_|WH_ARCH|MESH_|ARCH_NAME$|OMP_|MKL_|KMP_"
    r"|LD_LIBRARY_PATH$|LD_PRELOAD$|PYTHONPATH$|DO_NOT_TRACK$)"
)
ISA = re.compile(r"avx2|avx_vnni|avx512\w*|amx_\w+|asimd|asimddp|bf16|i8mm|sve|sve2|sme|vxe?")
"""The instruction sets that decide which kernels a CPU build takes."""
PCI_VENDORS = {"nvidia": "0x10de", "amd": "0x1002", "tenstorrent": "0x1e52"}
PCI_CLASSES = ("0x03", "0x12")
"""Display controllers and processing accelerators; a vendor's bridges and sound devices are not counted."""


class Unavailable(Exception):
    """A fact that cannot be had; the message says why, for a person."""


class Machine:
    """The one door to the machine: files below `root`, tools on the PATH of `environ`, each given `timeout_s` seconds."""

    def __init__(
        self, root: Path | str = "/", environ: Mapping[str, str] | None = None, *, timeout_s: float = TOOL_TIMEOUT_S
    ) -> None:
        self.root = Path(root)
        self.environ = dict(os.environ if environ is None else environ)
        self.timeout_s = timeout_s

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
        except FileNotFoundError as exc:
            raise Unavailable(f"{path}: no such folder") from exc
        except OSError as exc:
            raise Unavailable(f"{path}: {exc.strerror}") from exc

    def run(self, tool: str, *arguments: str) -> str:
        """What a tool prints on stdout; Unavailable when it is missing, hangs, fails or does not stop printing."""
        folders = [self.environ.get("PATH", os.defpath), *(str(self.root / folder) for folder in TOOL_FOLDERS)]
        path = shutil.which(tool, path=os.pathsep.join(folders))
        if path is None:
            raise Unavailable(f"{tool}: not on PATH")
        with tempfile.TemporaryFile() as errors:
            output, code = self._finish(tool, self._start([path, *arguments], errors))
            errors.seek(0)
            complaint = errors.read(4096).decode("utf-8", "replace")
        if code != 0:
            raise Unavailable(f"{tool}: exit code {code}{_first_line(complaint or output, before=': ')}")
        return output

    def _start(self, command: list[str], errors: Any) -> subprocess.Popen[bytes]:
        env = dict(self.environ, LC_ALL="C")
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=env, start_new_session=True
            )
        except OSError as exc:
            raise Unavailable(f"{Path(command[0]).name}: cannot be run: {exc.strerror}") from exc

    def _finish(self, tool: str, process: subprocess.Popen[bytes]) -> tuple[str, int]:
        deadline = time.monotonic() + self.timeout_s
        try:
            output = _drain(process, deadline)
            return output, process.wait(max(0.1, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            raise Unavailable(f"{tool}: no answer in {self.timeout_s:g} s") from None
        except OverflowError:
            raise Unavailable(f"{tool}: printed more than {MOST_BYTES} bytes") from None
        finally:
            _end(process)


def _drain(process: subprocess.Popen[bytes], deadline: float) -> str:
    # Not communicate(): a tool that prints for ever would fill the memory, and an orphan of it would hold the pipe.
    assert process.stdout is not None
    descriptor, output, poll = process.stdout.fileno(), b"", select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while len(output) < MOST_BYTES:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return output.decode("utf-8", "replace")
        output += chunk
    raise OverflowError


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
        # A tool stuck in its driver survives SIGKILL for a while; it is left behind rather than waited for.
        process.wait(0.5)
    except (OSError, subprocess.TimeoutExpired):
        pass


def _first_line(text: str, *, before: str = "") -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = "".join(c if c.isprintable() else "?" for c in line)[:120]
    return before + line if line else ""


def _search(pattern: str, text: str, what: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise Unavailable(f"{what}: answered something else: '{_first_line(text)}'")
    return match.group(1)


def gather(jobs: Mapping[str, Callable[[Machine], Any]], machine: Machine) -> tuple[dict[str, Any], dict[str, str]]:
    """All jobs at once, a thread each: their values, and for each one without a value the reason."""
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def attempt(name: str, job: Callable[[Machine], Any]) -> None:
        try:
            values[name] = job(machine)
        except Unavailable as exc:
            reasons[name] = str(exc)
        except Exception as exc:  # a probe that trips over an odd machine must not cost the other facts
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


def _either(machine: Machine, *probes: Callable[[Machine], str]) -> str:
    values, reasons = gather({str(place): probe for place, probe in enumerate(probes)}, machine)
    for place in map(str, range(len(probes))):
        if place in values:
            return str(values[place])
    raise Unavailable("; ".join(reasons[key] for key in sorted(reasons)))


# Accelerators. A source gives what it found, one entry a chip, or raises Unavailable with the line of where it looked.


def _accelerator(vendor: str, name: str, identity: str, *, memory: str = "", source: str) -> dict[str, str]:
    return {"vendor": vendor, "name": name, "id": identity, "memory": memory, "source": source}


def counted(accelerators: list[dict[str, str]]) -> str:
    """Such as "4 x n300 L, 4 x n300 R"; the bare name for a single one."""
    names = [accelerator["name"] for accelerator in accelerators]
    kinds = sorted(set(names))
    return ", ".join(f"{names.count(kind)} x {kind}" if len(names) > 1 else kind for kind in kinds)


def _json(machine: Machine, tool: str, *arguments: str) -> Any:
    text = machine.run(tool, *arguments)
    body = re.search(r"[\[{].*[\]}]", text, re.DOTALL)  # these tools print warnings around their JSON
    try:
        return json.loads(body.group() if body else "")
    except ValueError as exc:
        raise Unavailable(f"{tool}: answered no JSON: '{_first_line(text)}'") from exc


def _nvidia_smi(machine: Machine) -> list[dict[str, str]]:
    text = machine.run("nvidia-smi", "--query-gpu=name,uuid,memory.total", "--format=csv,noheader")
    rows = re.findall(r"^(\w[\w .()/+-]*), (GPU-[\w-]+), (.+)$", text, re.MULTILINE)
    if not rows:
        raise Unavailable(f"nvidia-smi: names no device{_first_line(text, before=': ')}")
    return [_accelerator("nvidia", name, uuid, memory=memory, source="nvidia-smi") for name, uuid, memory in rows]


def _nvidia_driver_files(machine: Machine) -> list[dict[str, str]]:
    folder = "/proc/driver/nvidia/gpus"
    files = {slot: machine.read(f"{folder}/{slot}/information") for slot in machine.entries(folder)}
    model = r"^Model:\s*(\S.*)$"
    return [_accelerator("nvidia", _search(model, text, folder), slot, source=folder) for slot, text in files.items()]


def _amd_smi(machine: Machine) -> list[dict[str, str]]:
    answer = _json(machine, "amd-smi", "static", "--asic", "--json")
    rows = answer.get("gpu_data", []) if isinstance(answer, dict) else answer
    return [_accelerator("amd", str(row["asic"]["market_name"]), f"gpu{row['gpu']}", source="amd-smi") for row in rows]


def _rocm_smi(machine: Machine) -> list[dict[str, str]]:
    cards = _json(machine, "rocm-smi", "--showproductname", "--json")
    series = {card: {key.lower(): value for key, value in row.items()} for card, row in cards.items() if card.startswith("card")}
    return [_accelerator("amd", str(row["card series"]), card, source="rocm-smi") for card, row in series.items()]


def _tt_smi(machine: Machine) -> list[dict[str, str]]:
    # Two chips of one board carry the same board_id: that is how boards are counted.
    boards = [chip["board_info"] for chip in _json(machine, "tt-smi", "-s")["device_info"]]
    return [
        _accelerator("tenstorrent", b["board_type"], str(b["board_id"]), memory=str(b.get("dram_speed", "")), source="tt-smi")
        for b in boards
    ]


def _tt_driver_files(machine: Machine) -> list[dict[str, str]]:
    folder = "/sys/class/tenstorrent"
    cards = {node: machine.read(f"{folder}/{node}/tt_card_type") for node in machine.entries(folder)}
    serials = {node: machine.read(f"{folder}/{node}/tt_serial") for node in cards}
    return [_accelerator("tenstorrent", card, serials[node], source=folder) for node, card in cards.items()]


def _tt_nodes(machine: Machine) -> list[dict[str, str]]:
    nodes = [name for name in machine.entries("/dev/tenstorrent") if name.isdigit()]
    return [_accelerator("tenstorrent", "board of unknown type", f"node {n}", source="/dev/tenstorrent") for n in nodes]


def _pci(machine: Machine, vendor: str) -> list[dict[str, str]]:
    number, folder = PCI_VENDORS[vendor], "/sys/bus/pci/devices"
    slots = machine.entries(folder)
    ours = [slot for slot in slots if machine.read(f"{folder}/{slot}/vendor") == number]
    ours = [slot for slot in ours if machine.read(f"{folder}/{slot}/class").startswith(PCI_CLASSES)]
    if not ours:
        raise Unavailable(f"PCI vendor {number}: none of {len(slots)} devices")
    names = {slot: f"PCI device {number}:{machine.read(f'{folder}/{slot}/device')}" for slot in ours}
    return [_accelerator(vendor, names[slot], slot, source="PCI") for slot in ours]


SOURCES: dict[str, dict[str, Callable[[Machine], list[dict[str, str]]]]] = {
    "nvidia": {"nvidia-smi": _nvidia_smi, "/proc/driver/nvidia/gpus": _nvidia_driver_files},
    "amd": {"amd-smi": _amd_smi, "rocm-smi": _rocm_smi},
    "tenstorrent": {"tt-smi": _tt_smi, "/sys/class/tenstorrent": _tt_driver_files, "/dev/tenstorrent": _tt_nodes},
}
"""Per vendor, best first: a tool that knows the board, then what its driver shows. The PCI bus is asked last, always."""


def look(machine: Machine, vendor: str) -> tuple[list[dict[str, str]], list[str]]:
    """The accelerators of one vendor by the best source that names any, and a line for each place that was looked at."""
    sources = dict(SOURCES[vendor], PCI=lambda machine: _pci(machine, vendor))
    values, reasons = gather(sources, machine)
    lines = [reasons[name] if name in reasons else f"{name}: {counted(values[name]) or 'none'}" for name in sources]
    return next((values[name] for name in sources if values.get(name)), []), lines


# One value each, from here on.


def _gcc_version(machine: Machine) -> str:
    return _search(r"\A\S*gcc\S* .*?\)\s+(\d+\.\d+(?:\.\d+)?)", machine.run("gcc", "--version"), "gcc")


def _cuda_version(machine: Machine) -> str:
    def nvcc(machine: Machine) -> str:
        return _search(r"release (\d+\.\d+)", machine.run("nvcc", "--version"), "nvcc")

    def driver(machine: Machine) -> str:
        return _search(r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)", machine.run("nvidia-smi"), "nvidia-smi")

    return _either(machine, nvcc, driver)


def _nvidia_version(machine: Machine) -> str:
    def tool(machine: Machine) -> str:
        text = machine.run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        return _search(r"\A\s*(\d+\.\d[\d.]*)", text, "nvidia-smi")

    def file(machine: Machine) -> str:
        return _search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)", machine.read("/proc/driver/nvidia/version"), "/proc/driver/nvidia")

    return _either(machine, tool, file)


def _glibc(_: Machine) -> str:
    return _search(r"glibc (\S+)", os.confstr("CS_GNU_LIBC_VERSION") or "no answer", "the C library")


def _memory(machine: Machine) -> str:
    kilobytes = int(_search(r"^MemTotal:\s*(\d+) kB", machine.read("/proc/meminfo"), "/proc/meminfo"))
    return f"{kilobytes * 1024 / 1e9:.0f}GB"


def _cpu_flags(machine: Machine) -> list[str]:
    words = _search(r"^(?:flags|Features)\s*:\s*(.+)$", machine.read("/proc/cpuinfo"), "/proc/cpuinfo").split()
    return sorted({word for word in words if ISA.fullmatch(word)})


def _packages(machine: Machine) -> list[str]:
    # -I hides what the server's own start will see: PYTHONPATH, and the user's site where there is no venv.
    extra = [entry for entry in machine.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if sys.prefix == sys.base_prefix and not machine.environ.get("PYTHONNOUSERSITE"):
        extra.append(site.getusersitepackages())
    found: dict[str, str] = {}
    for distribution in metadata.distributions(path=extra + sys.path):
        name, version = _named(distribution)
        if name:  # the first on the path is the one that is imported
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), f"{name}=={version}")
    return [found[key] for key in sorted(found)]


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    try:
        return distribution.metadata["Name"] or "", distribution.version or ""
    except Exception:  # what a half-removed distribution raises differs from Python to Python
        return "", ""


def _environment(machine: Machine) -> dict[str, str]:
    relevant = sorted(name for name in machine.environ if RELEVANT.match(name))
    return {name: MASK if SECRET.search(name) else machine.environ[name] for name in relevant}


PROBES: dict[str, Callable[[Machine], Any]] = {
    "python_version": lambda _: platform.python_version(),
    "python_executable": lambda _: sys.executable,
    "installed_packages": _packages,
    "cuda_version": _cuda_version,
    "gcc_version": _gcc_version,
    "os": lambda m: _search(r"^PRETTY_NAME=[\"']?([^\"'\n]+)", m.read("/etc/os-release"), "/etc/os-release"),
    "kernel": lambda _: platform.release(),
    "glibc": _glibc,
    "architecture": lambda _: platform.machine(),
    "memory_total": _memory,
    "cpu_model": lambda m: _search(r"^model name\s*:\s*(.+)$", m.read("/proc/cpuinfo"), "/proc/cpuinfo"),
    "cpu_flags": _cpu_flags,
    "cpu_cores": lambda _: len(os.sched_getaffinity(0)),
    "environment": _environment,
}
DRIVERS: dict[str, Callable[[Machine], str]] = {
    "nvidia": _nvidia_version,
    "tenstorrent": lambda m: m.read("/sys/module/tenstorrent/version"),
    "amdgpu": lambda m: m.read("/sys/module/amdgpu/version"),
}
EMPTY: dict[str, Any] = {"installed_packages": [], "cpu_flags": [], "cpu_cores": 0, "environment": {}}
"""What stands for a fact that is no string when it cannot be had; `reasons` tells it from a true nothing."""


def collect(machine: Machine) -> dict[str, Any]:
    """Every fact as plain JSON data; takes at most a few seconds more than the machine's `timeout_s`."""
    looks = {f"look.{vendor}": (lambda m, vendor=vendor: look(m, vendor)) for vendor in SOURCES}
    drivers = {f"driver.{name}": probe for name, probe in DRIVERS.items()}
    values, reasons = gather({**PROBES, **looks, **drivers}, machine)
    facts = {name: values.get(name, EMPTY.get(name, UNKNOWN)) for name in PROBES}
    seen = {vendor: values.get(f"look.{vendor}", ([], [reasons.get(f"look.{vendor}", "")])) for vendor in SOURCES}
    versions = {name: values.get(f"driver.{name}", UNKNOWN) for name in DRIVERS}
    known = [version for version in versions.values() if version != UNKNOWN]
    if not known:
        reasons["driver_version"] = "; ".join(reasons[name] for name in drivers)
    return {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "accelerators": [accelerator for found, _ in seen.values() for accelerator in found],
        "looked": {vendor: lines for vendor, (_, lines) in seen.items()},
        "drivers": versions,
        "driver_version": known[0] if known else UNKNOWN,
        "reasons": dict(sorted(reasons.items())),
    }


if __name__ == "__main__":
    print(json.dumps(collect(Machine())))
