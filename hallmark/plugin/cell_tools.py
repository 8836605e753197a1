"""What the tests of one cell share: its testbed with the server, lm-eval, the tokenizer. Each is made when first asked for.

They are held here and not by session-scoped fixtures, for which pytest would regroup ten thousand checks at collection.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.deadlines import patience_of
from hallmark.client.free_text import FreeText
from hallmark.client.kept_answers import keep, take_up
from hallmark.client.long_answers import LongAnswers
from hallmark.client.offers import Offers
from hallmark.client.oracle import TokenOracle, oracle_of
from hallmark.client.same_answers import SameAnswers
from hallmark.client.wire import WireClient
from hallmark.core.load import LOAD_FILE
from hallmark.core.redact import Redactor
from hallmark.environment.load_watch import LoadWatch
from hallmark.evals.harness import Harness, straight_to
from hallmark.plugin.options import API_KEY_VARIABLE, JWT_VARIABLE, Options
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.runtime import RuntimeSidecar
from hallmark.serving.server import Death, RunningServer
from hallmark.serving.site import TestbedSettings
from hallmark.serving.testbed import Testbed
from hallmark.specs.cell import Cell

BATCH_INVARIANT = "VLLM_BATCH_INVARIANT"
"""A spec that sets this variable declares that an answer does not depend on what is computed beside it."""


class CellTools:
    """Lives where the tests run: in an xdist worker, if there are such."""

    def __init__(self, cell: Cell, testbed: Testbed, *, on_death: Callable[[Death], None]) -> None:
        self.cell = cell
        self.testbed = testbed
        self.load = LoadWatch(testbed.folder / LOAD_FILE, lambda: testbed.server_processes).start()
        self.every_answer = AnswerWatch()
        """Sees what all clients of the cell's checks are answered."""
        take_up(self.every_answer, testbed.folder)
        self._kept_answers = self.every_answer.answers
        self._on_death = on_death

    @cached_property
    def server(self) -> RunningServer:
        """The running server; started when first asked for."""
        running = self.testbed.server
        running.on_death(self._on_death)
        return running

    @cached_property
    def offers(self) -> Offers:
        """What the running server offers, found out when first asked for."""
        endpoint = self.server.endpoint
        patience = patience_of(self.cell)
        return Offers(
            WireClient(endpoint.base_url, endpoint.model, api_key=endpoint.api_key, patience=patience, watch=self.every_answer)
        )

    @cached_property
    def long_answers(self) -> LongAnswers:
        """How to ask the running server for an answer of any length."""
        return LongAnswers(self.offers)

    @cached_property
    def free_text(self) -> FreeText:
        """Texts that the running server draws freely."""
        return FreeText(self.offers)

    @cached_property
    def same_answers(self) -> SameAnswers:
        """The judge of whether two answers of the running server are the same; it measures the server's noise once."""
        return SameAnswers(self.offers, exact=self.cell.env_vars.get(BATCH_INVARIANT) == "1")

    @cached_property
    def harness(self) -> Harness:
        """lm-eval, importing in a process of its own."""
        endpoint = self.testbed.plan.endpoint
        environ = straight_to(urlsplit(endpoint.base_url).hostname or "", os.environ)
        if key := endpoint.api_key:
            environ["OPENAI_API_KEY"] = key
        local = all(target.task_dir for target in self.cell.evals)
        return Harness(environ=environ, log_path=self.testbed.folder / "evals" / "lm_eval.log", offline=local)

    @cached_property
    def runtime(self) -> RuntimeSidecar:
        """The runtime sidecar beside the server."""
        folders = [self.cell.beside_spec(adapter.path).parent for adapter in self.cell.lora if adapter.path]
        return RuntimeSidecar(
            self.server.endpoint,
            pod=self.cell.id,
            roots=[*dict.fromkeys(folders), self.testbed.folder],
            environ=os.environ,
            log_path=self.testbed.folder / "runtime.log",
        )

    def keep_answers(self, redact: Callable[[str], str]) -> None:
        """Write down what was noticed in them, where there are more by now."""
        if self.every_answer.answers > self._kept_answers:
            self._kept_answers = self.every_answer.answers
            keep(self.every_answer, self.testbed.folder, redact)

    def prepare_evals(self) -> None:
        """Start lm-eval now: it imports for seconds, which pass while the server starts."""
        _ = self.harness

    @cached_property
    def tokenizer(self) -> TokenOracle:
        """The model's own tokenizer and chat template, read from its weights."""
        return oracle_of(self.cell)

    def close(self) -> None:
        """End lm-eval and the sidecar, and stop the server, where they run; safe to call twice."""
        for name in ("harness", "runtime"):
            if made := vars(self).get(name):
                made.stop()
        if offers := vars(self).get("offers"):
            offers.client.close()
        self.testbed.close()
        self.load.stop()


def make_testbed(
    cell: Cell,
    options: Options,
    *,
    folder: Path,
    root: Path,
    redactor: Redactor,
    progress: Callable[[str], None],
    say: Callable[[str], None],
) -> Testbed:
    """The testbed of `cell`, as the command line and this process's environment want it."""
    settings = TestbedSettings(
        server=options.server,
        launch=LaunchSettings(
            port=options.port,
            server_url=options.server_url,
            api_key=os.environ.get(API_KEY_VARIABLE, ""),
            engine_args=options.engine_args,
            env_vars=options.server_env,
            environment_args=options.environment_args,
            leased=options.leased,
            device_wait_s=options.device_wait_s,
            server_wait_s=options.server_wait_s,
            strict_config=options.strict_config,
        ),
        server_python=options.server_python,
        image=options.image,
        install_missing=options.install_missing,
        jwt_secret=os.environ.get(JWT_VARIABLE, ""),
        environments=root / ".hallmark" / "environments",
    )
    return Testbed(cell, settings, folder=folder, environ=os.environ, progress=progress, say=say, redact=redactor)
