"""The fixtures that acceptance tests use. Each is a thin door to a floor below."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hallmark.core.gates import judged
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.plugin.cell_servers import CellServers
from hallmark.plugin.checks import Check
from hallmark.plugin.item_record import CHECK
from hallmark.plugin.outcome import NotMeasured
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget, PerfPoint

if TYPE_CHECKING:
    # Imported where they are used: collection should not pay for HTTP and tokenizer libraries.
    from hallmark.client.answer_watch import AnswerWatch
    from hallmark.client.free_text import FreeText
    from hallmark.client.offers import Offers
    from hallmark.client.oracle import TokenOracle
    from hallmark.client.same_answers import SameAnswers
    from hallmark.client.wire import WireClient
    from hallmark.environment.load_watch import LoadWatch
    from hallmark.environment.requirements import Finding
    from hallmark.serving.server import RunningServer
    from hallmark.serving.testbed import Testbed


def _servers(config: pytest.Config) -> CellServers:
    servers = config.pluginmanager.get_plugin("hallmark-servers")
    assert isinstance(servers, CellServers)
    return servers


def _items(count: int | None) -> str:
    return f", {count} items" if count else ""


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Check:
    """The recorder of this test's check: `check.observe(...)`, `check.equal(...)`, `check.add(Evidence(...))`."""
    recorder: Check = request.node.stash[CHECK]
    return recorder


@pytest.fixture
def testbed(cell: Cell, request: pytest.FixtureRequest) -> Testbed:
    """The cell's device, environment and server, each made ready when first needed."""
    return _servers(request.config).tools(cell.id).testbed


@pytest.fixture
def finding_of(testbed: Testbed) -> Callable[[str], Finding]:
    """Requirement id (`python.torch`) -> what was found in the server's environment."""
    testbed.write_environment()
    findings = {finding.id: finding for finding in testbed.findings}
    return lambda requirement: findings[requirement]


@pytest.fixture
def machine(cell: Cell, request: pytest.FixtureRequest) -> LoadWatch:
    """What else the machine does: `with machine.window() as window: ...`, then `window.load`."""
    return _servers(request.config).tools(cell.id).load


@pytest.fixture
def server(cell: Cell, request: pytest.FixtureRequest) -> RunningServer:
    """The cell's running server: one for all its checks, started when first needed, gone after the last of them."""
    return _servers(request.config).server_of(cell.id)


@pytest.fixture
def every_answer(cell: Cell, request: pytest.FixtureRequest) -> AnswerWatch:
    """What was noticed in the answers that the cell's checks have got so far."""
    return _servers(request.config).tools(cell.id).every_answer


@pytest.fixture
def client(cell: Cell, server: RunningServer, every_answer: AnswerWatch) -> Iterator[WireClient]:
    """Our own wire client, able to send wrong things; no exchange lasts longer than the cell gives it cause to."""
    from hallmark.client.deadlines import patience_of
    from hallmark.client.wire import WireClient

    endpoint = server.endpoint
    patience = patience_of(cell)
    with WireClient(endpoint.base_url, endpoint.model, api_key=endpoint.api_key, patience=patience, watch=every_answer) as wire:
        yield wire


@pytest.fixture
def offers(cell: Cell, server: RunningServer, request: pytest.FixtureRequest) -> Offers:
    """What the server offers besides OpenAI's reference: `client.body(prompt=..., **offers.only(ignore_eos=True))`."""
    return _servers(request.config).tools(cell.id).offers


@pytest.fixture
def unending(
    cell: Cell, client: WireClient, server: RunningServer, request: pytest.FixtureRequest
) -> Callable[..., dict[str, Any]]:
    """(tokens, endpoint="completions") -> the fields of a greedy request whose answer goes on for so many at least."""
    answers = _servers(request.config).tools(cell.id).long_answers
    return lambda tokens, endpoint="completions": answers.of(client, tokens, endpoint)


@pytest.fixture
def longest(
    cell: Cell, client: WireClient, server: RunningServer, request: pytest.FixtureRequest
) -> Callable[..., tuple[dict[str, Any], int]]:
    """(lengths, endpoint="completions") -> the fields of such a request, and the first of the lengths that can be had."""
    answers = _servers(request.config).tools(cell.id).long_answers
    return lambda lengths, endpoint="completions": answers.longest(client, lengths, endpoint)


@pytest.fixture
def wordy(
    cell: Cell, client: WireClient, server: RunningServer, request: pytest.FixtureRequest
) -> Callable[..., tuple[dict[str, Any], str]]:
    """(tokens, endpoint="completions") -> the fields of a greedy request, and the text that it is answered with."""
    answers = _servers(request.config).tools(cell.id).long_answers
    return lambda tokens, endpoint="completions": answers.with_text(client, tokens, endpoint)


@pytest.fixture
def free_text(cell: Cell, server: RunningServer, request: pytest.FixtureRequest) -> FreeText:
    """Texts drawn with the model's own probabilities, and the opening that it goes on with most freely (measured once)."""
    return _servers(request.config).tools(cell.id).free_text


@pytest.fixture
def same_answers(cell: Cell, server: RunningServer, request: pytest.FixtureRequest) -> SameAnswers:
    """The judge of "the same answer", with this server's noise: `check.add(judge_same(..., same_answers.noise))`."""
    return _servers(request.config).tools(cell.id).same_answers


@pytest.fixture
def runtime_client(cell: Cell, server: RunningServer, request: pytest.FixtureRequest) -> Iterator[WireClient]:
    """Our own wire client, speaking to the runtime sidecar; to the server itself where the cell has none."""
    from hallmark.client.wire import WireClient

    if not cell.impl.runtime:
        with WireClient(server.endpoint.base_url, server.endpoint.model, api_key=server.endpoint.api_key) as wire:
            yield wire
        return
    with WireClient(_servers(request.config).tools(cell.id).runtime.base_url, server.endpoint.model) as wire:
        yield wire


@pytest.fixture
def fingerprint(
    cell: Cell, client: WireClient, tokenizer: TokenOracle, testbed: Testbed, request: pytest.FixtureRequest
) -> Callable[[], list[Evidence]]:
    """Read what log-probabilities the server gives to some fixed texts, keep them, and hold them against the reference's; and
    how many greedy answers a batch changes.
    """
    from hallmark.client.fingerprints import answers_alone_and_together, take_fingerprint
    from hallmark.evals.fingerprints import determinism, judged_fingerprint, keep_fingerprint

    servers = _servers(request.config)
    tools, reference = servers.tools(cell.id), servers.session.references.get(cell.id)

    def run() -> list[Evidence]:
        found = take_fingerprint(client, tools.offers, tokenizer, context=cell.entry.max_context)
        keep_fingerprint(testbed.folder / "evals", found)
        same = determinism(answers_alone_and_together(client), reference, exact=tools.same_answers.exact)
        dtype = testbed.plan.value_of("dtype") or str(cell.entry.engine_args.get("dtype", ""))
        return [judged_fingerprint(found, reference, cell=cell.id, dtype=dtype), same]

    return run


@pytest.fixture
def evaluate(
    cell: Cell, testbed: Testbed, server: RunningServer, request: pytest.FixtureRequest
) -> Callable[[EvalTarget], list[Evidence]]:
    """Have lm-eval run one eval against the server, and its score judged by every gate."""
    from hallmark.evals.attribution import attribute, lost_items, ways_of
    from hallmark.evals.blocks import evaluate_in_blocks
    from hallmark.evals.harness import EvalRequest, EvalScores
    from hallmark.evals.paired import Compared
    from hallmark.evals.rejudged import follow_from_items
    from hallmark.evals.task import make_request, on_few_samples

    servers = _servers(request.config)
    reference = servers.session.references.get(cell.id)
    session, harness = servers.session, servers.tools(cell.id).harness

    def run(target: EvalTarget) -> list[Evidence]:
        session.progress(f"lm-eval: {target.task}{_items(session.options.limit or target.n)}")

        def look() -> None:
            server.require_alive()
            if counted := harness.requests():
                session.progress(f"lm-eval: {target.task}, {counted[0]} of {counted[1]} requests")

        def ask(request: EvalRequest) -> EvalScores:
            scores = harness.evaluate(request, timeout_s=target.timeout_s, check=look)
            servers.tools(cell.id).every_answer.add_plain(scores.answers)
            return scores

        asked = make_request(cell, target, server.endpoint, folder=testbed.folder / "evals", limit=session.options.limit)
        one = reference.evals.get(target.name) if reference else None
        if reference and one and one.may_end_early and session.options.may_stop_early:
            scores = evaluate_in_blocks(ask, asked, target, one, model=cell.model, title=reference.title)
        else:
            scores = ask(asked)
            if reference and one:
                compared = Compared.read(one, Path(asked.samples_path), few_shot=scores.few_shot, title=reference.title)
                scores = replace(scores, compared=compared)
        scores = replace(scores, from_items=follow_from_items(scores, target, Path(asked.samples_path)))
        found = list(judged("evals", cell, target, scores))
        if scores.compared and any(evidence.verdict is Verdict.FAIL for evidence in found):
            session.progress(f"asking again what {target.name} lost")
            tools = servers.tools(cell.id)
            ways = ways_of(tools.offers.client, tools.offers, tools.tokenizer, api=target.api)
            found.append(attribute(lost_items(Path(asked.samples_path), scores.compared), ways))
        return [on_few_samples(evidence) for evidence in found] if session.options.smoke else found

    return run


@pytest.fixture
def tokenizer(cell: Cell, request: pytest.FixtureRequest) -> TokenOracle:
    """The model's own tokenizer and chat template, read from its weights."""
    return _servers(request.config).tools(cell.id).tokenizer


def _adapters(cell: Cell, point: PerfPoint, request: pytest.FixtureRequest) -> AbstractContextManager[None]:
    """Has the adapters served of which a point has a share."""
    from hallmark.client.adapters import loaded, place_of

    if not point.shares or not point.shares.adapters:
        return nullcontext()
    places = {adapter.name: place_of(cell, adapter) for adapter in cell.lora if adapter.name in point.shares.adapters}
    return loaded(request.getfixturevalue("client"), places, by=request.getfixturevalue("runtime_client"))


@pytest.fixture
def measure(
    cell: Cell, server: RunningServer, tokenizer: TokenOracle, request: pytest.FixtureRequest
) -> Callable[[PerfPoint], list[Evidence]]:
    """Measure one perf point with our own load generator, have every judge look at it, and pytest-benchmark record it."""
    from hallmark.plugin.benchmark_record import PointRecorder
    from hallmark.plugin.point_run import PointRun

    servers, recorder = _servers(request.config), PointRecorder(request)
    if hasattr(request.config, "workerinput"):
        raise NotMeasured("performance cannot be measured under pytest-xdist: other workers share the machine")
    session = servers.session
    points = PointRun(tools=servers.tools(cell.id), progress=session.progress, smoke=session.options.smoke)

    def run(point: PerfPoint) -> list[Evidence]:
        with _adapters(cell, point, request):
            result, evidence = points.measured(point)
        recorder.record(result, evidence, cell=cell.id, point=point.name)
        return evidence

    return run
