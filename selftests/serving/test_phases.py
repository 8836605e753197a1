"""The phase of a starting server in plain words, and never a raw line of its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.serving.movement import Movement, Startup
from hallmark.serving.phases import phase_of
from selftests.serving.plans import stand_in

ENGINE = "(EngineCore pid=7) INFO 11-26 15:28:18 "


@pytest.mark.parametrize(
    ("line", "phase"),
    [
        (ENGINE + "[core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='m'", "starting the engine"),
        (ENGINE + "[cpu_model_runner.py:68] Starting to load model /models/m...", "loading weights"),
        ("Loading safetensors checkpoint shards:  38% Completed | 3/8 [00:01<00:02,  2.4it/s]", "loading weights 3/8"),
        (ENGINE + "[monitor.py:34] torch.compile takes 12.30 s in total", "compiling"),
        ("Capturing CUDA graphs (decode, FULL):  40%|####      | 14/35 [00:02<00:03]", "capturing graphs 14/35"),
        (ENGINE + "[core.py:402] init engine (profile, create kv cache, warmup model) took 0.66 s", "warming up"),
        (
            "(APIServer pid=6) INFO 11-26 15:28:28 [entry.py:140] Starting vLLM server on http://127.0.0.1:39959",
            "opening its port",
        ),
    ],
)
def test_each_phase_has_its_words(line: str, phase: str) -> None:
    assert phase_of([line]) == phase
    assert phase_of([line, "something that nobody has ever logged"]) == phase, "the last known one stays"


def test_a_warning_about_a_phase_is_not_the_phase() -> None:
    said = "WARNING 11-26 [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs, and JIT kernel warmup."
    assert phase_of([said]) == "starting"
    assert phase_of(["stand-in for selftests: stand-in on 127.0.0.1:46737"]) == "starting"


def test_a_start_up_shows_its_phase_and_how_long_it_took(tmp_path: Path) -> None:
    plan = stand_in(tmp_path)
    said: list[str] = []
    startup = Startup(plan, Movement(plan.log_path), said.append)
    plan.log_path.write_text("Loading safetensors checkpoint shards:  38% Completed | 3/8 [00:01<00:02]\nsecret raw line\n")
    assert startup.waited("ConnectError")
    plan.log_path.write_text("nothing that is known\n")
    assert startup.waited("ConnectError")
    assert said == ["the server is loading weights 3/8, 0 s so far"] * 2
