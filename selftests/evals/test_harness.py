"""The real lm-eval against the stand-in: right scores from a good server, and an end in time with a bad one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hallmark.client.answer_watch import AnswerWatch
from hallmark.core.errors import CheckFailed, HarnessError
from hallmark.evals.harness import EvalRequest, Harness, straight_to
from hallmark.evals.items import read_items
from hallmark.serving.ports import free_port
from hallmark.specs.cell import Cell
from selftests.core.polling import comes_true
from selftests.faulty import Faulty, running
from selftests.plugin.stand_in_spec import TASK, write_task

pytestmark = pytest.mark.e2e  # lm-eval imports for seconds

Ask = Callable[..., EvalRequest]


def unchecked() -> None:
    pass


@pytest.mark.parametrize("name", ["addition", "sums", "sequences"])
def test_a_good_server_gets_a_full_score(harness: Harness, ask: Ask, cell: Cell, name: str, tmp_path: Path) -> None:
    """The stand-in adds and continues sequences without error; the items are the shipped ones."""
    target = next(t for t in cell.evals if t.name == name)
    with running() as server:
        scores = harness.evaluate(ask(name, server.base_url), timeout_s=120, check=unchecked)
    assert {metric: scores.metrics[metric] for metric in target.metrics} == dict.fromkeys(target.metrics, 1.0)
    assert scores.n == 20
    assert scores.total == target.n
    samples = (tmp_path / f"{name}.samples.jsonl").read_text().splitlines()
    assert len(samples) == 20
    assert all(json.loads(line)["doc"] for line in samples)


@pytest.mark.parametrize(("fault", "wrong"), [("created-in-ms", "created"), ("same-ids", "ids"), ("total-off", "usage")])
@pytest.mark.parametrize("name", ["addition", "sequences"])  # generated, and likelihoods
def test_what_the_answers_hold_besides_is_looked_at(harness: Harness, ask: Ask, name: str, fault: str, wrong: str) -> None:
    """By the same worker, task after task; a clean twin has nothing wrong with it."""
    for faults, expected in (((fault,), {wrong}), ((), set())):
        watch = AnswerWatch()
        with running(*faults) as server:
            request = ask(name, server.base_url)
            request = replace(request, model_args={**request.model_args, "batch_size": 5})
            watch.add_plain(harness.evaluate(request, timeout_s=120, check=unchecked).answers)
        assert watch.answers >= 20
        assert {name for name, found in watch.found.items() if found.count} == expected


@pytest.mark.parametrize("name", ["addition", "sequences"])
def test_some_items_are_asked_under_their_own_numbers(harness: Harness, ask: Ask, name: str, tmp_path: Path) -> None:
    """The blocks of an eval that may stop early: lm-eval must tell the places in the task, not in the block."""
    told: dict[int, str] = {}
    with running() as server:
        for numbers in ((0, 3, 17), (2, 5), (0, 1, 2, 3, 4, 5, 17)):
            request = replace(ask(name, server.base_url), limit=None, samples=numbers)
            scores = harness.evaluate(request, timeout_s=120, check=unchecked)
            rows = [json.loads(line) for line in (tmp_path / f"{name}.samples.jsonl").read_text().splitlines()]
            assert (scores.n, [row["doc_id"] for row in rows]) == (len(numbers), list(numbers))
            for row in rows:
                assert told.setdefault(row["doc_id"], row["doc_hash"]) == row["doc_hash"]


@pytest.mark.parametrize("split", ["test", "train"])
def test_some_items_have_the_examples_that_they_have_among_all(harness: Harness, ask: Ask, tmp_path: Path, split: str) -> None:
    """Drawn from the items themselves, and from others: else a block could not be held against the reference's prompts."""
    write_task(
        tmp_path / "task",
        items=12,
        num_fewshot=3,
        fewshot_split=split,
        dataset_kwargs={"data_files": {"test": "items.jsonl", "train": "items.jsonl"}},
    )
    told: dict[int, tuple[str, str]] = {}
    with running() as server:
        for numbers in (None, (0, 3, 11), (2, 5, 7), (1, 4, 6, 8, 9, 10)):
            request = replace(ask("addition", server.base_url), task=TASK, task_dir=str(tmp_path / "task"), limit=None)
            scores = harness.evaluate(replace(request, samples=numbers), timeout_s=120, check=unchecked)
            rows = [json.loads(line) for line in Path(request.samples_path).read_text().splitlines()]
            assert (scores.n, scores.few_shot) == (len(numbers or range(12)), 3)
            assert [row["doc_id"] for row in rows] == list(numbers or range(12))
            for row in rows:
                same = row["prompt_hash"], row["doc_hash"]
                assert told.setdefault(row["doc_id"], same) == same
    assert len({prompt for prompt, _ in told.values()}) == 12


@pytest.mark.parametrize(("weighs", "alike"), [(True, False), (False, True)])
def test_a_group_is_scored_as_lm_eval_does_and_its_items_are_those_of_its_subtasks(
    harness: Harness, ask: Ask, tmp_path: Path, weighs: bool, alike: bool
) -> None:
    """One subtask has 12 items, all right; the other 4, whose target is another text, so that all are wrong."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    write_task(folder / "right", items=12, name="right_ones")
    write_task(folder / "wrong", items=4, name="wrong_ones", doc_to_target="nothing")
    for name in ("right", "wrong"):
        config = folder / name / "task.yaml"
        data_file = str(folder / name / "items.jsonl")
        config.write_text(config.read_text().replace("test: items.jsonl", f"test: {data_file}"))
    mean = {"metric": "exact_match", "aggregation": "mean", "weight_by_size": weighs}
    group = {"group": "both", "task": ["right_ones", "wrong_ones"], "aggregate_metric_list": [mean]}
    (folder / "both.yaml").write_text(json.dumps(group))
    with running() as server:
        request = replace(ask("addition", server.base_url), task="both", task_dir=str(folder), limit=None)
        scores = harness.evaluate(request, timeout_s=120, check=unchecked)
    assert scores.metrics["exact_match,none"] == pytest.approx(0.5 if alike else 0.75)
    assert (scores.n, scores.total, scores.alike) == (16, 16, alike)
    assert scores.subtasks == {"right_ones": 12, "wrong_ones": 4}
    items = read_items(Path(request.samples_path), "exact_match,none")
    assert [item.number for item in items] == list(range(16))
    assert sum(item.score * item.weight for item in items) / 16 == pytest.approx(scores.metrics["exact_match,none"])


def test_wrong_answers_cost_score(harness: Harness, ask: Ask) -> None:
    """The gate can fail: a server that is wrong on every prompt scores nothing."""
    with running("wrong-answers=1") as server:
        scores = harness.evaluate(ask("addition", server.base_url), timeout_s=120, check=unchecked)
    assert scores.metrics["exact_match,none"] == 0.0


def test_how_many_requests_are_answered_is_told_of_the_task_that_is_under_way(harness: Harness, ask: Ask) -> None:
    """Not of the one before, whose progress bar stands in the same log."""
    told: list[tuple[int, int] | None] = []
    with running(ttft_ms=300) as server:
        for limit in (3, 2):
            request = ask("addition", server.base_url, limit=limit)
            request = replace(request, model_args={**request.model_args, "batch_size": 1, "num_concurrent": 1})
            harness.evaluate(request, timeout_s=120, check=lambda: told.append(harness.requests()))
            told.append(harness.requests())
    assert told[-1] == (2, 2)
    assert {total for _, total in filter(None, told)} == {3, 2}
    second = told[told.index((3, 3)) :]
    assert None in second, "before it says anything itself, nothing is known of the second"


@pytest.mark.parametrize(("faults", "refused"), [((), False), (("error-every=7",), True)])
@pytest.mark.parametrize("concurrent", [1, 4])
def test_what_was_refused_and_sent_again_is_counted(
    harness: Harness, ask: Ask, faults: tuple[str, ...], refused: bool, concurrent: int
) -> None:
    """lm-eval asks once more and says so nowhere but in its log."""
    with running(*faults) as server:
        request = ask("addition", server.base_url)
        request = replace(request, model_args={**request.model_args, "batch_size": 2, "num_concurrent": concurrent})
        scores = harness.evaluate(request, timeout_s=120, check=unchecked)
    assert scores.metrics["exact_match,none"] == 1.0
    assert (scores.refused > 0) is refused
    assert not scores.lower_is_better


def test_of_which_metrics_less_is_better_is_told(harness: Harness, ask: Ask, tmp_path: Path) -> None:
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": False}
    write_task(tmp_path, items=4, metric_list=[metric])
    with running() as server:
        request = replace(ask("addition", server.base_url), task=TASK, task_dir=str(tmp_path))
        assert harness.evaluate(request, timeout_s=120, check=unchecked).lower_is_better == ("exact_match",)


@pytest.mark.long
@pytest.mark.e2e
def test_no_proxy_comes_between(ask: Ask, tmp_path: Path) -> None:
    """A proxy that nobody answers at, and a .netrc that knows the host: a worker that heeds them gets no score."""
    nowhere = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    environ = {
        **os.environ,
        "HTTP_PROXY": nowhere,
        "http_proxy": nowhere,
        "NETRC": str(tmp_path / ".netrc"),
        "OPENAI_API_KEY": "k",
    }
    with running(api_key="k") as server:
        request = ask("addition", server.base_url)
        request = replace(request, model_args={**request.model_args, "num_concurrent": 1, "timeout": 20})
        harness = Harness(environ=straight_to("127.0.0.1", environ), log_path=tmp_path / "lm_eval.log")
        try:
            assert harness.evaluate(request, timeout_s=120, check=unchecked).metrics["exact_match,none"] == 1.0
        finally:
            harness.stop()


@pytest.mark.parametrize("fault", ["no-logprobs"])
def test_an_answer_that_cannot_be_scored_is_no_score(harness: Harness, ask: Ask, fault: str) -> None:
    """Planted: a multiple-choice task on a server that leaves out the log-probabilities."""
    with running(fault) as server, pytest.raises(HarnessError, match="lm-eval failed") as caught:
        harness.evaluate(at(ask("sequences", ""), server), timeout_s=120, check=unchecked)
    assert "Traceback" in caught.value.hint
    assert len(caught.value.message.splitlines()) == 1


def test_a_server_that_refuses_everything_is_no_score(harness: Harness, ask: Ask) -> None:
    request = ask("addition", "")
    with running("error-all") as server, pytest.raises(HarnessError, match="lm-eval failed"):
        harness.evaluate(at(request, server), timeout_s=60, check=unchecked)


@pytest.mark.long
def test_a_server_that_dies_ends_the_wait_at_once(harness: Harness, ask: Ask) -> None:
    """`check` is what notices: lm-eval itself would go on repeating its requests."""

    class Lost(CheckFailed):
        pass

    with running("die-after=0") as server:  # twenty items are one request

        def alive() -> None:
            if server.process.poll() is not None:
                raise Lost

        with pytest.raises(Lost):
            harness.evaluate(ask("addition", server.base_url), timeout_s=120, check=alive)
        assert server.process.poll() == 17


@pytest.mark.long
def test_a_server_that_hangs_is_given_up_and_its_answer_is_not_taken_later(harness: Harness, ask: Ask) -> None:
    """Planted: a server that answers after our patience. The next score must be that of the next request."""
    with running("slow", ttft_ms=250) as slow, running("wrong-answers=1") as wrong:
        harness.evaluate(ask("addition", wrong.base_url, limit=1), timeout_s=120, check=unchecked)  # lm-eval is imported now
        began = time.monotonic()
        with pytest.raises(HarnessError, match="longer than the spec allows") as caught:
            harness.evaluate(ask("addition", slow.base_url), timeout_s=0.4, check=unchecked)
        assert caught.value.late_s > 0.4, "a busy machine may explain it"
        assert time.monotonic() - began < 9
        scores = harness.evaluate(ask("addition", wrong.base_url), timeout_s=120, check=unchecked)
    assert scores.metrics["exact_match,none"] == 0.0


def test_a_task_that_does_not_exist_is_named(harness: Harness, ask: Ask) -> None:
    with pytest.raises(HarnessError, match="no_such_task"):
        harness.evaluate(replace(ask("addition", "http://127.0.0.1:9"), task="no_such_task"), timeout_s=60, check=unchecked)


def test_a_worker_that_cannot_start_is_told_each_time_and_never_waited_for(ask: Ask, tmp_path: Path) -> None:
    """Planted: an interpreter without lm-eval. The second eval must not wait an hour for a process that is gone."""
    (tmp_path / "lm_eval.py").write_text("raise ImportError('no lm-eval here')")
    harness = Harness(environ={**os.environ, "PYTHONPATH": str(tmp_path)}, log_path=tmp_path / "log")
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(HarnessError, match="the lm-eval process ended") as caught:
            harness.evaluate(ask("addition", "http://127.0.0.1:9"), timeout_s=600, check=unchecked)
        assert time.monotonic() - began < 15
        assert "no lm-eval here" in caught.value.hint
    harness.stop()
    harness.stop()


def test_the_worker_ends_with_its_parent(tmp_path: Path) -> None:
    """Its input closes when the parent is gone, however that went."""
    (tmp_path / "lm_eval.py").write_text("import threading; threading.Event().wait()")
    worker = subprocess.Popen(
        [sys.executable, "-m", "hallmark.evals.lm_eval_worker"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
    )
    assert worker.stdin is not None
    assert worker.poll() is None
    worker.stdin.close()
    assert comes_true(lambda: worker.poll() is not None)


def test_a_request_names_tokenizer_path_and_limit(cell: Cell, ask: Ask) -> None:
    request = ask("sums", "http://127.0.0.1:8000", limit=7)
    assert request.model_type == "local-completions"
    assert request.model_args["base_url"] == "http://127.0.0.1:8000/v1/completions"
    assert request.model_args["tokenizer"] == cell.weights_source
    assert request.model_args["batch_size"] == 25
    assert (request.limit, Path(request.task_dir).is_dir()) == (7, True)


def at(request: EvalRequest, server: Faulty) -> EvalRequest:
    """The same request, to another server, without repeats: lm-eval waits seconds between them."""
    args = {**request.model_args, "base_url": server.base_url + "/v1/completions", "max_retries": 1}
    return replace(request, model_args=args)
