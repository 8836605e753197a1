"""Redirects of a hub (a stand-in): to whom the token goes, and where they end."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from hallmark_services.sidecar.downloads.hub_reader import HubReader
from hallmark_services.sidecar.downloads.plan import DownloadPlan
from hallmark_services.sidecar.downloads.remote import RemoteFile, TransferError
from selftests.sidecar.downloads.hub_server import COMMIT, Hub, Repository

NAME, PATH, CONTENT = "org/model", "config.json", b'{"a": 1}'
FILE = RemoteFile(PATH, len(CONTENT), "v")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub({NAME: Repository({PATH: CONTENT})}) as server:
        yield server


def read(hub: Hub, url: str = "") -> bytes:
    plan = DownloadPlan("hf", NAME, NAME, "", "main", "/models/m", "/models", 1, endpoint=hub.url)
    reader = HubReader(plan, {"authorization": "Bearer hf_token"}, ssl.create_default_context())
    return b"".join(reader.read(url or f"{hub.url}/{NAME}/resolve/{COMMIT}/{PATH}", FILE, 0, FILE.size))


def redirect(hub: Hub, place: str) -> None:
    hub.redirect = place.format(hub=hub.url, cdn=hub.cdn_url, bare=hub.url.removeprefix("http://"), model=NAME, path=PATH)


@pytest.mark.parametrize("place", ["{cdn}/cdn/{model}/{path}", r"{cdn}\@{bare}/{path}", r"{cdn}/\@{bare}/{path}"])
def test_a_stranger_gets_no_token_however_its_address_is_written(hub: Hub, place: str) -> None:
    """Some readers take what stands before an @ for a name and a password, and what stands behind it for the host."""
    redirect(hub, place)
    try:
        assert read(hub) == CONTENT
    except TransferError as exc:
        assert exc.status == 404  # noqa: PT017 - there is nothing under the odd ones
    own, *strangers = hub.asked
    assert own.authorization == "Bearer hf_token"
    assert {asked.authorization for asked in strangers} == {""}


def test_the_hub_itself_gets_its_token_behind_a_redirect_too(hub: Hub) -> None:
    hub.repositories[NAME].token = "hf_token"
    redirect(hub, "{cdn}/cdn/{model}/{path}")
    assert read(hub, f"{hub.url}/{NAME}/resolve/main/{PATH}") == CONTENT


def test_redirects_in_a_circle_end_and_are_called_so(hub: Hub) -> None:
    redirect(hub, "{hub}/{model}/resolve/main/{path}")
    with pytest.raises(TransferError, match="redirects in a circle") as caught:
        read(hub)
    assert caught.value.status == 502
    assert len(hub.asked) <= 6


def test_a_place_that_forgot_us_is_asked_for_anew(hub: Hub) -> None:
    """As a signed address does once it has expired."""
    redirect(hub, "{cdn}/cdn/{model}/{path}")
    plan = DownloadPlan("hf", NAME, NAME, "", "main", "/models/m", "/models", 1, endpoint=hub.url)
    reader = HubReader(plan, {}, ssl.create_default_context())
    url = f"{hub.url}/{NAME}/resolve/{COMMIT}/{PATH}"
    assert b"".join(reader.read(url, FILE, 0, FILE.size)) == CONTENT
    assert list(reader._places.values()) == [hub.redirect]
    reader._places[url] = hub.cdn_url + "/expired"
    assert b"".join(reader.read(url, FILE, 0, FILE.size)) == CONTENT


@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp"])
def test_behind_tls_nothing_is_asked_for_without_it(hub: Hub, scheme: str) -> None:
    plan = DownloadPlan("hf", NAME, NAME, "", "main", "/models/m", "/models", 1, endpoint="https://hub.example")
    reader = HubReader(plan, {}, ssl.create_default_context())
    with pytest.raises(TransferError, match="without TLS"):
        b"".join(reader.read(f"{scheme}://{hub.url.removeprefix('http://')}/{NAME}/resolve/{COMMIT}/{PATH}", FILE, 0, FILE.size))
    assert hub.asked == []
