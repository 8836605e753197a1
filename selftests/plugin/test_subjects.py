"""What a whole run was about, by digest; and red where its weights or its libraries are not what they are said to be."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from hallmark.core.subjects import Subjects, read_subjects
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import SEVERAL, Place
from selftests.plugin.stand_in_spec import WEIGHTS

pytestmark = [pytest.mark.e2e, pytest.mark.long]

CORRUPT, WHOLE = "a hub's file with other content", "a whole snapshot"
_MAPS_ANOTHER_LIBRARY = """
import mmap, sys
from pathlib import Path
if "selftests.faulty.server" in " ".join(sys.orig_argv):
    with open(Path(__file__).parents[1] / "other" / "site-packages" / "torch" / "_C.so", "rb") as library:
        kept = mmap.mmap(library.fileno(), 0, prot=mmap.PROT_READ)
"""


def snapshot(folder: Path, *, corrupt: bool = False) -> Path:
    """The weights as a hub's cache holds them."""
    made = folder / "snapshots" / "abc"
    made.mkdir(parents=True)
    (folder / "blobs").mkdir()
    for file in WEIGHTS.iterdir():
        if file.is_file():
            name = hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.copy(file, folder / "blobs" / name)
            (made / file.name).symlink_to(folder / "blobs" / name)
    if corrupt:
        with (made / "README.md").open("ab") as stream:
            stream.write(b"another byte")
    return made


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ended]:
    """What is served -> how its run ended; one command for both."""

    @cache
    def ended() -> dict[str, Ended]:
        folder = tmp_path_factory.mktemp("weights")
        place = Place(folder / "place")
        models = {CORRUPT: "stand-in-1", WHOLE: "stand-in-2"}
        for what, model in models.items():
            path = snapshot(folder / model, corrupt=what == CORRUPT)
            place.spec(models=(model,), name=model, weights={"path": str(path)})
        whole = place.release(model=SEVERAL).end()
        return {what: whole.of(model) for what, model in models.items()}

    return lambda what: ended()[what]


def subjects_of(ended: Ended) -> Subjects:
    found = read_subjects(ended.folder)
    assert found is not None
    return found


def test_a_file_of_a_hub_with_other_content_is_red(run_of: Callable[[str], Ended]) -> None:
    ended = run_of(CORRUPT)
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", "server.model": "FAIL"}
    assert "the weights are not what the hub says: README.md has the content " in ended.rows["server.model"]["reason"]
    assert "README.md" in subjects_of(ended).unknown["weights-whole"]


def test_the_clean_twin_tells_all_its_subjects(run_of: Callable[[str], Ended]) -> None:
    ended = run_of(WHOLE)
    assert ended.bad == {"spec.targets": "INCONCLUSIVE"}
    found = subjects_of(ended)
    kinds = ["weights", "environment", "engine", "arguments", "spec", "suite", "device"]
    assert [one.kind for one in found.subjects] == kinds
    assert all(one.follows for one in found.subjects)
    assert "weights-whole" not in found.unknown
    (weights,) = found.of_kind("weights")
    assert weights.taken_from == "spec"
    assert f"all {len(weights.detail['resources'])} files in " in weights.told
    (engine,) = found.of_kind("engine")
    assert (engine.taken_from, engine.detail["version"]) == ("server", "0.32.0")
    assert "engine-commit" in found.unknown


def test_libraries_of_another_environment_are_red(place: Place) -> None:
    place.spec()
    other = place.folder / "other" / "site-packages" / "torch" / "_C.so"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"\x7fELF")
    place.plugin("sitecustomize", _MAPS_ANOTHER_LIBRARY)
    ended = place.release().end()
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", "server.version": "FAIL"}
    reason = f"the server runs libraries of another environment than the one on record: {other}"
    assert reason in ended.rows["server.version"]["reason"]
    (environment,) = subjects_of(ended).of_kind("environment")
    assert (environment.taken_from, str(other) in environment.told) == ("files", True)


def test_without_a_server_what_is_unknown_is_said(place: Place) -> None:
    place.spec()
    found = subjects_of(place.release(workflow="spec").end())
    assert found.unknown["weights"] == "no server was started or reached in this run"
    assert [one.kind for one in found.subjects if one.kind in ("spec", "suite")] == ["spec", "suite"]
