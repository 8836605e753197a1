"""The last steps of a download, ended between any two of them; in this process, so that the test chooses where."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hallmark_services.sidecar.downloads import delivery
from hallmark_services.sidecar.downloads.delivery import deliver
from hallmark_services.sidecar.downloads.order import Order
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
    order = Order("pvc", "pvc://volume", "", f"{root}/volume", "", f"{root}/model", str(root), 2, source_roots=(str(root),))
    deliver(order, Volume(order), Counts(), lambda _: None)
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

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(delivery.shutil, "rmtree", killed)
        fetched(root)
    assert content(root / "model") == NEW
    if harm != "nothing":
        (root / "model" / "a").unlink()
    assert fetched(root) == NEW
    assert not (root / ".hallmark-downloads" / "model.partial").exists()
    assert shutil.rmtree is not killed
