"""No secret of the environment or of the spec reaches an artifact or a screen, through whole runs of a server that tells all."""

from __future__ import annotations

import json

import pytest

from hallmark.specs.secrets import spec_secrets
from selftests.environment import fakes
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place, place
from selftests.plugin.stand_in_spec import perf_point

__all__ = ["place"]

OF_THE_ENVIRONMENT = {
    "HF_TOKEN": "canary-environment-hub-1",
    "AWS_SECRET_ACCESS_KEY": 'canary-environment-"quoted"\\2',
    "VLLM_SIGNING_KEY": "canary-environment-signing-3",
    "DB_PASSWORD": "canary-environment-pass-4",
    "PIP_INDEX_URL": "https://someone:canary-environment-url-5@index.example/simple",
    "VLLM_NOTE": "hf_canaryEnvironmentByItsShape6",
}
OF_THE_SPEC = {
    "HF_TOKEN": "canary-spec-hub-1",
    "SPEC_ONLY_SECRET": "canary-spec-only-2",
    "VLLM_API_KEY_OF_ELSEWHERE": "canary-spec-key-3",
}
HARMLESS = {"VLLM_MAX_NUM_BATCHED_TOKENS": "131072", "TOKENIZERS_PARALLELISM": "false"}
LEAKY = """
import os
from selftests.faulty.server import main
print("server:", sorted(os.environ.items()), flush=True)
main()
"""


def leaks(ended: Ended, place: Place) -> list[str]:
    """Where a canary shows, as it is and as JSON and HTML write it."""
    texts = {str(path.relative_to(place.artifacts)): path.read_text(encoding="utf-8", errors="replace") for path in files(place)}
    texts |= {"stdout": ended.out, "stderr": ended.err}
    return [f"{name}: {line[:200]}" for name, text in texts.items() for line in text.splitlines() if "canary" in line.lower()]


def files(place: Place) -> list:
    return [path for path in place.artifacts.rglob("*") if path.is_file()]


@pytest.mark.e2e
@pytest.mark.parametrize("fault", ["", "die-after=3"])
@pytest.mark.long
def test_no_secret_of_environment_or_spec_is_in_a_file_or_on_a_screen(place: Place, fault: str) -> None:
    place.plugin("leaky_server", LEAKY)
    engine = {"name": "vllm", "version": "==0.32.0", "module": "leaky_server"}
    place.spec(faults=fault, perf=[perf_point()], env_vars=OF_THE_SPEC, impl={"engine": engine})
    ended = place.release(**OF_THE_ENVIRONMENT, **HARMLESS).end()
    names = {path.name for path in files(place)}
    assert {"runtime_environment.json", "launch_plan.json", "server.log", "records.jsonl", "report.html", "junit.xml"} <= names
    assert "\n".join(leaks(ended, place)) == ""
    log = (ended.folder / "server.log").read_text(encoding="utf-8")
    assert log.count("[redacted]") >= len(OF_THE_ENVIRONMENT), "else the server gave nothing away"
    told = json.loads((ended.folder / "runtime_environment.json").read_text(encoding="utf-8"))
    assert told["environment"]["HF_TOKEN"] == "[redacted]"
    assert {name: told["environment"][name] for name in HARMLESS} == HARMLESS
    assert told["tt_model_spec"]["env_vars"]["SPEC_ONLY_SECRET"] == "[redacted]"


@pytest.mark.e2e
def test_a_plan_that_is_only_shown_shows_no_secret(place: Place) -> None:
    place.spec(env_vars=OF_THE_SPEC)
    ended = place.release("--print-plan", workflow="server", **OF_THE_ENVIRONMENT).end()
    assert ended.code == 0, ended.said
    assert "SPEC_ONLY_SECRET=[redacted]" in ended.out
    assert "\n".join(leaks(ended, place)) == ""


def test_the_search_finds_what_is_there(place: Place) -> None:
    place.artifacts.mkdir()
    (place.artifacts / "a.json").write_text('{"HF_TOKEN": "canary-spec-hub-1"}', encoding="utf-8")
    found = leaks(Ended(code=0, out="hf_canaryEnvironment", err="", folders=()), place)
    assert [line.partition(":")[0] for line in found] == ["a.json", "stdout"]


def test_secrets_are_found_wherever_a_spec_may_state_them() -> None:
    cell = fakes.cell(env_vars={"HF_TOKEN": "a", "OMP_NUM_THREADS": "1"}, container={"env_vars": {"PULL_SECRET": "b"}})
    assert sorted(spec_secrets([cell])) == ["a", "b"]
