"""One grace period for a stop: every file that names it names the same, and every part of the chain obeys it."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from hallmark_engine.settings import read

from hallmark.core.grace import STOP_GRACE_S, drain_s
from hallmark_services.gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def found(pattern: str, name: str) -> str:
    match = re.search(pattern, text(name))
    assert match, f"{name} says nothing like {pattern}"
    return match[1]


def test_every_file_of_the_chain_says_the_same_number() -> None:
    engine = yaml.safe_load(text("engine/compose.yaml"))["services"]["engine"]
    (pod,) = [part for part in yaml.safe_load_all(text("deploy/kubernetes/runtime.yaml")) if part["kind"] == "Deployment"]
    vllm = pod["spec"]["template"]["spec"]["containers"][0]["args"]
    said = {
        "gateway": Settings().stop_grace_s,
        "engine image": read([], {}).stop_grace_s,
        "run_image.sh": int(found(r"grace=\$\{STOP_GRACE_S:-(\d+)\}", "engine/run_image.sh")),
        "run_image.sh --help": int(found(r"# STOP_GRACE_S \((\d+);", "engine/run_image.sh")),
        "compose": int(re.fullmatch(r"\$\{STOP_GRACE_S:-(\d+)\}s", engine["stop_grace_period"])[1]),  # type: ignore[index]
        "Kubernetes": pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
        "engine/README.md": int(found(r"\| `STOP_GRACE_S` \| `(\d+)` \|", "engine/README.md")),
    }
    assert {part: number for part, number in said.items() if number != STOP_GRACE_S} == {}
    assert int(vllm[vllm.index("--shutdown-timeout") + 1]) == drain_s(STOP_GRACE_S)


def test_the_number_reaches_docker_and_the_container() -> None:
    assert '--stop-timeout "$grace"' in text("engine/run_image.sh")
    assert re.search(r"for variable in [^;]*\bSTOP_GRACE_S\b", text("engine/run_image.sh"))
    engine = yaml.safe_load(text("engine/compose.yaml"))["services"]["engine"]
    assert "STOP_GRACE_S" in engine["environment"]
    assert re.search(r"^STOPSIGNAL SIGTERM$", text("engine/Dockerfile"), re.MULTILINE)


def test_the_engine_outlives_the_answers_and_ends_before_the_container_is_killed() -> None:
    for seconds in (1, 3, 40, 600):
        settings = read([], {"STOP_GRACE_S": str(seconds)})
        assert 0 < drain_s(seconds) < settings.kill_after_s < seconds
