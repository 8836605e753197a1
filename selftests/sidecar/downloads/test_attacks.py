"""Attacks on paths and endpoints: each is refused, nothing outside the root is touched, and no address is asked."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import Credentials, DownloadRequest, Downloads, DownloadSettings, JobState, Refused
from hallmark_services.sidecar.downloads.admission import admit
from hallmark_services.sidecar.downloads.endpoint import ANY_ENDPOINT
from selftests.sidecar.downloads.fetching import content, fetch, hub_settings, settings
from selftests.sidecar.downloads.forbidden import ENDPOINTS, REBINDING, REDIRECTS, SOURCES, TARGETS, listening
from selftests.sidecar.downloads.hub_server import Hub, Repository

GOOD = "org/model"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root-beside").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "chain").symlink_to("link")
    return folder


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@contextmanager
def no_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any look-up of a name, any connection and any process would be a failure."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the network or a process was touched")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", never)
    yield
    monkeypatch.undo()


def refused(limits: DownloadSettings, request: DownloadRequest) -> Refused:
    async def submit() -> Refused:
        with pytest.raises(Refused) as caught:
            Downloads(limits).submit(request)
        return caught.value

    return asyncio.run(submit())


def test_the_clean_twin_of_every_attack_is_admitted(root: Path) -> None:
    limits = settings(root, allowed_endpoints=(ANY_ENDPOINT,), allowed_networks=())
    (root / "inside").mkdir()
    (root / "inner").symlink_to("inside")
    for target in ("model", "a/b/c", "inner/model", "..model", "x" * 200):
        assert admit(DownloadRequest(GOOD, f"{root}/{target}"), limits).root == str(root)
    for source in (GOOD, f"hf://{GOOD}", "s3://bucket/a/b", "s3://bucket", "pvc://models/a", "pvc:///models/a"):
        admit(DownloadRequest(source, f"{root}/model"), limits)
    for endpoint in ("https://good.example", "http://good.example:9000/", "https://8.8.8.8", "https://[2606:4700::1111]:8443"):
        assert admit(DownloadRequest(GOOD, f"{root}/model", {"hf_endpoint": endpoint}), limits).endpoint == endpoint.rstrip("/")


@pytest.mark.parametrize("target", TARGETS, ids=ascii)
def test_targets_that_are_not_properly_below_the_root(root: Path, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    before = everything(root.parent)
    with no_connection(monkeypatch):
        assert refused(settings(root), DownloadRequest(GOOD, target.format(root=root))).status in (400, 403)
    assert everything(root.parent) == before


@pytest.mark.parametrize("source", SOURCES, ids=ascii)
def test_sources_that_are_none(root: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    before = everything(root.parent)
    with no_connection(monkeypatch):
        assert refused(settings(root), DownloadRequest(source, f"{root}/model")).status == 400
    assert everything(root.parent) == before


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=ascii)
def test_endpoints_that_are_not_public_even_where_any_is_allowed(
    root: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    limits = settings(root, allowed_endpoints=(ANY_ENDPOINT,), allowed_networks=())
    keys = {"access_key": "a", "secret_key": "b"}
    for source, config in ((GOOD, {"hf_endpoint": endpoint}), ("s3://bucket/x", {"endpoint": endpoint, **keys})):
        with no_connection(monkeypatch):
            assert refused(limits, DownloadRequest(source, f"{root}/model", config)).status in (400, 403)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://good.example.evil.example",
        "https://evilgood.example",
        "https://evil.example/good.example",
        "http://good.example",
        "https://good.example:8443",
        "https://s3.evil.example",
    ],
)
def test_endpoints_that_only_look_like_one_on_the_list(root: Path, endpoint: str) -> None:
    limits = settings(root, allowed_endpoints=("https://good.example", "https://*.good.example"))
    for good in ("https://good.example", "https://s3.good.example", "https://GOOD.example."):
        admit(DownloadRequest(GOOD, f"{root}/m", {"hf_endpoint": good}), limits)
    assert refused(limits, DownloadRequest(GOOD, f"{root}/m", {"hf_endpoint": endpoint})).status == 403


@pytest.mark.parametrize(
    "config",
    [
        {"hf_revision": "../../x"},
        {"hf_revision": "a\r\nX: y"},
        {"hf_revision": "-x"},
        {"hf_token": "a\r\nX-Evil: y"},
        {"hf_token": "\0"},
        {"endpont": "https://good.example"},
        {"output_dir": "/etc"},
    ],
)
def test_configurations_that_smuggle(root: Path, config: dict[str, str]) -> None:
    assert refused(settings(root), DownloadRequest(GOOD, f"{root}/m", config)).status == 400


@pytest.mark.parametrize("source", ["s3://other/x", "hf://stranger/model", "pvc://models"])
def test_sources_that_are_not_on_the_operator_s_list(root: Path, source: str) -> None:
    limits = settings(root, allowed_sources=("s3://mine/*", "hf://org/*"))
    assert admit(DownloadRequest(GOOD, f"{root}/m"), limits).place == GOOD
    assert refused(limits, DownloadRequest(source, f"{root}/m")).status == 403


def resolved_here() -> list[str]:
    """Names other than localhost that this machine's resolver sends to a loopback or private address."""
    names = {socket.gethostname(), "ip6-localhost", "ip6-loopback"}
    found = []
    for name in sorted(names):
        try:
            socket.getaddrinfo(name, 80)
        except OSError:
            continue
        found.append(name.lower())
    return found


@pytest.mark.e2e
@pytest.mark.parametrize("name", resolved_here())
@pytest.mark.parametrize("kind", ["hf", "s3"])
def test_a_name_that_resolves_to_this_machine_is_never_connected_to(root: Path, name: str, kind: str) -> None:
    family = socket.getaddrinfo(name, 80)[0][4][0]
    limits = settings(root, allowed_endpoints=(ANY_ENDPOINT,), allowed_networks=())
    with listening("::1" if ":" in str(family) else "") as (port, came):
        url = f"http://{name}:{port}"
        source, config = (GOOD, {"hf_endpoint": url}) if kind == "hf" else ("s3://bucket/x", {"endpoint": url})
        job = fetch(limits, source, root / "model", config=config)
        assert (job.state, job.status) == (JobState.FAILED, 403)
        assert "not public" in job.error
    assert came == []
    assert not (root / "model").exists()


@pytest.mark.e2e
def test_an_operator_s_endpoint_may_be_private_but_not_this_machine(root: Path) -> None:
    """Loopback is refused even to the operator until a network is listed; the clean twin lists it."""
    with Hub({GOOD: Repository({"config.json": b"{}"})}) as hub:
        own = Credentials(hf_endpoint=hub.url)
        job = fetch(settings(root, credentials=own, allowed_networks=()), GOOD, root / "model")
        assert (job.state, job.status, hub.asked) == (JobState.FAILED, 403, [])
        assert fetch(settings(root, credentials=own), GOOD, root / "model").state is JobState.COMPLETED


@pytest.mark.e2e
@pytest.mark.parametrize("place", REDIRECTS)
def test_a_redirect_to_a_forbidden_place_is_not_followed(root: Path, place: str) -> None:
    """The hub itself may be reached, at one address of this machine; the others are as forbidden as ever."""
    with Hub({GOOD: Repository({"config.json": b"{}"})}) as hub, listening("127.0.0.2") as (port, came):
        hub.redirect = place.format(port=port)
        limits = settings(root, credentials=Credentials(hf_endpoint=hub.url), allowed_networks=("127.0.0.1/32",))
        job = fetch(limits, GOOD, root / "model")
        assert job.state is JobState.FAILED
        assert job.status in (403, 502), job.error
        assert came == []
    assert not (root / "model").exists()


@pytest.mark.e2e
def test_a_redirect_to_a_permitted_place_is_followed(root: Path) -> None:
    with Hub({GOOD: Repository({"config.json": b"{}"}, frozenset({"config.json"}))}) as hub:
        assert fetch(hub_settings(root, hub.url), GOOD, root / "model").state is JobState.COMPLETED
        assert [asked.path for asked in hub.asked][-1] == f"/cdn/{GOOD}/config.json"
    assert content(root / "model") == {"config.json": b"{}"}


@pytest.mark.parametrize("second", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
def test_a_name_that_resolves_differently_the_second_time_gains_nothing(second: str) -> None:
    with listening() as (port, came):
        command = [sys.executable, "-c", REBINDING, str(port), second]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
        assert ended.stdout.startswith("forbidden")
        assert came == []


def test_a_symlink_that_comes_after_the_request_was_admitted_is_noticed(root: Path) -> None:
    """The race that a check before can lose: the path is looked at again where it is used."""
    limits = settings(root, source_roots=(str(root),))
    (root / "source").mkdir()
    (root / "source" / "file").write_text("x")

    async def race() -> JobState:
        downloads = Downloads(limits)
        job = downloads.submit(DownloadRequest(f"pvc:/{root}/source", f"{root}/folder/model"))
        (root / "folder").symlink_to(root.parent / "elsewhere")
        await downloads.wait(job)
        await downloads.close()
        assert job.status == 403
        return job.state

    assert asyncio.run(race()) is JobState.FAILED
    assert not (root.parent / "elsewhere" / "model").exists()
