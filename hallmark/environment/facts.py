"""What one machine and one interpreter are, as one JSON object on stdout.

It runs where hallmark is not installed, in one text with `machine.py` and the vendor files (`bundle.py` makes it): standard
library only, Python 3.8 to 3.14. What is not available is "Unknown", and `reasons` says why; `collect` never raises.
"""

from __future__ import annotations

import contextlib
import email
import hashlib
import json
import os
import platform
import re
import site
import sys
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence  # noqa: UP035 (Python 3.8 subscripts no collections.abc)

from hallmark.environment.machine import UNKNOWN, Machine, Unavailable, first, gather, search

if TYPE_CHECKING:
    from hallmark.environment.machine import Vendor

SCHEMA_VERSION = 1
MASK = "[redacted]"
SECRET = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|[-_]PASS$|CREDENTIAL|AUTHORIZATION|(API|ACCESS|AUTH|PRIVATE|SIGNING|ENCRYPTION)[-_]?KEY"
    r"|(API|ACCESS|AUTH|BEARER|HF|REFRESH|SESSION)[-_]?TOKENS"
    r"|(?<!PER_)TOKEN(?!I[SZ]|S(?![A-Z])|_(BUDGET|COUNT|LENGTH|LIMIT|THRESHOLD))",
    re.IGNORECASE,
)
"""As in `hallmark/core/redact.py`, which says why."""
RELEVANT = re.compile(
    r"(VLLM_|SGLANG_|HF_|TRANSFORMERS_|TOKENIZERS_|TORCH|PYTORCH_|OMP_|MKL_|KMP_|(LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|DO_NOT_TRACK)$)"
)
"""The variables that matter to a server on any device; each vendor adds its own."""
# The instruction sets that decide which kernels a CPU build takes.
ISA = re.compile(r"avx2|avx_vnni|avx512\w*|amx_\w+|asimd|asimddp|bf16|i8mm|sve|sve2|sme|vxe?")


def _memory(machine: Machine) -> int:
    return int(search(r"^MemTotal:\s*(\d+) kB", machine.read("/proc/meminfo"), "/proc/meminfo")) * 1024


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
    """Normalised name -> (name, version, what it requires, itself), of all that the server's own start will see."""

    def find() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for distribution in metadata.distributions(path=_package_paths(machine)):
            with contextlib.suppress(Exception):  # what a half-removed distribution raises differs from Python to Python
                head = _head(distribution)
                name, version = (str(head[field] or "") for field in ("Name", "Version"))
                # An egg keeps what it requires in a file of its own.
                egg = distribution.read_text("METADATA") is None
                requires = (distribution.requires if egg else head.get_all("Requires-Dist")) or []
                # The first on the path is the one that is imported.
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), (name, version, requires, distribution))
        return {key: found[key] for key in sorted(found) if key}

    return dict(machine.once("distributions", find))


def _head(distribution: metadata.Distribution) -> Any:
    """The fields of its metadata; the description behind them is most of the text, and parsed it costs ten times as much."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or distribution.read_text("") or ""
    return email.message_from_string(text.partition("\n\n")[0])


def _package_paths(machine: Machine) -> list[str]:
    """Where the server's own start takes packages from, in order. -I hides some of it: PYTHONPATH, and the user's site where
    there is no venv.
    """
    extra = [entry for entry in machine.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if sys.prefix == sys.base_prefix and not machine.environ.get("PYTHONNOUSERSITE"):
        extra.append(site.getusersitepackages())
    return extra + sys.path


def _installed_files(machine: Machine) -> dict[str, str]:
    """Normalised name -> SHA-256 over what its RECORD says of its files, but for those that differ from place to place."""
    found = {key: _record_digest(told[3]) for key, told in _installed(machine).items()}
    return {key: digest for key, digest in found.items() if digest}


OF_THE_PLACE = re.compile(
    r"\.\./|/|.*__pycache__/|[^/]*\.dist-info/(?:INSTALLER|REQUESTED|RECORD|direct_url\.json|uv_\w+\.json),"
)
"""Lines of a RECORD about what an installer writes: scripts name their interpreter, and caches come and go."""


def _record_digest(distribution: metadata.Distribution) -> str:
    """Empty where there is no RECORD, as of a distribution that the system's own packages installed."""
    with contextlib.suppress(Exception):
        lines = [line.strip() for line in (distribution.read_text("RECORD") or "").splitlines()]
        kept = sorted(line for line in lines if line and not OF_THE_PLACE.match(line))
        return hashlib.sha256("\n".join(kept).encode("utf-8", "replace")).hexdigest() if kept else ""
    return ""


def _of_extras(requires: Sequence[str]) -> list[str]:
    return [line for line in requires if re.search(r";.*\bextra\b", line)]


def _markers(_: Machine) -> dict[str, str]:
    """The environment of dependency markers (PEP 508), as this interpreter is."""
    version, of_platform = platform.python_version(), ("machine", "python_implementation", "release", "system", "version")
    short, kind = ".".join(platform.python_version_tuple()[:2]), sys.implementation.name
    own = {"python_version": short, "python_full_version": version, "sys_platform": sys.platform, "os_name": os.name}
    kinds = {"implementation_name": kind, "implementation_version": version}
    return {**own, **kinds, **{f"platform_{name}": getattr(platform, name)() for name in of_platform}}


def _environment(machine: Machine, vendors: Sequence[Vendor]) -> dict[str, str]:
    starts = tuple(start for vendor in vendors for start in vendor.variables)
    relevant = {n: value for n, value in sorted(machine.environ.items()) if RELEVANT.match(n) or n.startswith(starts)}
    return {n: MASK if SECRET.search(n) else value for n, value in relevant.items()}


PROBES: dict[str, Callable[[Machine], Any]] = {
    "python_version": lambda _: platform.python_version(),
    "python_executable": lambda _: sys.executable,
    "installed_packages": lambda m: [f"{name}=={version}" for name, version, *_ in _installed(m).values()],
    "installed_files": _installed_files,
    "package_folders": lambda m: [path for path in _package_paths(m) if os.path.isdir(path)],  # noqa: PTH112 - as it is written
    "extras": lambda m: {key: lines for key, (_, _, r, _) in _installed(m).items() if (lines := _of_extras(r))},
    "markers": _markers,
    "gcc_version": first(("gcc --version", r"\A\S*gcc\S* .*?\)\s+(\d+\.\d+(?:\.\d+)?)")),
    "os": first(("/etc/os-release", r"^PRETTY_NAME=[\"']?([^\"'\n]+)")),
    "kernel": lambda _: platform.release(),
    "glibc": lambda _: search(r"glibc (\S+)", os.confstr("CS_GNU_LIBC_VERSION") or "no answer", "the C library"),
    "architecture": lambda _: platform.machine(),
    "memory_total": lambda m: f"{_memory(m) / 1e9:.0f}GB",
    "memory_limit": _memory_limit,
    "cpu_model": first(("/proc/cpuinfo", r"^(?:model name|cpu)\s*:\s*(.+)$")),
    "cpu_flags": _cpu_flags,
    "cpu_cores": lambda _: len(os.sched_getaffinity(0)),
}
SERVICES: dict[str, Callable[[Machine], str]] = {
    # The engine, not its client: a client without one runs nothing.
    "docker": first(("docker version --format {{.Server.Version}}", r"\A\s*(\d+\.\d[\w.+-]*)")),
}
"""Versions of no vendor, by the name that a spec's `system_deps` gives them."""
OWN_KEYS = {"cuda": "cuda_version"}
"""Versions of a vendor that the facts tell under a key of their own, because others read it there."""
EMPTY = {
    "installed_packages": [],
    "installed_files": {},
    "package_folders": [],
    "extras": {},
    "markers": {},
    "cpu_flags": [],
    "cpu_cores": 0,
    "environment": {},
}
"""What stands for a fact that is no string when it is not available; `reasons` tells it from a true nothing."""


def collect(machine: Machine, vendors: Sequence[Vendor], unknown: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Every fact but the `unknown` (name -> why) as plain JSON data; takes a few seconds more than the machine's `timeout_s`."""
    asked = [(v, name, OWN_KEYS.get(name, name)) for v in vendors for name in (*v.drivers, *v.versions)]
    jobs: dict[str, Callable[[Machine], Any]] = {**PROBES, "environment": lambda m: _environment(m, vendors), **SERVICES}
    jobs.update({key: partial(vendor.version, name) for vendor, name, key in asked})
    jobs.update({f"look.{vendor.name}": vendor.look for vendor in vendors})
    values, reasons = gather({name: job for name, job in jobs.items() if name not in (unknown or {})}, machine)
    reasons.update({key: "no vendor tells it" for key in OWN_KEYS.values() if key not in jobs})
    seen = {v.name: values.get(f"look.{v.name}", ([], [reasons.get(f"look.{v.name}", "")])) for v in vendors}
    drivers = [key for vendor, name, key in asked if name in vendor.drivers]
    known = [values[key] for key in drivers if key in values]
    if not known:
        reasons["driver_version"] = "; ".join(dict.fromkeys(reasons.get(key, "") for key in drivers)) or "no vendor tells it"
    facts = {name: values.get(name, EMPTY.get(name, UNKNOWN)) for name in (*PROBES, *OWN_KEYS.values(), "environment")}
    return {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "accelerators": [accelerator for found, _ in seen.values() for accelerator in found],
        "looked": {vendor: lines for vendor, (_, lines) in seen.items()},
        "driver_version": known[0] if known else UNKNOWN,
        "versions": {name: values.get(name, UNKNOWN) for name in (*(key for *_, key in asked), *SERVICES) if name not in facts},
        "reasons": dict(sorted({**reasons, **(unknown or {})}.items())),
    }


def main(names: Sequence[str], vendors: Callable[[], Sequence[Vendor]]) -> None:
    """Print the facts `names` of PROBES; without any, all facts, for which the `vendors` are needed."""
    machine = Machine()
    print(as_json(gather({name: PROBES[name] for name in names}, machine)[0] if names else collect(machine, vendors())))


def as_json(facts: Mapping[str, Any]) -> str:
    """Facts as one line of ASCII. Bytes that are no UTF-8 (of a variable, say) are "?", because no JSON reader takes them."""
    return json.dumps(json.loads(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace")))
