"""Which commits the server's code is of, as JSON on stdout: `<the server's python> -I builds.py NAME...`.

A NAME is what a spec pins: a distribution, a module that it installs, or the repository that it comes from. Told is every
place that says a commit of one, and each place that might have and does not. It runs where hallmark is not installed: one
file, standard library only, Python 3.8 to 3.14. Nothing that it tells of is imported, and no checkout is written to.
"""

from __future__ import annotations

import email.parser
import functools
import json
import os
import re
import site
import subprocess
import sys
import urllib.parse
from importlib import metadata
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035 (Python 3.8 subscripts no collections.abc)

UNKNOWN = "Unknown"
ENGINES = re.compile(r"(vllm|sglang|sendnn|ttnn|tt-metal)(-.*)?")
"""The distributions that are told of whether they are asked for or not."""
CHECKOUT_VARIABLES = ("{}_HOME", "{}_ROOT", "{}_DIR")
"""Variables that name the folder of a checkout, such as TT_METAL_HOME; capitals do not matter."""
VERSION_FILES = ("_version.py", "version.py")
COMMIT_IN_FILE = re.compile(r"^\w*(?:commit|revision|git_?version|git_?hash|sha)\w*\b[^\n'\"]*['\"]g?([0-9a-f]{7,40})['\"]", re.M)
LOCAL_COMMIT = re.compile(r"(?:g|git)[0-9a-f]{7,40}|(?=[0-9]*[a-f])[0-9a-f]{7,40}")
"""A part of a version's local part; without the `g`, digits alone are a date or a number of a build."""
LOCAL_DATE = re.compile(r"d\d{8}")
"""setuptools-scm adds it to the version of a tree with changes."""
STATUS = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked")
"""What is built beside the sources is no change of them."""
GIT_TIMEOUT_S = 20
MOST_SHOWN = 5


class Unreadable(Exception):
    """Something that cannot be read; the message says why, for a person."""


def normal(name: str) -> str:
    """As distributions' names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def build(names: Any, source: str, *, version: str = "", commit: str = "", **more: Any) -> dict[str, Any]:
    """One place that tells, or might have told, what a build is of. The first of its names is the one to show."""
    known: dict[str, Any] = {"tags": [], "changed": [], "doubt": ""}
    known.update(more)
    several = list(dict.fromkeys(normal(name) for name in names if name))
    return {"names": several, "version": version, "commit": commit.lower() or UNKNOWN, "source": source, **known}


# Distributions


def distributions(environ: Mapping[str, str]) -> Iterator[metadata.Distribution]:
    """What the server's own start will see; -I hides some of it: PYTHONPATH, and the user's site where there is no venv."""
    extra = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if sys.prefix == sys.base_prefix and not environ.get("PYTHONNOUSERSITE"):
        extra.append(site.getusersitepackages())
    seen = set()
    for distribution in metadata.distributions(path=extra + sys.path):
        try:
            name = normal(head(distribution)["Name"] or "")
        except Exception:  # noqa: S112 - what a half-removed distribution raises differs from Python to Python
            continue
        if name and name not in seen:  # the first on the path is the one that is imported
            seen.add(name)
            yield distribution


@functools.lru_cache(maxsize=None)  # noqa: UP033 (Python 3.8 has no cache)
def head(distribution: metadata.Distribution) -> Any:
    """The fields of its metadata, parsed once; the description behind them is most of the text, and costs ten times as much."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or distribution.read_text("") or ""
    return email.parser.HeaderParser().parsestr(text.partition("\n\n")[0])


def of_distribution(distribution: metadata.Distribution, wanted: set[str], environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every place of a distribution that says its commit; one that says where was looked, if none does; empty if unwanted."""
    name, version = (str(head(distribution)[field] or "") for field in ("Name", "Version"))
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    modules = (distribution.read_text("top_level.txt") or "").split()
    names = [name, *modules, repository(str(origin.get("url", "")))]
    if not ENGINES.fullmatch(normal(name)) and wanted.isdisjoint(map(normal, names)):
        return []
    found = [*of_origin(names, version, origin, environ), *of_version(names, version)]
    looked = ["direct_url.json", "its version"]
    for place, commit in version_files(distribution, modules or [normal(name).replace("-", "_")]):
        looked.append(place)
        found += [build(names, place, version=version, commit=commit)] if commit else []
    return found or [build(names, f"not in {', '.join(looked)}", version=version)]


def of_origin(names: list[str], version: str, origin: Any, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """What PEP 610 says of where it was installed from: a commit of a repository, or a folder that it runs from."""
    vcs, url = origin.get("vcs_info", {}), str(origin.get("url", ""))
    if vcs.get("commit_id"):
        asked = [vcs["requested_revision"]] if vcs.get("requested_revision") else []
        return [build(names, "direct_url.json", version=version, commit=str(vcs["commit_id"]), tags=asked)]
    # Of a folder that was only built from, the checkout may have moved on since.
    if origin.get("dir_info", {}).get("editable") and url.startswith("file://"):
        folder = urllib.parse.unquote(url[len("file://") :])
        return [of_checkout(names, folder, environ, version=version)]
    return []


def of_version(names: list[str], version: str) -> list[dict[str, Any]]:
    """The local part of a version, such as `0.11.1+g1a2b3c4d5.d20260115`."""
    parts = version.partition("+")[2].lower().split(".")
    dirty = ["files that the date in its version stands for"] if any(map(LOCAL_DATE.fullmatch, parts)) else []
    commits = [p for p in parts if LOCAL_COMMIT.fullmatch(p) and not LOCAL_DATE.fullmatch(p)]
    return [build(names, "its version", version=version, commit=p.lstrip("git"), changed=dirty) for p in commits]


def version_files(distribution: metadata.Distribution, modules: list[str]) -> Iterator[tuple[str, str]]:
    """(file, the commit in it or nothing) of each file in which packages keep their version; read as text."""
    for place in (f"{module}/{file}" for module in modules for file in VERSION_FILES):
        try:
            text = Path(str(distribution.locate_file(place))).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        commits = set(COMMIT_IN_FILE.findall(text))
        yield place, commits.pop() if len(commits) == 1 else ""


# Checkouts


def of_variables(names: list[str], environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The checkouts whose folders the environment names."""
    for name in names:
        stem = normal(name).replace("-", "_")
        wanted = [form.format(stem).lower() for form in CHECKOUT_VARIABLES]
        for variable, folder in sorted(environ.items()):
            if variable.lower() not in wanted or not folder:
                continue
            if (Path(folder) / ".git").exists():
                yield of_checkout([name], folder, environ, place=f"{variable}={folder}")
            else:
                yield build([name], f"{variable}={folder} is no git checkout")


def of_checkout(
    names: list[str], folder: str, environ: Mapping[str, str], *, place: str = "", version: str = ""
) -> dict[str, Any]:
    """What git says of a folder that code runs from: its commit, the tags there, and the files that differ from it."""
    source = f"git in {place or folder}"
    try:
        commit = git(folder, environ, "rev-parse", "HEAD").strip()
        if not git(folder, environ, "ls-tree", "--name-only", "HEAD").strip():
            return build(names, f"{source}: nothing there is under version control", version=version)
        tags = git(folder, environ, "tag", "--points-at", "HEAD").split()
    except Unreadable as exc:
        return build(names, str(exc), version=version)
    known: dict[str, Any] = {"version": version, "commit": commit, "tags": tags}
    try:
        lines = git(
            folder, environ, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked"
        ).splitlines()
    except Unreadable as exc:
        return build(names, source, doubt=f"whether its files are those of the commit is not known: {exc}", **known)
    more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return build(names, source, changed=[line[3:] for line in lines[:MOST_SHOWN]] + more, **known)


def repository(url: str) -> str:
    """The name of a repository: the last part of its URL."""
    return re.sub(r"\.git$", "", url.rstrip("/")).rpartition("/")[2].rpartition(":")[2]


def git(folder: str, environ: Mapping[str, str], *arguments: str) -> str:
    """What git prints; Unreadable where it is missing, refuses or takes too long."""
    quiet = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}  # no lock: a status would write to the checkout
    command = ["git", "-c", "core.fsmonitor=false", "-C", folder, *arguments]
    try:
        done = subprocess.run(
            command, env=dict(environ, **quiet), stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(f"git in {folder}: no answer in {GIT_TIMEOUT_S} s") from None
    except OSError as exc:
        raise Unreadable(f"git in {folder}: git cannot be run ({exc.strerror})") from None
    if done.returncode != 0:
        complaint = done.stderr.decode("utf-8", "replace").partition("\n")[0] or f"exit code {done.returncode}"
        allow = f"; git config --global --add safe.directory {folder} lets it" if "dubious ownership" in complaint else ""
        raise Unreadable(f"git in {folder}: {complaint}{allow}")
    return done.stdout.decode("utf-8", "replace")


def builds(names: list[str], environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """All that tells, or might have told, the commit of an engine or of one of `names`."""
    wanted, found = set(map(normal, names)), []
    for distribution in distributions(environ):
        try:
            found += of_distribution(distribution, wanted, environ)
        except Exception as exc:  # one odd distribution must not cost the others
            found.append(build([head(distribution)["Name"]], f"its metadata cannot be read ({type(exc).__name__}: {exc})"))
    return [*found, *of_variables(names, environ)]


if __name__ == "__main__":
    print(json.dumps({"builds": builds(sys.argv[1:], os.environ)}))
