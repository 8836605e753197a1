"""Which commit the server's code is of: read from every place that tells it, by the server's own interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark.environment.collect import BUILDS_FILE, collect_builds
from hallmark.environment.commits import Build
from selftests.environment import fakes
from selftests.environment.test_interpreters import interpreters

FULL = "0123456789abcdef0123456789abcdef01234567"
SETTINGS = ("user.name=a", "user.email=a@example.org", "commit.gpgsign=false", "init.defaultBranch=main")


def git(folder: Path, *arguments: str) -> str:
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    done = subprocess.run(["git", *settings, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_checkout(folder: Path) -> str:
    """A repository with one file and one commit, which is returned."""
    fakes.files(folder, {"a.py": "a = 1", ".gitignore": "built/"})
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    return folder


def distribution(site: Path, name: str, version: str, files: dict[str, str] | None = None) -> None:
    """An installed one; `files` with a slash lie beside its metadata, the others in it."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    placed = {path if "/" in path else f"{info}/{path}": text for path, text in (files or {}).items()}
    fakes.files(site, {f"{info}/METADATA": f"Name: {name}\nVersion: {version}", **placed})


def told(tmp_path: Path, *names: str, python: Path = Path(sys.executable), **environ: str) -> list[Build]:
    """What is read of `names` and of the vLLM of this test, which lies in `tmp_path/site`."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path), **environ}
    return list(collect_builds(python, own, names))


def origin(**fields: Any) -> dict[str, str]:
    return {"direct_url.json": json.dumps(fields)}


BY_URL = origin(url="https://example.org/vllm.git", vcs_info={"vcs": "git", "commit_id": FULL, "requested_revision": "v1"})
# What is there -> (version, files, the commits that are read and where).
READ: dict[str, tuple[str, dict[str, str], list[tuple[str, str]]]] = {
    "its version": ("0.11.1rc3.dev5+g1a2b3c4d5", {}, [("1a2b3c4d5", "its version")]),
    "its version, without the g": ("0.11.1+1a2b3c4d", {}, [("1a2b3c4d", "its version")]),
    "its version, after another part": ("0.11.1+cu129.git1234567", {}, [("1234567", "its version")]),
    "a release": ("0.11.0", {}, []),
    "a build tag": ("2.13.0+cpu", {}, []),
    "a date": ("0.11.1+d20260115", {}, []),
    "a build's number": ("0.11.1+20260115", {}, []),
    "six digits": ("0.11.1+g1a2b3c", {}, []),
    "its module": (
        "0.11.0",
        {"vllm/_version.py": "__commit_id__ = commit_id = 'gdeadbeef1'"},
        [("deadbeef1", "vllm/_version.py")],
    ),
    "its module, empty": ("0.11.0", {"vllm/_version.py": "commit_id: str | None\ncommit_id = None"}, []),
    "another file": ("0.11.0", {"vllm/version.py": f"git_version = '{FULL}'"}, [(FULL, "vllm/version.py")]),
    "two in one file": ("0.11.0", {"vllm/version.py": "commit = 'aaaaaaaa'\nbase_commit = 'bbbbbbbb'"}, []),
    "a checkout by URL": ("0.11.0", BY_URL, [(FULL, "direct_url.json")]),
    "two places": ("0.11.0+g7654321", BY_URL, [(FULL, "direct_url.json"), ("7654321", "its version")]),
    "a wheel by URL": ("0.11.0", origin(url=f"https://example.org/{FULL}.whl", archive_info={}), []),
    "built from a folder": ("0.11.0", origin(url="file:///tmp", dir_info={}), []),
}


@pytest.mark.parametrize("name", READ)
def test_every_place_that_says_a_commit_is_read(tmp_path: Path, name: str) -> None:
    version, files, expected = READ[name]
    distribution(tmp_path / "site", "vllm", version, files)
    found = told(tmp_path)
    assert [(build.commit, build.source) for build in found if build.tells] == expected
    assert {(build.names[0], build.version) for build in found} == {("vllm", version)}
    if not expected:
        (silent,) = found
        assert silent.source.startswith("not in direct_url.json, its version")


def test_a_tree_with_changes_is_told_by_its_version(tmp_path: Path) -> None:
    distribution(tmp_path / "site", "vllm", "0.6.3.dev398+g4ef41b845.d20260115")
    (build,) = told(tmp_path)
    assert (build.commit, len(build.changed)) == ("4ef41b845", 1)


def test_it_answers_to_distribution_module_and_repository(tmp_path: Path) -> None:
    site = tmp_path / "site"
    url = origin(url="https://example.org/acme/Some_Repo.git", vcs_info={"vcs": "git", "commit_id": FULL})
    distribution(site, "Acme-Thing", "1.0", {**url, "top_level.txt": "acme_module\n_acme"})
    for name in ("acme.thing", "acme_module", "some-repo"):
        (build,) = told(tmp_path, name)
        assert build.commit == FULL
    assert told(tmp_path, "acme") == [], "nobody asked for it"


def test_what_runs_from_a_checkout_is_what_git_says_of_that(tmp_path: Path, checkout: Path) -> None:
    """Not what its version said when it was installed: that is told besides."""
    head = make_checkout(checkout)
    git(checkout, "tag", "v1.0-rc2")
    distribution(tmp_path / "site", "vllm-tt", "0.1+gfedcba9", origin(url=checkout.as_uri(), dir_info={"editable": True}))
    here, installed = told(tmp_path)
    assert (here.commit, here.tags, here.changed, here.doubt) == (head, ("v1.0-rc2",), (), "")
    assert here.source == f"git in {checkout}"
    assert installed.commit == "fedcba9"


def test_changes_are_told_and_what_is_only_built_there_is_none(tmp_path: Path, checkout: Path) -> None:
    make_checkout(checkout)
    fakes.files(checkout, {"built/x.so": "", "untracked.so": ""})
    (clean,) = told(tmp_path, "tt_metal", TT_METAL_HOME=str(checkout))
    assert clean.changed == ()
    (checkout / "a.py").write_text("a = 2\n")
    (changed,) = told(tmp_path, "tt_metal", TT_METAL_HOME=str(checkout))
    assert changed.changed == ("a.py",)


@pytest.mark.parametrize("variable", ["TT_METAL_HOME", "TT_METAL_ROOT", "tt_metal_dir"])
def test_a_variable_names_a_checkout(tmp_path: Path, checkout: Path, variable: str) -> None:
    head = make_checkout(checkout)
    (build,) = told(tmp_path, "tt_metal", **{variable: str(checkout)})
    assert (build.names, build.commit) == (("tt-metal",), head)
    assert build.source == f"git in {variable}={checkout}"
    assert told(tmp_path, "other", **{variable: str(checkout)}) == []


def test_a_folder_within_another_checkout_is_not_of_its_commit(tmp_path: Path, checkout: Path) -> None:
    make_checkout(checkout)
    (checkout / "built").mkdir()
    (named,) = told(tmp_path, "tt_metal", TT_METAL_HOME=str(checkout / "built"))
    assert (named.tells, named.source) == (False, f"TT_METAL_HOME={checkout / 'built'} is no git checkout")
    editable = origin(url=(checkout / "built").as_uri(), dir_info={"editable": True})
    distribution(tmp_path / "site", "vllm", "0.1", editable)
    (installed,) = told(tmp_path)
    assert not installed.tells
    assert "nothing there is under version control" in installed.source


def test_git_that_cannot_be_asked_is_said(tmp_path: Path, checkout: Path) -> None:
    make_checkout(checkout)
    (without,) = told(tmp_path, "tt_metal", TT_METAL_HOME=str(checkout), PATH=str(tmp_path / "empty"))
    assert not without.tells
    assert "git cannot be run" in without.source
    (checkout / ".git" / "HEAD").write_text("nonsense\n")
    (broken,) = told(tmp_path, "tt_metal", TT_METAL_HOME=str(checkout))
    assert not broken.tells
    assert "not a git repository" in broken.source


def test_a_checkout_is_not_written_to(tmp_path: Path, checkout: Path) -> None:
    make_checkout(checkout)
    os.utime(checkout / "a.py", (1, 1))  # git's index is out of date: a status would refresh it
    index = (checkout / ".git" / "index").read_bytes()
    assert told(tmp_path, "tt_metal", TT_METAL_HOME=str(checkout))[0].changed == ()
    assert (checkout / ".git" / "index").read_bytes() == index


def test_one_odd_distribution_does_not_cost_the_others(tmp_path: Path) -> None:
    site = tmp_path / "site"
    distribution(site, "vllm", "0.11.0", {"direct_url.json": "[]"})
    distribution(site, "ttnn", "0.62.0+g1234567")
    odd, good = sorted(told(tmp_path), key=lambda build: build.tells)
    assert odd.names[0] == "vllm"
    assert "cannot be read" in odd.source
    assert good.commit == "1234567"


@pytest.mark.parametrize("python", interpreters(), ids=str)
def test_each_interpreter_reads_the_same(tmp_path: Path, python: Path) -> None:
    distribution(tmp_path / "site", "vllm", "0.11.0+g7654321", BY_URL)
    assert told(tmp_path, "vllm", python=python) == told(tmp_path, "vllm")


def test_nothing_is_imported(tmp_path: Path) -> None:
    """Importing vLLM takes many seconds, and a device."""
    site = tmp_path / "site"
    distribution(site, "vllm", "0.11.0", {"vllm/__init__.py": "raise SystemExit(9)", "vllm/_version.py": f"commit_id = '{FULL}'"})
    done = subprocess.run(
        [sys.executable, "-I", str(BUILDS_FILE), "vllm"],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["builds"][0]["commit"] == FULL
