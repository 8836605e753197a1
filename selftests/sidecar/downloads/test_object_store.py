"""Downloads from S3 and its like, against moto's real server: whole, checked, resumed, refused, changed."""

from __future__ import annotations

import http.server
import json
import random
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import Credentials, Job, JobState
from selftests.sidecar.downloads.fetching import content, fetch, marked, noise, settings
from selftests.sidecar.downloads.hub_server import CuttingProxy
from selftests.sidecar.downloads.object_server import ObjectServer, store_settings

pytestmark = [pytest.mark.e2e, pytest.mark.long]

FILES = {"config.json": b"{}", "empty": b"", "sub folder/ü+%.bin": noise(4, 200_000)}


def test_a_prefix_is_fetched_whole_and_nothing_beside_it(objects: ObjectServer, tmp_path: Path) -> None:
    stored = {f"models/llama/{name}": body for name, body in FILES.items()}
    objects.put("whole", {**stored, "models/llama/": b"", "models/llama-2/other": b"no", "other": b"no"})
    for scheme in ("s3", "obs"):
        target = tmp_path / scheme
        job = fetch(store_settings(tmp_path, objects.url), f"{scheme}://whole/models/llama", target)
        assert (job.state, job.error) == (JobState.COMPLETED, "")
        assert content(target) == FILES
        assert marked(target)


def test_one_object_is_a_source_too(objects: ObjectServer, tmp_path: Path) -> None:
    objects.put("single", {"a/adapter.bin": b"adapter", "a/adapter.bin.txt": b"no"})
    assert fetch(store_settings(tmp_path, objects.url), "s3://single/a/adapter.bin", tmp_path / "t").state == "completed"
    assert content(tmp_path / "t") == {"adapter.bin": b"adapter"}


def test_an_object_that_was_uploaded_in_parts_is_checked_by_its_parts(objects: ObjectServer, tmp_path: Path) -> None:
    parts = [noise(5, 5 << 20), noise(6, 5 << 20), noise(7, 12_345)]
    objects.put("parts", {})
    objects.put_in_parts("parts", "m/weights", parts)
    assert fetch(store_settings(tmp_path, objects.url), "s3://parts/m", tmp_path / "t").state is JobState.COMPLETED
    assert content(tmp_path / "t") == {"weights": b"".join(parts)}


def test_an_object_whose_parts_are_of_different_sizes_is_fetched_all_the_same(objects: ObjectServer, tmp_path: Path) -> None:
    """As writers that do not know the length make it; there are as many parts as parts of the first one's size would be."""
    parts = [noise(12, 6 << 20), noise(13, 5 << 20), noise(14, 5 << 20)]
    objects.put("uneven", {})
    objects.put_in_parts("uneven", "m/weights", parts)
    job = fetch(store_settings(tmp_path, objects.url), "s3://uneven/m", tmp_path / "t")
    assert (job.state, job.error) == (JobState.COMPLETED, "")
    assert content(tmp_path / "t") == {"weights": b"".join(parts)}


def test_cut_at_thirty_places_and_resumed(objects: ObjectServer, tmp_path: Path) -> None:
    body = noise(8, 3_000_000)
    objects.put("cut", {"m/weights": body})
    with CuttingProxy(objects.url, random.Random(31).sample(range(3_000_000), 30)) as proxy:
        job = fetch(store_settings(tmp_path, proxy.url), "s3://cut/m", tmp_path / "t")
    assert (job.state, job.error, proxy.cut) == (JobState.COMPLETED, "", 30)
    assert content(tmp_path / "t") == {"weights": body}
    assert job.bytes_fetched == len(body), "each byte came into the file once"


class Rangeless(CuttingProxy):
    """Makes the store behind it one that knows no ranges."""

    def _altered(self, piece: bytes) -> bytes:
        return piece.replace(b"\r\nRange: ", b"\r\nX-Range: ")


def test_a_store_without_ranges_is_resumed_too(objects: ObjectServer, tmp_path: Path) -> None:
    body = noise(11, 400_000)
    objects.put("rangeless", {"m/weights": body})
    with Rangeless(objects.url, [150_000, 450_000]) as proxy:
        job = fetch(store_settings(tmp_path, proxy.url), "s3://rangeless/m", tmp_path / "t")
    assert (job.state, job.error, job.bytes_fetched, proxy.cut) == (JobState.COMPLETED, "", 400_000, 2)
    assert content(tmp_path / "t") == {"weights": body}


def test_more_files_than_are_allowed_are_not_looked_at_one_by_one(objects: ObjectServer, tmp_path: Path) -> None:
    objects.put("many", {f"m/{number}": b"" for number in range(3)})
    for most, status in ((2, 413), (3, 0)):
        with CuttingProxy(objects.url, []) as proxy:
            own = store_settings(tmp_path, proxy.url).credentials
            job = fetch(settings(tmp_path, credentials=own, max_files=most), "s3://many/m", tmp_path / "t")
        assert (job.status, b"HEAD " in proxy.sent) == (status, not status), job.error


def from_stand_in(handler: type[http.server.BaseHTTPRequestHandler], folder: Path) -> Job:
    """What comes of s3://bucket/m where a store answers so."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as store:
        threading.Thread(target=store.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        try:
            return fetch(store_settings(folder, f"http://127.0.0.1:{store.server_port}"), "s3://bucket/m", folder / "t")
        finally:
            store.shutdown()


def test_a_store_that_redirects_to_nowhere_in_particular(tmp_path: Path) -> None:
    asked = []

    class Circle(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    job = from_stand_in(Circle, tmp_path)
    assert (job.status, job.error, len(asked)) == (502, "bucket: the store answers 307 307", 1)


def test_names_that_the_source_chose_leave_an_error_one_line_that_can_be_read(tmp_path: Path) -> None:
    name = "a&#10;b" * 2000
    listing = f"<ListBucketResult><Contents><Key>m/{name}</Key><Size>1</Size><ETag>x</ETag></Contents></ListBucketResult>"

    class Odd(http.server.BaseHTTPRequestHandler):
        """A stand-in for a store that lists a name and then does not know it."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(listing.encode())

        def do_HEAD(self) -> None:
            self.send_response(418)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    job = from_stand_in(Odd, tmp_path)
    assert (job.state, job.status) == (JobState.FAILED, 502)
    assert job.error.startswith("m/a ba ba b")
    assert "\n" not in job.error
    assert len(job.error) == 1000


def test_keys_are_checked_by_the_store_and_never_shown(objects: ObjectServer, tmp_path: Path) -> None:
    """The clean twin is the user's own key: as the operator's, as the caller's, and from the role's variables."""
    objects.put("private", {"m/config.json": b"{}"})
    key, secret = objects.new_user("reader")
    target = tmp_path / "t"
    objects.check_signatures(0)
    try:
        wrong = fetch(store_settings(tmp_path, objects.url, key, "wrong-secret-key"), "s3://private/m", target)
        unknown = fetch(store_settings(tmp_path, objects.url, "AKIAUNKNOWNUNKNOWN12", secret), "s3://private/m", target)
        assert [(job.state, job.status) for job in (wrong, unknown)] == [(JobState.FAILED, 403)] * 2
        assert "refuses these credentials" in wrong.error
        assert secret not in str([wrong.to_plain(), unknown.to_plain()])
        assert not target.exists()
        assert fetch(store_settings(tmp_path, objects.url, key, secret), "s3://private/m", target).state == "completed"
        config = {"access_key": key, "secret_key": secret, "endpoint": objects.url}
        limits = settings(tmp_path, allowed_endpoints=(objects.url,))
        assert fetch(limits, "s3://private/m", tmp_path / "caller", config=config).state is JobState.COMPLETED
        role = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        limits = settings(tmp_path, credentials=Credentials(endpoint=objects.url, ambient=role))
        assert fetch(limits, "s3://private/m", tmp_path / "role").state is JobState.COMPLETED
    finally:
        objects.check_signatures(float("inf"))


def test_nothing_of_the_operator_s_is_sent_to_an_endpoint_that_the_caller_chose(objects: ObjectServer, tmp_path: Path) -> None:
    """Neither the operator's keys nor a role. The clean twin: the same endpoint, chosen by the operator."""
    objects.put("public", {})
    objects.client.put_object(Bucket="public", Key="m/config.json", Body=b"{}", ACL="public-read")
    role = {"AWS_ACCESS_KEY_ID": "role-key-id", "AWS_SECRET_ACCESS_KEY": "role-secret", "AWS_SESSION_TOKEN": "role-session"}
    own = [Credentials(access_key="own-key-id", secret_key="own-secret", session_token="own-session"), Credentials(ambient=role)]
    for number, credentials in enumerate(own):
        with CuttingProxy(objects.url, []) as proxy:
            limits = settings(tmp_path, credentials=credentials, allowed_endpoints=(proxy.url,))
            job = fetch(limits, "s3://public/m", tmp_path / f"theirs-{number}", config={"endpoint": proxy.url})
            assert (job.state, job.error) == (JobState.COMPLETED, "")
            assert b"authorization" not in proxy.sent.lower()
            assert b"session" not in proxy.sent
            limits = settings(tmp_path, credentials=replace(credentials, endpoint=proxy.url))
            assert fetch(limits, "s3://public/m", tmp_path / f"own-{number}").state is JobState.COMPLETED
            assert b"AWS4-HMAC-SHA256" in proxy.sent
            assert b"-session" in proxy.sent, "a session token goes with its keys"


@pytest.mark.parametrize(
    ("source", "words"), [("s3://no-such-bucket/m", "bucket does not exist"), ("s3://hollow/m", "holds nothing")]
)
def test_what_is_not_there_is_said(objects: ObjectServer, tmp_path: Path, source: str, words: str) -> None:
    if source.startswith("s3://hollow"):
        objects.put("hollow", {"n/file": b""})
    job = fetch(store_settings(tmp_path, objects.url), source, tmp_path / "t")
    assert (job.state, job.status) == (JobState.FAILED, 404)
    assert words in job.error
    assert not (tmp_path / "t").exists()


def test_an_object_that_changes_during_the_download_fails_and_the_next_try_succeeds(
    objects: ObjectServer, tmp_path: Path
) -> None:
    """It changes after it was listed: while the connection that fetches it is cut."""
    body, newer = noise(9, 500_000), noise(10, 500_000)
    objects.put("change", {"m/weights": body})

    class Changing(CuttingProxy):
        def _pass(self, count: int) -> tuple[int, bool]:
            passed = super()._pass(count)
            if passed[1]:
                objects.client.put_object(Bucket="change", Key="m/weights", Body=newer)
            return passed

    with Changing(objects.url, [250_000]) as proxy:
        job = fetch(store_settings(tmp_path, proxy.url), "s3://change/m", tmp_path / "t")
    assert (job.state, job.status) == (JobState.FAILED, 409)
    assert "changed during the download" in job.error
    assert not (tmp_path / "t").exists()
    again = fetch(store_settings(tmp_path, objects.url), "s3://change/m", tmp_path / "t")
    assert (again.state, again.bytes_fetched) == (JobState.COMPLETED, len(newer))
    assert content(tmp_path / "t") == {"weights": newer}


@pytest.mark.parametrize("key", ["m/../../escape", "m//double", "m/..", "m/a\\b", "m/.hallmark-complete.json/x", "m/tab\there"])
def test_a_key_that_would_leave_the_target_spoils_the_source(objects: ObjectServer, tmp_path: Path, key: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    bucket = f"climb-{key.encode().hex()[:40]}"
    objects.put(bucket, {"m/good": b"good", key: b"bad"})
    job = fetch(store_settings(root, objects.url), f"s3://{bucket}/m", root / "t")
    assert (job.state, job.status) == (JobState.FAILED, 422), job.error
    assert not (root / "t").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_two_keys_of_which_one_is_the_other_s_folder_spoil_the_source(objects: ObjectServer, tmp_path: Path) -> None:
    objects.put("both", {"m/a": b"", "m/a/b": b""})
    job = fetch(store_settings(tmp_path, objects.url), "s3://both/m", tmp_path / "t")
    assert (job.state, job.status) == (JobState.FAILED, 422)


class RoleServer(http.server.BaseHTTPRequestHandler):
    """A stand-in for the service of a node that hands out its role's credentials, which are as good as expired."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        soon = (datetime.now(UTC) + timedelta(seconds=30)).isoformat()
        keys = {"AccessKeyId": "role-key-id", "SecretAccessKey": "role-secret", "Token": "role-session", "Expiration": soon}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(keys).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_role_signs_and_is_renewed_where_a_download_itself_may_not_go(objects: ObjectServer, tmp_path: Path) -> None:
    """The role's service is at an address of this machine that is closed to downloads; the store is at an open one."""
    objects.put("role", {"m/config.json": b"{}"})
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), RoleServer) as node,
        CuttingProxy(objects.url, [], host="127.0.0.2") as proxy,
    ):
        threading.Thread(target=node.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        ambient = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{node.server_port}/role"}
        own = Credentials(endpoint=proxy.url, ambient=ambient)
        limits = settings(tmp_path, credentials=own, allowed_networks=("127.0.0.2/32",))
        job = fetch(limits, "s3://role/m", tmp_path / "t")
        assert (job.state, job.error) == (JobState.COMPLETED, "")
        assert b"Credential=role-key-id" in proxy.sent
        assert b"role-session" in proxy.sent
        assert RoleServer.asked > 1, "renewed while it was used"
        asked = RoleServer.asked
        closed = settings(
            tmp_path,
            credentials=Credentials(endpoint=f"http://127.0.0.1:{node.server_port}", access_key="a", secret_key="b"),
            allowed_networks=("127.0.0.2/32",),
        )
        assert fetch(closed, "s3://role/m", tmp_path / "u").status == 403
        assert RoleServer.asked == asked
        node.shutdown()
