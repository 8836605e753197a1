"""What one machine and one interpreter are, as one JSON object on stdout: `<the server's python> -I facts.py`.

It runs where hallmark is not installed: one file, standard library only, Python 3.8 to 3.14. The suite imports it too, to
look for a device before any server exists. What cannot be had is "Unknown", and `reasons` says why; `collect` never raises.
"""

from __future__ import annotations

import contextlib
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
MOST_BYTES = 4_000_000
TOOL_FOLDERS = ("usr/local/cuda/bin", "opt/rocm/bin", "usr/local/sbin", "usr/sbin")
"""Where vendors put tools without telling PATH."""
CANN = "/usr/local/Ascend/ascend-toolkit/latest"
MASK = "[redacted]"
SECRET = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|[-_]PASS$|CREDENTIAL|AUTHORIZATION|(API|ACCESS|AUTH|PRIVATE|SIGNING|ENCRYPTION)[-_]?KEY"
    r"|(API|ACCESS|AUTH|BEARER|HF|REFRESH|SESSION)[-_]?TOKENS"
    r"|(?<!PER_)TOKEN(?!I[SZ]|S(?![A-Z])|_(BUDGET|COUNT|LENGTH|LIMIT|THRESHOLD))",
    re.IGNORECASE,
)
"""As in `hallmark/core/redact.py`, which says why."""
RELEVANT = re.compile(
    r"(VLLM_|SGLANG_|CUDA_|NVIDIA_|NCCL_|HIP_|ROCR_|ROCM_|ASCEND_|HCCL_|HABANA_|PT_HPU_|AIU_|FLEX_|SENDNN_|TT_|WH_ARCH|MESH_"
    r"|HF_|TRANSFORMERS_|TOKENIZERS_|TORCH|PYTORCH_|OMP_|MKL_|KMP_"
    r"|(ARCH_NAME|LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|DO_NOT_TRACK)$)"
)
# The instruction sets that decide which kernels a CPU build takes.
ISA = re.compile(r"avx2|avx_vnni|avx512\w*|amx_\w+|asimd|asimddp|bf16|i8mm|sve|sve2|sme|vxe?")
PCI_IDS = {
    "nvidia": "10de:",
    "amd": "1002:",
    "tenstorrent": "1e52:",
    "ascend": "19e5:",
    "gaudi": "1da3:",
    "spyre": "1014:06a[78]",
}
PCI_NAMES = {"1da3:10[01]": "Gaudi", "1da3:10[23]": "Gaudi 2", "1da3:106": "Gaudi 3", "1014:06a": "IBM Spyre"}
PCI_CLASSES = ("0x03", "0x12")
"""Display controllers and processing accelerators; a vendor's bridges, adapters and sound devices are not counted."""


class Unavailable(Exception):
    """A fact that cannot be had; the message says why, for a person."""


class Machine:
    """The one door to the machine: files below `root`, tools on the PATH of `environ`, each given `timeout_s` seconds."""

    def __init__(self, root: Path | str = "/", environ: Mapping[str, str] | None = None, *, timeout_s: float = 5.0) -> None:
        self.root = Path(root)
        self.environ = dict(os.environ if environ is None else environ)
        self.timeout_s = timeout_s
        self._made: dict[Any, tuple[Any, str]] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._guard = threading.Lock()

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
        return str(self.once((tool, *arguments), lambda: self._run(tool, *arguments)))

    def _run(self, tool: str, *arguments: str) -> str:
        folders = [self.environ.get("PATH", os.defpath), *(str(self.root / folder) for folder in TOOL_FOLDERS)]
        path = shutil.which(tool, path=os.pathsep.join(folders))
        if path is None:
            raise Unavailable(f"{tool}: not on PATH")
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "start_new_session": True}
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen([path, *arguments], stderr=errors, env=dict(self.environ, LC_ALL="C"), **pipes)
            except OSError as exc:
                raise Unavailable(f"{tool}: cannot be run: {exc.strerror}") from exc
            output, code = self._finish(tool, process)
            errors.seek(0)
            complaint = errors.read(4096).decode("utf-8", "replace")
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


def _search(pattern: str, text: str, what: str) -> str:
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


# Accelerators. A source gives what it found, one entry a chip, or raises Unavailable with the line of where it looked.


def _accelerator(vendor: str, name: str, identity: str, *, memory: str = "", source: str) -> dict[str, str]:
    return {"vendor": vendor, "name": name, "id": identity, "memory": memory, "source": source}


def counted(accelerators: list[dict[str, str]]) -> str:
    """Such as "4 x n300 L, 4 x n300 R"; the bare name for a single one."""
    names = [accelerator["name"] for accelerator in accelerators]
    return ", ".join(f"{names.count(kind)} x {kind}" if len(names) > 1 else kind for kind in sorted(set(names)))


def _json(machine: Machine, tool: str, *arguments: str) -> Any:
    text = machine.run(tool, *arguments)
    body = re.search(r"[\[{].*[\]}]", text, re.DOTALL)  # these tools print warnings around their JSON
    try:
        return json.loads(body.group() if body else "")
    except ValueError as exc:
        raise Unavailable(f"{tool}: answered no JSON: '{_first_line(text)}'") from exc


def _table(vendor: str, command: str, pattern: str, maker: str = "") -> Callable[[Machine], list[dict[str, str]]]:
    """A source that is a tool's table: the groups `name`, `id` and perhaps `memory` of each row are an accelerator."""

    def source(machine: Machine) -> list[dict[str, str]]:
        tool, *arguments = command.split()
        text = machine.run(tool, *arguments)
        rows = [match.groupdict() for match in re.finditer(pattern, text, re.MULTILINE)]
        if not rows:
            raise Unavailable(f"{tool}: names no device{_first_line(text, before=': ')}")
        return [_accelerator(vendor, maker + r["name"], r["id"], memory=r.get("memory", ""), source=tool) for r in rows]

    return source


def _nvidia_driver_files(machine: Machine) -> list[dict[str, str]]:
    folder = "/proc/driver/nvidia/gpus"
    files = {slot: machine.read(f"{folder}/{slot}/information") for slot in machine.entries(folder)}
    models = {slot: _search(r"^Model:\s*(\S.*)$", text, folder) for slot, text in files.items()}
    return [_accelerator("nvidia", model, slot, source=folder) for slot, model in models.items()]


def _amd_smi(machine: Machine) -> list[dict[str, str]]:
    answer = _json(machine, "amd-smi", "static", "--asic", "--board", "--json")
    rows = answer.get("gpu_data", []) if isinstance(answer, dict) else answer
    # Some drivers give a family as market_name; the board's product name is the precise one where there is one.
    products = [(row, str(row.get("board", {}).get("product_name") or "N/A")) for row in rows]
    names = [(row["gpu"], str(row["asic"]["market_name"]) if product == "N/A" else product) for row, product in products]
    return [_accelerator("amd", name, f"gpu{number}", source="amd-smi") for number, name in names]


def _rocm_smi(machine: Machine) -> list[dict[str, str]]:
    cards = _json(machine, "rocm-smi", "--showproductname", "--json")
    series = {card: {key.lower(): value for key, value in row.items()} for card, row in cards.items() if card.startswith("card")}
    return [_accelerator("amd", str(row["card series"]), card, source="rocm-smi") for card, row in series.items()]


def _tt_smi(machine: Machine) -> list[dict[str, str]]:
    # Two chips of one board carry the same board_id: that is how boards are counted.
    boards = [chip["board_info"] for chip in _json(machine, "tt-smi", "-s")["device_info"]]
    return [_accelerator("tenstorrent", b["board_type"], str(b["board_id"]), source="tt-smi") for b in boards]


def _tt_driver_files(machine: Machine) -> list[dict[str, str]]:
    folder = "/sys/class/tenstorrent"
    cards = {node: machine.read(f"{folder}/{node}/tt_card_type") for node in machine.entries(folder)}
    serials = {node: machine.read(f"{folder}/{node}/tt_serial") for node in cards}
    return [_accelerator("tenstorrent", card, serials[node], source=folder) for node, card in cards.items()]


def _tt_nodes(machine: Machine) -> list[dict[str, str]]:
    nodes = [name for name in machine.entries("/dev/tenstorrent") if name.isdigit()]
    return [_accelerator("tenstorrent", "board of unknown type", f"node {n}", source="/dev/tenstorrent") for n in nodes]


def _pci(machine: Machine, vendor: str) -> list[dict[str, str]]:
    folder = "/sys/bus/pci/devices"
    slots = machine.entries(folder)
    ids = {s: f"{machine.read(f'{folder}/{s}/vendor')[2:]}:{machine.read(f'{folder}/{s}/device')[2:]}" for s in slots}
    ours = [slot for slot in slots if re.match(PCI_IDS[vendor], ids[slot])]
    ours = [slot for slot in ours if machine.read(f"{folder}/{slot}/class").startswith(PCI_CLASSES)]
    if not ours:
        raise Unavailable(f"PCI vendor 0x{PCI_IDS[vendor][:4]}: none of {len(slots)} devices")
    names = {s: next((name for start, name in PCI_NAMES.items() if re.match(start, ids[s])), "PCI device") for s in ours}
    return [_accelerator(vendor, f"{names[slot]} {ids[slot]}", slot, source="PCI") for slot in ours]


CSV = r"^\s*(?P<name>{})\s*,\s*(?P<id>{})\s*,\s*(?P<memory>\d.*\S)\s*$"
NVIDIA, GAUDI = CSV.format(r"\w[\w .()/+-]*", r"GPU-[\w-]+"), CSV.format(r"HL-\w+", r"\S+")
# npu-smi: two lines a chip, the card's number and name, the chip's bus and memory; chips of one card share its number.
# lspci: revision ff is a card that does not answer.
NPU = (
    r"^\|\s*(?P<id>\d+)\s+(?:Ascend)?(?P<name>[\w.-]*\d[\w.-]*)\s*\|[^|\n]*\|[^|\n]*\|\s*\n"
    r"\|[^|\n]*\|\s*\w+:[\w:.]+\s*\|.*?/\s*(?P<memory>\d+)\s*\|\s*$"
)
SPYRE = r"^(?P<id>\S+) \w{4}: (?P<name>1014:06a[78])(?! \(rev ff)"
SOURCES: dict[str, dict[str, Callable[[Machine], list[dict[str, str]]]]] = {
    "nvidia": {
        "nvidia-smi": _table("nvidia", "nvidia-smi --query-gpu=name,uuid,memory.total --format=csv,noheader", NVIDIA),
        "/proc/driver/nvidia/gpus": _nvidia_driver_files,
    },
    "amd": {"amd-smi": _amd_smi, "rocm-smi": _rocm_smi},
    "tenstorrent": {"tt-smi": _tt_smi, "/sys/class/tenstorrent": _tt_driver_files, "/dev/tenstorrent": _tt_nodes},
    "ascend": {"npu-smi": _table("ascend", "npu-smi info", NPU, "Ascend ")},
    "gaudi": {"hl-smi": _table("gaudi", "hl-smi -Q name,uuid,memory.total -f csv,noheader", GAUDI)},
    "spyre": {"lspci": _table("spyre", "lspci -n -d 1014:", SPYRE, "IBM Spyre ")},
}
"""Per vendor, best first: a tool that knows the board, then what its driver shows. The PCI bus is asked last, always."""


def look(machine: Machine, vendor: str) -> tuple[list[dict[str, str]], list[str]]:
    """The accelerators of one vendor by the best source that names any, and a line for each place that was looked at."""
    sources = dict(SOURCES[vendor], PCI=lambda machine: _pci(machine, vendor))
    values, reasons = gather(sources, machine)
    lines = [reasons[name] if name in reasons else f"{name}: {counted(values[name]) or 'none'}" for name in sources]
    return next((values[name] for name in sources if values.get(name)), []), lines


# One value each, from here on.


def _first(*sources: tuple[str, str]) -> Callable[[Machine], str]:
    """A probe of places (a file, or a command) with what to look for there: the best, which is the first, that has it."""

    def one(machine: Machine, place: str, pattern: str) -> str:
        tool, *arguments = place.split()
        return _search(pattern, machine.read(place) if place.startswith("/") else machine.run(tool, *arguments), tool)

    def probe(machine: Machine) -> str:
        jobs = {str(number): (lambda m, source=source: one(m, *source)) for number, source in enumerate(sources)}
        values, reasons = gather(jobs, machine)
        for number in jobs:
            if number in values:
                return str(values[number])
        raise Unavailable("; ".join(dict.fromkeys(reasons[number] for number in jobs)))

    return probe


def _memory(machine: Machine) -> int:
    return int(_search(r"^MemTotal:\s*(\d+) kB", machine.read("/proc/meminfo"), "/proc/meminfo")) * 1024


def _memory_limit(machine: Machine) -> str:
    """The least limit of the control groups that this process is in; "none" where they set none below the memory."""
    limits = []
    for _, controllers, path in (line.split(":", 2) for line in machine.read("/proc/self/cgroup").splitlines()):
        if controllers and "memory" not in controllers.split(","):
            continue
        base, name = ("memory/", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        groups = path.strip("/").split("/")
        # In a container the path may be the host's; the container's own group is then at the top.
        for folder in {"/".join(groups[:depth]) for depth in range(len(groups) + 1)}:
            with contextlib.suppress(Unavailable):
                limits.append(machine.read(f"/sys/fs/cgroup/{base}{folder}/{name}"))
    if not limits:
        raise Unavailable("no control group tells of a limit")
    least = min([int(limit) for limit in limits if limit.isdigit()] or [_memory(machine)])
    return f"{least / 1e9:.1f}GB" if least < _memory(machine) else "none"


def _cpu_flags(machine: Machine) -> list[str]:
    lines = re.findall(r"^(?:flags|[Ff]eatures)\s*:\s*(.+)$", machine.read("/proc/cpuinfo"), re.MULTILINE) or [""]
    return sorted(word for word in set.intersection(*(set(line.split()) for line in lines)) if ISA.fullmatch(word))


def _installed(machine: Machine) -> dict[str, Any]:
    """Normalised name -> (name, version, distribution), of all that the server's own start will see."""

    def find() -> dict[str, Any]:
        # -I hides some of it: PYTHONPATH, and the user's site where there is no venv.
        extra = [entry for entry in machine.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        if sys.prefix == sys.base_prefix and not machine.environ.get("PYTHONNOUSERSITE"):
            extra.append(site.getusersitepackages())
        found: dict[str, Any] = {}
        for distribution in metadata.distributions(path=extra + sys.path):
            with contextlib.suppress(Exception):  # what a half-removed distribution raises differs from Python to Python
                name, version = str(distribution.metadata["Name"] or ""), distribution.version or ""
                # The first on the path is the one that is imported.
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), (name, version, distribution))
        return {key: found[key] for key in sorted(found) if key}

    return dict(machine.once("distributions", find))


def _of_extras(distribution: metadata.Distribution) -> list[str]:
    return [line for line in distribution.requires or () if re.search(r";.*\bextra\b", line)]


def _markers(_: Machine) -> dict[str, str]:
    """The environment of dependency markers (PEP 508), as this interpreter is."""
    version, of_platform = platform.python_version(), ("machine", "python_implementation", "release", "system", "version")
    short, kind = ".".join(platform.python_version_tuple()[:2]), sys.implementation.name
    own = {"python_version": short, "python_full_version": version, "sys_platform": sys.platform, "os_name": os.name}
    kinds = {"implementation_name": kind, "implementation_version": version}
    return {**own, **kinds, **{f"platform_{name}": getattr(platform, name)() for name in of_platform}}


def _environment(machine: Machine) -> dict[str, str]:
    return {n: MASK if SECRET.search(n) else value for n, value in sorted(machine.environ.items()) if RELEVANT.match(n)}


PROBES: dict[str, Callable[[Machine], Any]] = {
    "python_version": lambda _: platform.python_version(),
    "python_executable": lambda _: sys.executable,
    "installed_packages": lambda m: [f"{name}=={version}" for name, version, _ in _installed(m).values()],
    "extras": lambda m: {key: lines for key, (_, _, d) in _installed(m).items() if (lines := _of_extras(d))},
    "markers": _markers,
    "cuda_version": _first(("nvcc --version", r"release (\d+\.\d+)"), ("nvidia-smi", r"CUDA (?:UMD )?Version:\s*(\d+\.\d+)")),
    "gcc_version": _first(("gcc --version", r"\A\S*gcc\S* .*?\)\s+(\d+\.\d+(?:\.\d+)?)")),
    "os": _first(("/etc/os-release", r"^PRETTY_NAME=[\"']?([^\"'\n]+)")),
    "kernel": lambda _: platform.release(),
    "glibc": lambda _: _search(r"glibc (\S+)", os.confstr("CS_GNU_LIBC_VERSION") or "no answer", "the C library"),
    "architecture": lambda _: platform.machine(),
    "memory_total": lambda m: f"{_memory(m) / 1e9:.0f}GB",
    "memory_limit": _memory_limit,
    "cpu_model": _first(("/proc/cpuinfo", r"^(?:model name|cpu)\s*:\s*(.+)$")),
    "cpu_flags": _cpu_flags,
    "cpu_cores": lambda _: len(os.sched_getaffinity(0)),
    "environment": _environment,
}
DRIVERS: dict[str, Callable[[Machine], str]] = {
    "nvidia-driver": _first(
        ("nvidia-smi --query-gpu=driver_version --format=csv,noheader", r"^\s*(\d+\.\d[\d.]*)\s*$"),
        ("/proc/driver/nvidia/version", r"Kernel Module.*?\s(\d+\.\d[\d.]*)"),
    ),
    "tt-kmd": _first(("/sys/module/tenstorrent/version", r"\A(\S+)"), ("tt-smi -s", r'"Driver":\s*"\D*(\d+\.\d[\w.]*)"')),
    "amdgpu": _first(("/sys/module/amdgpu/version", r"\A(\S+)")),
    "habanalabs": _first(("/sys/module/habanalabs/version", r"\A(\S+)")),
    "ascend-driver": _first(("npu-smi info", r"npu-smi \S+\s+Version:\s*(\S+)")),
}
VERSIONS: dict[str, Callable[[Machine], str]] = {
    **DRIVERS,
    "rocm": _first(("/opt/rocm/.info/version", r"\A(\d+\.\d+(?:\.\d+)?)"), ("amd-smi version", r"ROCm version:\s*(\d[\d.]*)")),
    "cann": _first((f"{CANN}/{platform.machine()}-linux/ascend_toolkit_install.info", r"^version=(\S+)")),
    # Some boards state their bundle under the name of the tool that wrote it.
    "tt-firmware": _first(
        ("tt-smi -s", r'"fw_bundle_version":\s*"(?:N/A",\s*"tt_flash_version":\s*")?(\d[\w.]*)"'),
    ),
    "tt-smi": _first(("tt-smi -s", r'"tt_smi":\s*"(\d[\w.]*)"')),
    # The engine, not its client: a client without one runs nothing.
    "docker": _first(("docker version --format {{.Server.Version}}", r"\A\s*(\d+\.\d[\w.+-]*)")),
}
"""By the name that a spec's `system_deps` gives them; a line here is all that one more needs."""
EMPTY = {"installed_packages": [], "extras": {}, "markers": {}, "cpu_flags": [], "cpu_cores": 0, "environment": {}}
"""What stands for a fact that is no string when it cannot be had; `reasons` tells it from a true nothing."""


def collect(machine: Machine, unknown: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Every fact but the `unknown` (name -> why) as plain JSON data; takes a few seconds more than the machine's `timeout_s`."""
    looks = {f"look.{vendor}": (lambda m, vendor=vendor: look(m, vendor)) for vendor in SOURCES}
    values, reasons = gather({n: p for n, p in {**PROBES, **VERSIONS, **looks}.items() if n not in (unknown or {})}, machine)
    facts = {name: values.get(name, EMPTY.get(name, UNKNOWN)) for name in PROBES}
    seen = {vendor: values.get(f"look.{vendor}", ([], [reasons.get(f"look.{vendor}", "")])) for vendor in SOURCES}
    drivers = [values[name] for name in DRIVERS if name in values]
    if not drivers:
        reasons["driver_version"] = "; ".join(dict.fromkeys(reasons[name] for name in DRIVERS))
    return {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "accelerators": [accelerator for found, _ in seen.values() for accelerator in found],
        "looked": {vendor: lines for vendor, (_, lines) in seen.items()},
        "driver_version": drivers[0] if drivers else UNKNOWN,
        "versions": {name: values.get(name, UNKNOWN) for name in VERSIONS},
        "reasons": dict(sorted({**reasons, **(unknown or {})}.items())),
    }


if __name__ == "__main__":
    print(json.dumps(gather({n: PROBES[n] for n in sys.argv[1:]}, Machine())[0] if sys.argv[1:] else collect(Machine())))
