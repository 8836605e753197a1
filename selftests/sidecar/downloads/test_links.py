"""Somebody who may write beside the service swaps a link in while bytes come: none of them lands outside the roots."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import folder as folders
from hallmark_services.sidecar.downloads.delivery import deliver
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import RemoteFile, TransferError
from hallmark_services.sidecar.downloads.transfer import Counts
from selftests.sidecar.downloads.fetching import content

FILES = {"a": b"a" * 3000, "sub/b": b"b" * 3000, "sub/c": b"c" * 10}
WORKSHOP = "models/.hallmark-downloads"
STAGING = f"{WORKSHOP}/model.partial"
MOMENTS = ("listing", "arriving", "publishing")
PLACES = {
    "the parent": "models",
    "the workshop": WORKSHOP,
    "the lock": f"{WORKSHOP}/model.lock",
    "the partial folder": STAGING,
    "its parts": f"{STAGING}/parts",
    "its whole files": f"{STAGING}/done",
    "its tree": f"{STAGING}/tree-*",
    "a folder of its tree": f"{STAGING}/tree-*/sub",
    "a part": f"{STAGING}/parts/*[!s]",
    "a count": f"{STAGING}/parts/*.counts",
    "the model": "models/model",
}
Attack = Callable[[], None]


class SlowSource:
    """Sends pieces of a thousand bytes; strikes when it is asked what it has, and once when the first byte has come."""

    def __init__(self, strike: Callable[[str], None]) -> None:
        self._strike = strike

    def files(self) -> Sequence[RemoteFile]:
        self._strike("listing")
        return [RemoteFile(name, len(data), "v") for name, data in FILES.items()]

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        for position in range(start, end, 1000):
            yield FILES[file.path][position : min(position + 1000, end)]
            self._strike("arriving")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "root"
    (folder / "models").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return folder


def everything(folder: Path) -> dict[str, bytes | None]:
    """Each thing below the folder, with a file's content."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def delivered(root: Path, moment: str, attack: Attack) -> BaseException | None:
    """What ended a download during which `attack` struck at that moment; None where it was done all the same."""
    struck: list[str] = []

    def strike(now: str) -> None:
        if now == moment and not struck:
            struck.append(now)
            attack()

    source = SlowSource(strike)
    plan = DownloadPlan("pvc", "pvc://volume", "", "", "", f"{root}/models/model", str(root), 1)
    try:
        deliver(plan, source, Counts(), strike)
    except (TransferError, OSError) as exc:
        return exc
    finally:
        assert struck, "the attack never came"
    return None


def swapped(path: Path, outside: Path) -> None:
    """A link in the place of `path`, to something that looks the same: a folder with its folders and empty files, or a file."""
    twin = outside / "twin"
    if path.is_dir():
        shutil.copytree(path, twin)
        for file in (each for each in twin.rglob("*") if each.is_file()):
            file.write_bytes(b"untouched")
    else:
        twin.write_bytes(b"untouched")
    if path.exists():
        path.rename(path.with_name("aside"))
    path.symlink_to(twin)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("what", PLACES)
def test_no_byte_lands_where_a_link_leads_that_was_swapped_in(root: Path, what: str, moment: str) -> None:
    outside = root.parent / "outside"
    seen: list[dict[str, bytes | None]] = []

    def attack() -> None:
        found = sorted(root.glob(PLACES[what])) or [root / PLACES[what].replace("*", "x").replace("[!s]", "x")]
        if found[0].parent.is_dir():
            swapped(found[0], outside)
        seen.append(everything(outside))

    ended = delivered(root, moment, attack)
    assert everything(outside) == seen[0]
    model = root / "models" / "model"
    assert ended is not None or (content(model) == FILES and not any(path.is_symlink() for path in model.rglob("*")))


@pytest.mark.parametrize("moment", ["arriving", "publishing"])
def test_a_folder_that_is_moved_out_of_the_roots_gets_no_model(root: Path, moment: str) -> None:
    outside = root.parent / "outside"

    def attack() -> None:
        (root / "models").rename(outside / "moved")
        (root / "models").symlink_to(outside / "moved")

    ended = delivered(root, moment, attack)
    assert isinstance(ended, TransferError)
    assert ended.status == 409
    assert "was moved during the download" in ended.message
    assert not (outside / "moved" / "model").exists()


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_clean_twin_of_each_attack_is_delivered(root: Path, moment: str) -> None:
    assert delivered(root, moment, lambda: None) is None
    assert content(root / "models" / "model") == FILES


@pytest.mark.parametrize("what", ["the partial folder", "a folder of its tree"])
def test_the_same_attack_succeeds_on_a_service_that_follows_links(root: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that these tests are to find: without O_NOFOLLOW they do."""
    outside = root.parent / "outside"
    monkeypatch.setattr(folders, "_FOLDER", folders._FOLDER & ~os.O_NOFOLLOW)
    moment = "listing" if what == "the partial folder" else "arriving"

    def attack() -> None:
        place = next(iter(root.glob(PLACES[what])), None) or next(iter(root.glob(f"{STAGING}/tree-*")), root / STAGING)
        place = place / "sub" if place.name.startswith("tree-") else place
        (outside / "twin").mkdir()
        place.symlink_to(outside / "twin")

    with contextlib.suppress(TransferError, OSError):
        delivered(root, moment, attack)
    assert everything(outside / "twin")
