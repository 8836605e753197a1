"""Which commit hallmark is of, as git's own files tell it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hallmark.core.own_code import commit_of


def git(folder: Path, *words: str) -> str:
    named = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *named, "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_that_of_git(tmp_path: Path) -> None:
    checkout, other = tmp_path / "checkout", tmp_path / "other"
    checkout.mkdir()
    with pytest.raises(OSError, match="No such file"):
        commit_of(checkout)
    git(checkout, "init", "-q")
    git(checkout, "commit", "-q", "--allow-empty", "-m", "first")
    head = git(checkout, "rev-parse", "HEAD")
    assert commit_of(checkout) == head
    git(checkout, "worktree", "add", "-q", "-b", "branch", str(other))
    assert commit_of(other) == head
    git(checkout, "pack-refs", "--all")
    assert (commit_of(checkout), commit_of(other)) == (head, head)
    git(checkout, "checkout", "-q", "--detach")
    assert commit_of(checkout) == head
