"""The last steps of a download, ended between any two of them; in this process, so that the test chooses where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads.delivery import deliver
from hallmark_services.sidecar.downloads.folder import Folder
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import TransferError
from hallmark_services.sidecar.downloads.transfer import Counts
from hallmark_services.sidecar.downloads.volume import Volume
from selftests.sidecar.downloads.fetching import content

OLD, NEW = {"a": b"old a", "b": b"old b"}, {"a": b"new a", "b": b"new b"}


class Killed(BaseException):
    """Stands for a SIGKILL at this place."""


def store(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)


def fetched(root: Path) -> dict[str, bytes]:
    plan = DownloadPlan("pvc", "pvc://volume", "", f"{root}/volume", "", f"{root}/model", str(root), 2, source_roots=(str(root),))
    deliver(plan, Volume(plan), Counts(), lambda _: None)
    return content(root / "model")


@pytest.mark.parametrize("harm", ["a file is gone", "nothing"])
def test_the_model_that_was_replaced_is_never_taken_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Killed between the exchange and the removal of the old one, whose files have the sizes of the new one's."""
    root = tmp_path.resolve()
    store(root / "volume", OLD)
    assert fetched(root) == OLD
    store(root / "volume", NEW)

    remove = Folder.remove

    def killed(folder: Folder, name: str) -> None:
        if name == "model.partial":
            raise Killed
        remove(folder, name)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Folder, "remove", killed)
        fetched(root)
    assert content(root / "model") == NEW
    if harm != "nothing":
        (root / "model" / "a").unlink()
    assert fetched(root) == NEW
    assert not (root / ".hallmark-downloads" / "model.partial").exists()


def ordered(root: Path, name: str, *, revision: str = "", replace: bool = False) -> DownloadPlan:
    """An order of the volume of that name."""
    roots = (str(root),)
    return DownloadPlan(
        "pvc", f"pvc://{name}", "", f"{root}/{name}", revision, f"{root}/model", str(root), 2, source_roots=roots, replace=replace
    )


def deliver_it(plan: DownloadPlan, phase: Callable[[str], None] = lambda _: None) -> None:
    deliver(plan, Volume(plan), Counts(), phase)


@pytest.mark.parametrize(("name", "revision"), [("other", ""), ("volume", "v2")])
def test_another_whole_model_is_left_as_it_is_unless_the_order_says_otherwise(tmp_path: Path, name: str, revision: str) -> None:
    root = tmp_path.resolve()
    store(root / "volume", OLD)
    deliver_it(ordered(root, "volume"))
    store(root / name, NEW)
    with pytest.raises(TransferError, match=r"holds another whole model \(source pvc://volume.*replace: true") as caught:
        deliver_it(ordered(root, name, revision=revision))
    assert caught.value.status == 409
    assert content(root / "model") == OLD
    seen = []

    def phase(name: str) -> None:
        seen.append((name, content(root / "model")))

    deliver_it(ordered(root, name, revision=revision, replace=True), phase)
    assert seen == [("listing", OLD), ("downloading", OLD), ("publishing", OLD)], "the old one stays until the new one is whole"
    assert content(root / "model") == NEW
    assert not (root / ".hallmark-downloads" / "model.partial").exists()


def test_newer_files_of_the_same_source_are_no_other_model(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    store(root / "volume", OLD)
    deliver_it(ordered(root, "volume"))
    store(root / "volume", NEW)
    deliver_it(ordered(root, "volume"))
    assert content(root / "model") == NEW


def test_a_replacement_that_fails_leaves_the_old_model(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    store(root / "volume", OLD)
    deliver_it(ordered(root, "volume"))
    with pytest.raises(TransferError) as caught:
        deliver_it(ordered(root, "absent", replace=True))
    assert caught.value.status == 404
    assert content(root / "model") == OLD
