"""Runs single checks of the suite against a stand-in, both in this process: what a run of pytest would make of them."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.free_text import FreeText
from hallmark.client.long_answers import LongAnswers
from hallmark.client.offers import Known, Offers
from hallmark.client.oracle import TokenOracle
from hallmark.client.same_answers import SameAnswers
from hallmark.client.wire import WireClient
from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import NotOffered
from hallmark.core.verdict import Verdict
from hallmark.plugin.checks import Check, CheckRef
from hallmark.plugin.outcome import Outcome, outcome_of
from hallmark.specs.cell import Cell
from selftests.faulty.faults import Faults
from selftests.faulty.server import StandIn, parse_arguments

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests" / "server"
WEIGHTS = ROOT / "fixtures" / "hallmark_tiny"
CONTEXT = 512


@cache
def _module(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"suite_{Path(file).stem}", SUITE / file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class OneCheck:
    """A check's test function, with the values of its parameters."""

    id: str
    run: Callable[..., None]
    parameters: Mapping[str, Any]
    needs: tuple[str, ...]


def checks_in(*files: str) -> dict[str, OneCheck]:
    """Id -> check, of test files of the suite."""
    return {check.id: check for file in files for check in _checks_of(_module(file))}


def _checks_of(module: ModuleType) -> Iterator[OneCheck]:
    for function in vars(module).values():
        marks = {mark.name: mark for mark in getattr(function, "pytestmark", ()) if inspect.isfunction(function)}
        if "check" not in marks:
            continue
        names, values = marks["parametrize"].args if "parametrize" in marks else ("", ("",))
        needs = marks["check"].kwargs.get("needs", ())
        for value in values:
            given = {names: value} if names else {}
            wanted = (needs,) if isinstance(needs, str) else needs
            id_ = _filled(marks["check"].args[0], given)
            yield OneCheck(id_, function, given, tuple(_filled(need, given) for need in wanted))


def _filled(text: str, given: Mapping[str, str]) -> str:
    """`text` with the values of the test's own parameters; what a cell alone can fill in is left."""
    for name, value in given.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def function_in(file: str, name: str) -> Callable[..., None]:
    """A test function of the suite."""
    function: Callable[..., None] = getattr(_module(file), name)
    return function


@contextmanager
def served(*faults: str, **options: object) -> Iterator[str]:
    """The base URL of a stand-in that serves in a thread of this process, as long as the context lasts."""
    flags = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    loop, ready = asyncio.new_event_loop(), threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        stand_in = StandIn(parse_arguments(["--max-model-len", str(CONTEXT), *flags]), Faults.parse(faults))
        listening = await asyncio.start_server(stand_in.connection, "127.0.0.1", 0, limit=2**24, backlog=512)
        port = listening.sockets[0].getsockname()[1]
        ready.set()
        await stopped.wait()
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    stopped = asyncio.Event()
    loop.set_exception_handler(lambda *_: None)  # connections that a client left open are dropped at the end
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(20)


@cache
def tokenizer() -> TokenOracle:
    return TokenOracle.from_folder(WEIGHTS)


class Suite:
    """The checks of some files, against one server."""

    def __init__(
        self, base_url: str, *, model: str = "stand-in", key: str = "", timeout_s: float = 60.0, cell: Cell | None = None
    ) -> None:
        self.every_answer = AnswerWatch()
        self.client = WireClient(base_url, model, api_key=key, timeout_s=timeout_s, watch=self.every_answer)
        self.offers = Offers(self.client)
        self.entry = entry = SimpleNamespace(max_context=CONTEXT, engine_args={})
        impl = SimpleNamespace(checks=())
        answers = LongAnswers(self.offers)
        self._fixtures: dict[str, Any] = {
            "client": self.client,
            "every_answer": self.every_answer,
            "offers": self.offers,
            "unending": lambda tokens, endpoint="completions": answers.of(self.client, tokens, endpoint),
            "longest": lambda lengths, endpoint="completions": answers.longest(self.client, lengths, endpoint),
            "wordy": lambda tokens, endpoint="completions": answers.with_text(self.client, tokens, endpoint),
            "free_text": FreeText(self.offers),
            "same_answers": SameAnswers(self.offers),
            "tokenizer": tokenizer(),
            "cell": cell or SimpleNamespace(entry=entry, impl=impl, model=model, id="cell"),
            "server": SimpleNamespace(endpoint=Endpoint(base_url=base_url, model=model, api_key=key)),
        }

    def add_fixtures(self, fixtures: Mapping[str, Any]) -> None:
        """More of what tests may ask for by name, or others in the place of those that are there."""
        self._fixtures |= fixtures

    def _require(self, needs: tuple[str, ...]) -> None:
        for need in needs:
            if (offer := self.offers(need)).known is Known.ABSENT:
                raise NotOffered(offer.reason)

    def run(self, one: OneCheck) -> tuple[Outcome, Check]:
        """What the check comes to, as the plugin would judge it."""
        check = Check(CheckRef(check=one.id, cell="cell", kind="server"))
        known = {**self._fixtures, **one.parameters, "check": check}
        try:
            self._require(one.needs)
            one.run(**{name: known[name] for name in inspect.signature(one.run).parameters})
            check.settle()
        except Exception as exc:  # whatever a check raises is judged
            return outcome_of(exc, during_call=True), check
        return Outcome(verdict=Verdict.PASS, reason=""), check

    def red(self, checks: Mapping[str, OneCheck]) -> dict[str, str]:
        """Check -> verdict and reason, of those that did not pass."""
        outcomes = {id_: self.run(one)[0] for id_, one in checks.items()}
        return {
            id_: f"{found.verdict}: {found.reason}"
            for id_, found in outcomes.items()
            if found.offered and found.verdict is not Verdict.PASS
        }


def bad(*faults: str, checks: Mapping[str, OneCheck], timeout_s: float = 60.0, **options: object) -> dict[str, str]:
    """Check -> verdict and reason, of those checks that did not pass against a stand-in that has the faults."""
    with served(*faults, **options) as base_url:
        return Suite(base_url, timeout_s=timeout_s).red(checks)
