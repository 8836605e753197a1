"""Downloads from a hub (a stand-in for Hugging Face's): whole, checked, resumed, and no token for strangers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark_services.sidecar.downloads import JobState
from selftests.sidecar.downloads.fetching import content, fetch, hub_settings, marked, noise, settings
from selftests.sidecar.downloads.hub_server import CuttingProxy, Hub, Repository

pytestmark = pytest.mark.e2e

NAME = "org/model"
FILES = {"config.json": b'{"a": 1}', "empty": b"", "weights/model.safetensors": noise(1, 300_000), "a b/+%.txt": b"odd name"}
LFS = frozenset({"weights/model.safetensors"})
TOKEN = "hf_open_sesame_0123456789"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub({NAME: Repository(dict(FILES), LFS)}) as server:
        yield server


def test_files_are_whole_and_the_token_goes_to_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    hub.repositories[NAME].token = TOKEN
    target = tmp_path / "deep" / "model"
    hub.before_body = lambda _: None if not target.exists() else pytest.fail("a reader could see half a model")
    job = fetch(hub_settings(tmp_path, hub.url, TOKEN), NAME, target)
    assert (job.state, job.error) == (JobState.COMPLETED, "")
    assert content(target) == FILES
    assert marked(target)
    assert (job.bytes_done, job.bytes_total, job.files_done) == (sum(map(len, FILES.values())),) * 2 + (len(FILES),)
    assert {asked.authorization for asked in hub.asked if asked.path.startswith("/cdn/")} == {""}
    assert {asked.authorization for asked in hub.asked if not asked.path.startswith("/cdn/")} == {f"Bearer {TOKEN}"}
    again = fetch(hub_settings(tmp_path, hub.url, TOKEN), f"hf://{NAME}", target)
    assert (again.state, again.bytes_fetched, again.bytes_done) == (JobState.COMPLETED, 0, job.bytes_total)


def test_cut_at_thirty_places_and_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.repositories[NAME] = Repository({"model.safetensors": noise(2, 3_000_000)})
    cuts = random.Random(30).sample(range(600, 3_000_000), 30)
    with CuttingProxy(hub.url, cuts) as proxy:
        job = fetch(hub_settings(tmp_path, proxy.url), NAME, tmp_path / "model")
    assert (job.state, job.error, proxy.cut) == (JobState.COMPLETED, "", 30)
    assert content(tmp_path / "model") == hub.repositories[NAME].files
    assert job.bytes_fetched == 3_000_000, "each byte came into the file once"
    assert job.retries >= 28, "a cut may fall into the listing"


def test_a_server_without_ranges_is_resumed_too(hub: Hub, tmp_path: Path) -> None:
    hub.repositories[NAME] = Repository({"model.safetensors": noise(3, 400_000)})
    hub.knows_ranges = False
    with CuttingProxy(hub.url, [200_000, 350_000]) as proxy:
        job = fetch(hub_settings(tmp_path, proxy.url), NAME, tmp_path / "model")
    assert (job.state, job.bytes_fetched, proxy.cut) == (JobState.COMPLETED, 400_000, 2)
    assert content(tmp_path / "model") == hub.repositories[NAME].files


def test_a_mirror_that_lists_names_only(hub: Hub, tmp_path: Path) -> None:
    hub.names_only = True
    assert fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model").state is JobState.COMPLETED
    assert content(tmp_path / "model") == FILES


@pytest.mark.parametrize(
    ("source", "config", "status", "words"),
    [
        (NAME, {"hf_token": "hf_wrong_wrong_wrong"}, 403, "refuses this token"),
        ("org/nothing", {}, 404, "no such repository"),
        ("org/open", {"hf_revision": "v9"}, 404, "no revision v9"),
        ("org/hollow", {}, 404, "holds nothing"),
    ],
)
def test_what_the_hub_refuses_is_said(
    hub: Hub, tmp_path: Path, source: str, config: dict[str, str], status: int, words: str
) -> None:
    hub.repositories[NAME].token = TOKEN
    hub.repositories |= {"org/open": Repository(dict(FILES)), "org/hollow": Repository({})}
    job = fetch(hub_settings(tmp_path, hub.url), source, tmp_path / "model", config=config)
    assert (job.state, job.status) == (JobState.FAILED, status)
    assert words in job.error
    assert not (tmp_path / "model").exists()
    assert "wrong_wrong" not in str(job.to_plain())


@pytest.mark.parametrize("said", [b"null", b"{}", b"[]", b"[[[", b'{"id": "org/model", "siblings": [{"size": 1}, 7]}'], ids=repr)
def test_a_hub_whose_answer_is_no_description_of_a_model(hub: Hub, tmp_path: Path, said: bytes) -> None:
    hub.listing = said
    job = fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model")
    assert (job.state, job.status, job.error) == (JobState.FAILED, 502, f"{NAME}: the hub's answer makes no sense")


def test_content_that_is_not_what_was_listed_fails_and_the_next_try_succeeds(hub: Hub, tmp_path: Path) -> None:
    repository = hub.repositories[NAME]
    good = FILES["weights/model.safetensors"]

    def spoil(path: str) -> None:
        repository.files[path] = good[:-1] + bytes([good[-1] ^ 1])

    hub.before_body = spoil
    repository.files = {"weights/model.safetensors": good}
    job = fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model")
    assert (job.state, job.status) == (JobState.FAILED, 502)
    assert "checksum" in job.error
    assert not (tmp_path / "model").exists()
    hub.before_body = lambda _: None
    repository.files = {"weights/model.safetensors": good}
    assert fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model").state is JobState.COMPLETED
    assert content(tmp_path / "model") == repository.files


def test_a_file_that_grows_during_the_download_fails(hub: Hub, tmp_path: Path) -> None:
    def grow(path: str) -> None:
        hub.repositories[NAME].files[path] += b"more"

    hub.before_body = grow
    job = fetch(hub_settings(tmp_path, hub.url), NAME, tmp_path / "model")
    assert (job.state, job.status) == (JobState.FAILED, 409)
    assert "another version" in job.error
    assert not (tmp_path / "model").exists()


def test_a_newer_version_takes_the_place_of_the_older_one_whole(hub: Hub, tmp_path: Path) -> None:
    limits = hub_settings(tmp_path, hub.url)
    assert fetch(limits, NAME, tmp_path / "model").state is JobState.COMPLETED
    hub.repositories[NAME].files = {"config.json": b"newer"}
    hub.before_body = lambda _: None if content(tmp_path / "model") == FILES else pytest.fail("the old one is not whole")
    assert fetch(limits, NAME, tmp_path / "model").state is JobState.COMPLETED
    assert content(tmp_path / "model") == {"config.json": b"newer"}
    assert not (tmp_path / ".hallmark-downloads" / "model.partial").exists()


def test_an_endpoint_that_the_caller_chose_never_gets_the_operator_s_token(hub: Hub, tmp_path: Path) -> None:
    """The clean twin: the operator's own endpoint, named by the caller, does."""
    with Hub({NAME: Repository(dict(FILES))}) as other:
        limits = settings(
            tmp_path, credentials=hub_settings(tmp_path, hub.url, TOKEN).credentials, allowed_endpoints=(other.url,)
        )
        assert fetch(limits, NAME, tmp_path / "theirs", config={"hf_endpoint": other.url}).state is JobState.COMPLETED
        assert {asked.authorization for asked in other.asked} == {""}
        assert fetch(limits, NAME, tmp_path / "own", config={"hf_endpoint": hub.url + "/"}).state is JobState.COMPLETED
        assert f"Bearer {TOKEN}" in {asked.authorization for asked in hub.asked}


def test_the_library_s_own_client_takes_the_stand_in_for_a_hub(hub: Hub, tmp_path: Path) -> None:
    """Else it would only show that our two halves agree with each other."""
    program = (
        "import sys; from huggingface_hub import hf_hub_download; repository, endpoint, folder, name = sys.argv[1:]; "
        "hf_hub_download(repository, name, endpoint=endpoint, local_dir=folder)"
    )
    env = {"PATH": os.environ["PATH"], "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(tmp_path)}
    for name in ("config.json", "weights/model.safetensors"):
        subprocess.run([sys.executable, "-c", program, NAME, hub.url, str(tmp_path / "target"), name], env=env, check=True)
        assert (tmp_path / "target" / name).read_bytes() == FILES[name]
