"""A spec that pins a commit is held to it: read where the server runs, red for another, undecided where nothing tells."""

from __future__ import annotations

import json

import pytest

from selftests.environment.test_builds import distribution
from selftests.faulty import running
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import SEVERAL, Place
from selftests.plugin.stand_in_spec import DEVICE, MODEL, WEIGHTS

pytestmark = [pytest.mark.e2e, pytest.mark.long]

BUILT_FROM = "1a2b3c4d5"
# What is pinned -> (the verdict, the exit code, a part of the reason).
PINS = {
    "1a2b3c4": ("PASS", 0, ""),
    "deadbeef": ("FAIL", 1, f"it is {BUILT_FROM} (vllm 0.11.1+g{BUILT_FROM}: its version), not deadbeef"),
    "v0.11.1": ("INCONCLUSIVE", 4, "to make it readable: pin the commit"),
}

PINNED = [*(("commits", pin) for pin in PINS), ("engine.commit", "deadbeef")]


def with_vllm(place: Place, version: str = f"0.11.1+g{BUILT_FROM}") -> None:
    """A vLLM in the server's environment, as far as metadata go."""
    distribution(place.plugins, "vllm", version)


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Ended]:
    """Where it is pinned, and as what -> how the cell's run ended; one command has all of them."""
    place = Place(tmp_path_factory.mktemp("pinned") / "place")
    with_vllm(place)
    engine = {"name": "vllm", "version": "==0.32.0", "module": "selftests.faulty.server"}
    of_model = {}
    for number, (where, pin) in enumerate(PINNED, start=101):
        of_model[where, pin] = model = f"stand-in-{number}"
        own = {"commits": {"vllm": pin}} if where == "commits" else {"engine": {**engine, "commit": pin}}
        place.whole_spec(models=(model,), name=model, impl=own)
    whole = place.release(workflow="spec", model=SEVERAL).end()
    return {key: whole.of(model) for key, model in of_model.items()}


@pytest.mark.parametrize(("where", "pin"), PINNED)
def test_a_pinned_commit_is_held_against_what_is_installed(pinned: dict[tuple[str, str], Ended], pin: str, where: str) -> None:
    verdict, code, reason = PINS[pin]
    ended = pinned[where, pin]
    row = ended.rows["spec.commit.vllm"]
    assert (row["verdict"], ended.report["decision"]["exit_code"]) == (verdict, code), ended.said
    assert reason in row["reason"]
    written = json.loads((ended.folder / "runtime_environment.json").read_text(encoding="utf-8"))
    (build,) = [build for build in written["builds"] if build["names"][0] == "vllm"]
    assert (build["commit"], build["source"]) == (BUILT_FROM, "its version")
    if verdict != "INCONCLUSIVE":
        (evidence,) = row["evidence"]
        assert (evidence["value"], evidence["target"]["limit"]) == (BUILT_FROM, pin)
        assert evidence["detail"]["seen"], "what was read, and where"


def test_a_commit_that_nothing_tells_is_undecided_and_says_what_to_do(place: Place) -> None:
    with_vllm(place, "0.11.0")
    place.whole_spec(impl={"commits": {"vllm": "deadbeef", "tt_metal": "v0.62.0-rc33"}})
    ended = place.release().end().must_end(4, "INCONCLUSIVE")
    assert ended.bad == {"spec.commit.vllm": "INCONCLUSIVE", "spec.commit.tt_metal": "INCONCLUSIVE"}
    assert "vllm 0.11.0: not in direct_url.json, its version" in ended.rows["spec.commit.vllm"]["reason"]
    assert "name its checkout in TT_METAL_HOME" in ended.rows["spec.commit.tt_metal"]["reason"]


@pytest.mark.parametrize(
    ("stated", "verdict"),
    [(f"0.11.1+g{BUILT_FROM}", "PASS"), ("0.11.1", "PASS"), ("0.11.1+gdeadbeef", "FAIL")],
)
def test_a_commit_takes_the_place_of_a_version_and_the_server_may_name_no_other(place: Place, stated: str, verdict: str) -> None:
    with_vllm(place)
    engine = {"name": "vllm", "commit": "1a2b3c4", "module": "selftests.faulty.server"}
    place.spec(faults=f"wrong-version={stated}", impl={"engine": engine})
    ended = place.release(workflow="tests").end()
    assert ended.rows["server.version"]["verdict"] == verdict, ended.said
    assert ("which is of deadbeef, the spec says 1a2b3c4" in ended.rows["server.version"]["reason"]) == (verdict == "FAIL")


@pytest.mark.parametrize(("pin", "verdict"), [("1a2b3c4", "PASS"), ("deadbeef", "FAIL")])
def test_of_an_attached_server_its_own_environment_is_read(place: Place, pin: str, verdict: str) -> None:
    with_vllm(place)
    place.whole_spec(impl={"commits": {"vllm": pin}})
    with running(model=WEIGHTS, served_model_name=MODEL, ttft_ms=2, environ=place.environ) as server:
        seen = place.release(f"--server-url={server.base_url}", workflow="spec").end()
        options = [f"--model={MODEL}", f"--device={DEVICE}", f"--spec-dir={place.specs}", f"--artifacts={place.artifacts}"]
        unseen = place.start(["hallmark", "--workflow=spec", *options, f"--server-url={server.base_url}"]).end()
    assert seen.rows["spec.commit.vllm"]["verdict"] == verdict
    assert unseen.rows["spec.commit.vllm"]["verdict"] == "INCONCLUSIVE"
    assert "name its interpreter with --server-python" in unseen.causes
