"""How a driver asks the process that has Ray's library, and what it makes of one that ends or hangs: a made-up one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.fleet import ray_backend
from hallmark.fleet.backends import Node, Poll, State
from hallmark.fleet.ray_backend import RayBackend

_LIBRARY = """
import os, pathlib, sys, time

def init(**options):
    assert options["address"] == "auto"
    print("Ray prints what it likes")

class _Context:
    def get_node_id(self):
        return "home"

def get_runtime_context():
    return _Context()

def planted():
    return pathlib.Path(__file__).with_name("plant").read_text()

def nodes():
    home = {"NodeID": "home", "Alive": True, "NodeManagerHostname": "machine", "Resources": {"CPU": 2.0}}
    match planted():
        case "busy" | "looked":
            return [home | {"Resources": {"CPU": 2.0, "hallmark_n300": 4.0}}]
        case "ends":
            print("the head is gone", file=sys.stderr, flush=True)
            os._exit(1)
        case "hangs":
            time.sleep(0.05)
            return nodes()
        case "raises":
            raise ConnectionError("first line\\nsecond")
        case "without-home":
            return [home | {"Alive": False}]
    return [home]

class remote:
    def __init__(self, function):
        self.name = function.__name__

    def options(self, **options):
        assert options["scheduling_strategy"] == ("home", False)
        return self

    def remote(self, *arguments):
        return self.name

def wait(references, **_):
    return (references, []) if planted() == "looked" else ([], references)

def get(reference):
    assert reference == "look"
    return "", "it looked, and is another"
"""


_PARTS = {
    "cloudpickle": "def register_pickle_by_value(module): pass\n",
    "scheduling_strategies": "def NodeAffinitySchedulingStrategy(node, soft): return node, soft\n",
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a made-up library, in which `plant` says what it does."""
    folder = tmp_path / "library"
    for name in (
        "ray/__init__.py",
        "ray/cloudpickle.py",
        "ray/exceptions.py",
        "ray/util/__init__.py",
        "ray/util/scheduling_strategies.py",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_PARTS.get(path.stem, ""))
    (folder / "ray" / "__init__.py").write_text(_LIBRARY)
    plant(folder, "")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def plant(library: Path, what: str) -> None:
    (library / "ray" / "plant").write_text(what)


@pytest.fixture
def backend(library: Path, tmp_path: Path) -> Iterator[RayBackend]:
    made = RayBackend("", tmp_path)
    yield made
    made.close()
    assert [path.name for path in tmp_path.iterdir()] == ["library"]


def test_an_answer_comes_whatever_the_library_prints(backend: RayBackend) -> None:
    assert backend.offer() == []
    assert backend.poll(["ray:0"]) == {"ray:0": Poll(state=State.ENDED, reason="another driver's, which ended with it")}
    backend.cancel("ray:0")


def test_a_node_whose_look_waits_is_not_proved_yet(backend: RayBackend, library: Path) -> None:
    """Also where it did not come while the first offer waited; then it is what it is."""
    plant(library, "busy")
    late = Node(name="machine-home", unproved={"n300": 4}, awaited="its look at itself has not come yet")
    assert backend.offer() == [late]
    assert backend.offer() == [late]
    plant(library, "looked")
    assert backend.offer() == [Node(name="machine-home", refused={"n300": "it looked, and is another"})]


def test_a_library_that_ends_its_process_costs_what_was_begun_and_no_driver(backend: RayBackend, library: Path) -> None:
    plant(library, "ends")
    with pytest.raises(InfrastructureError, match="the driver's connection to the cluster ended: the head is gone"):
        backend.offer()
    lost = Poll(state=State.LOST, reason="the driver's connection to the cluster ended: the head is gone", blameless=True)
    assert backend.poll(["ray:0"]) == {"ray:0": lost}
    backend.cancel("ray:0")
    plant(library, "")
    assert backend.offer() == []


def test_a_library_that_hangs_is_not_waited_for(backend: RayBackend, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(library, "hangs")
    monkeypatch.setattr(ray_backend, "FIRST_OFFER_S", 0.2)
    with pytest.raises(InfrastructureError, match=r"no answer in 0\.2 s"):
        backend.offer()
    plant(library, "")
    assert dict(backend.poll([])) == {}


@pytest.mark.parametrize(
    ("planted", "why"),
    [("raises", "ConnectionError: first line"), ("without-home", "Ray's own process on the driver's machine is gone")],
)
def test_what_the_library_raises_is_one_line(planted: str, why: str, backend: RayBackend, library: Path) -> None:
    plant(library, planted)
    with pytest.raises(InfrastructureError, match=why) as caught:
        backend.offer()
    assert (caught.value.where, caught.value.hint) == ("ray", "see `ray status` on its head")
    assert "\n" not in caught.value.message


def test_where_no_cluster_is_it_says_how_to_start_one(library: Path, tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="no cluster: AssertionError") as caught:
        RayBackend("host:10001", tmp_path)
    assert (caught.value.where, "ray start --head" in caught.value.hint) == ("ray://host:10001", True)


def test_without_ray_it_says_what_to_install(library: Path, tmp_path: Path) -> None:
    (library / "ray" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'ray'\")\n")
    with pytest.raises(UsageError, match="needs more of hallmark") as caught:
        RayBackend("", tmp_path)
    assert (caught.value.where, caught.value.hint) == ("ray", "pip install 'pytest-hallmark[ray]'")
