"""Points as other tools read them: each number is the result's own, and a failed request is a row, too."""

from __future__ import annotations

import csv
import io
import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.perf.exports import as_vllm_bench, requests_table
from hallmark.perf.kept import keep_point
from hallmark.perf.sample import Failed
from hallmark.specs.model import Metric, PerfPoint
from hallmark.specs.targets import Arrivals
from selftests.perf.test_judging import OSL, a_result

POINT = PerfPoint(isl=5, osl=OSL, concurrency=2, requests=40, targets={Metric.TTFT_MEAN: 1.0}, source="x")


def test_the_result_of_vllms_bench_has_the_same_numbers() -> None:
    result = a_result(40)
    told = as_vllm_bench(result, POINT, model="m", started_at="2026-11-27T11:00:00+00:00")
    assert json.loads(json.dumps(told)) == told
    assert (told["completed"], told["failed"], told["num_prompts"], told["max_concurrency"]) == (40, 0, 40, 2)
    assert (told["total_input_tokens"], told["total_output_tokens"]) == (200, 40 * OSL)
    assert told["mean_ttft_ms"] == pytest.approx(1000 * statistics.fmean(sample.ttft_s for sample in result.samples))
    assert told["mean_itl_ms"] == pytest.approx(told["mean_tpot_ms"]) == pytest.approx(10)
    assert told["p99_e2el_ms"] == pytest.approx(1000 * max(sample.e2e_s for sample in result.samples))
    assert [len(gaps) for gaps in told["itls"]] == [OSL - 1] * 40
    assert told["request_rate"] == "inf"
    poisson = POINT.model_copy(update={"arrivals": Arrivals(kind="poisson", rate=8)})
    assert as_vllm_bench(result, poisson, model="m", started_at="")["request_rate"] == 8
    chat = POINT.model_copy(update={"api": "chat"})
    assert [as_vllm_bench(result, point, model="m", started_at="")["backend"] for point in (POINT, chat)] == [
        "openai",
        "openai-chat",
    ]


def test_a_point_without_an_answer_has_no_statistics() -> None:
    told = as_vllm_bench(replace(a_result(1), samples=(), window_s=0.0), POINT, model="m", started_at="")
    assert (told["completed"], told["request_throughput"]) == (0, 0.0)
    assert "mean_ttft_ms" not in told


def test_each_request_is_a_row_of_the_table() -> None:
    result = replace(a_result(2), failures=(Failed(start=0.5, error='HTTP 500, "no"'),))
    rows = list(csv.DictReader(io.StringIO(requests_table(result))))
    assert [float(row["start_s"]) for row in rows] == [0.0, 0.5, 1.0]
    assert [row["error"] for row in rows] == ["", 'HTTP 500, "no"', ""]
    assert float(rows[0]["ttft_ms"]) == pytest.approx(98.0)
    assert rows[1]["ttft_ms"] == ""


def test_a_point_is_kept_with_what_was_to_be_sent(tmp_path: Path) -> None:
    result = replace(a_result(2), schedule=({"due_s": 0.0, "isl": 5, "osl": OSL}, {"due_s": 0.25, "isl": 4, "osl": 2}))
    keep_point(tmp_path / POINT.name, result, POINT, model="m")
    lines = (tmp_path / f"{POINT.name}.schedule.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(result.schedule)
    assert json.loads((tmp_path / f"{POINT.name}.json").read_text(encoding="utf-8")) == result.rows()
    assert {path.name.removeprefix(POINT.name) for path in tmp_path.iterdir()} == {
        ".json",
        ".csv",
        ".schedule.jsonl",
        ".vllm-bench.json",
    }
