"""A STAND-IN FOR SELFTESTS ONLY: an OpenAI-compatible server without a model that misbehaves on purpose.

    python server.py --port 8000 --model NAME [--fault NAME[=VALUE]]... [--ttft-ms 50 --itl-ms 5]

Flags that it does not know are ignored, so that a launcher can start it with vLLM's. Faults may also come in the
environment: STAND_IN_FAULTS="die-after=3 slow". `faults.py` lists them. Nothing in `tests/` may use it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Run as a script or as a top-level module, the repository's root is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from selftests.faulty import (
    answers,
    error_faults,
    isolation_faults,
    life_faults,
    logprob_faults,
    lora_faults,
    metrics_faults,
    only_openai,
    overload_faults,
    reasoning,
    sampling_faults,
    security_faults,
    stop_faults,
    streaming_faults,
    structured_faults,
    tools,
)
from selftests.faulty.command import parse_arguments, where_to_listen
from selftests.faulty.door import CHATS, COMPLETIONS, Knock, listed, require_admission
from selftests.faulty.dying import CRASH, crash
from selftests.faulty.faults import Faults
from selftests.faulty.jobs import Job, Refused, chat_text, in_common, lenient_job, parse_body, parse_job
from selftests.faulty.metrics import Metrics
from selftests.faulty.model import Model, decode, encode, token_text
from selftests.faulty.more_routes import MoreRoutes
from selftests.faulty.offered import require_offered
from selftests.faulty.responses import Responses
from selftests.faulty.waiting import ClientGone, trickle, until
from selftests.faulty.wire import STREAM_HEAD, Reply, chunk, event

BURNER = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Uses a core until its parent is gone."""


class StandIn:
    """One server: its options, its faults, and how many completions it was asked for."""

    def __init__(self, options: argparse.Namespace, faults: Faults) -> None:
        self.options = options
        self.faults = faults
        self.name = options.served_model_name or options.model
        slow = faults.number("slow") or 1.0
        idle = "slow" in faults and not (options.ttft_ms or options.itl_ms)
        self.ttft_s = (20.0 if idle else options.ttft_ms) * slow / 1000
        self.itl_s = (2.0 if idle else options.itl_ms) * slow / 1000
        self.model = Model(
            wrong_share=faults.number("wrong-answers"),
            ignores_seed=faults.text("nondeterministic"),
            seed_decides=faults.text("seed-decides"),
            sure="sure" in faults,
        )
        self.metrics = Metrics(
            slower=faults.number("slow-clock") or 1.0,
            extra_tokens=int(faults.number("miscounts-tokens")),
            chosen=faults.chosen,
        )
        responses = Responses(self.model, faults, options.max_model_len, lambda: self.answering_name)
        self.more = MoreRoutes(faults, responses, self._check_model, self.models)
        self.adapters: list[str] = []
        self.born = time.time()
        self.cans: dict[str, Reply] = {}
        self.prompts: defaultdict[str, list[tuple[int, ...]]] = defaultdict(list)
        self.past = isolation_faults.Past()
        self.jobs: list[Job] = []
        """What is being answered."""
        self.requests: set[str] = set()
        """The X-Request-Ids that came."""
        self.streams: set[asyncio.StreamWriter] = set()
        """Where something is being streamed to."""
        self.readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}
        """What comes from each client."""
        self.leaked = False
        self.ending = False  # told to end
        self.engine_died = self.engine_stands = self.engine_met_it = False
        self.asked = 0
        self.running = 0

    @property
    def said_name(self) -> str:
        return self.faults.text("wrong-model-name") or self.name

    @property
    def answering_name(self) -> str:
        return self.faults.text("answers-name") or self.said_name

    # -- HTTP

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.readers[writer] = reader
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip(" \t") for k, _, v in (line.partition(":") for line in head[1:])}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, target, _ = head[0].split(" ", 2)
                await self.answer(Knock(method, target, headers, body), writer)
                if headers.get("connection", "").lower() == "close":
                    break
                if "closes" in self.faults:
                    await writer.drain()
                    await asyncio.sleep(self.faults.number("closes") / 1000)
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            del self.readers[writer]
            writer.close()

    async def answer(self, knock: Knock, writer: asyncio.StreamWriter) -> None:
        path = knock.routed(self.faults)
        runs = knock.method == "POST" or (knock.method == "PUT" and "open-methods" in self.faults)
        completions = path in (*COMPLETIONS, *CHATS) and runs
        try:
            require_admission(knock, self.options.api_key, self.faults)
            await life_faults.require_engine(self, path)
            if "only-openai" in self.faults:
                only_openai.require_route(knock.method, path)
            if more := self.more.answer(knock.method, path, knock.body):
                return writer.write(more)
            if not completions:
                reply = error_faults.misdirected(self.plain(knock.method, path, knock.body), self.faults)
                return self._send(writer, reply, headless=knock.method == "HEAD")
            if reply := error_faults.broken(knock.headers, knock.body, self.faults):
                return self._send(writer, reply)
            if await security_faults.fetch_media(knock.body, self.faults):
                return await self.complete(lenient_job(chat=True), writer)
            self._require_first(knock.headers.get("x-request-id", ""))
            job = self._job(knock.body, chat=path in CHATS)
            job = replace(job, compressed="gzip" in knock.headers.get("accept-encoding", ""))
            await self.complete(self._cached(job) if "prefix-cache" in self.faults else job, writer)
        except Refused as refused:
            if "dies-on-bad-request" in self.faults and completions and refused.status < 500:
                os._exit(CRASH)
            self._after_refusal()
            if "streams-errors" in self.faults and completions and knock.streams:
                writer.write(STREAM_HEAD + event(refused.body) + b"0\r\n\r\n")
                return None
            if "echoes-key" in self.faults and refused.status != 401:
                refused.body["error"]["message"] += f" (asked with {knock.headers.get('authorization')})"
            self._send(writer, self._refusal(refused), headless=knock.method == "HEAD")

    def _require_first(self, request: str) -> None:
        if request in self.requests and "loses-same-request-ids" in self.faults:
            raise Refused("a request of that id is running", 500)
        self.requests.update([request] if request else [])

    def forget(self) -> None:
        """From now on its answers are other ones."""
        self.model = replace(self.model, wrong_share=1.0)

    def _after_refusal(self) -> None:
        if "bad-requests-stick" in self.faults:
            self.forget()
        if "bad-requests-cut-streams" in self.faults:
            for stream in self.streams:
                stream.transport.abort()

    def _send(self, writer: asyncio.StreamWriter, reply: Reply, *, headless: bool = False) -> None:
        """`headless`: an answer to HEAD, which has no body."""
        writer.write(reply.head() + (b"" if headless else reply.body))

    def _refusal(self, refused: Refused) -> Reply:
        if "plain-text-errors" in self.faults:
            return Reply(refused.status, str(refused).encode(), "text/plain; charset=utf-8")
        counts = {"usage": {"completion_tokens": 1}} if refused.status == 401 and "refusal-counts" in self.faults else {}
        return Reply.json({**error_faults.refusal(refused.body, self.faults), **counts}, refused.status)

    def plain(self, method: str, path: str, body: bytes) -> Reply:
        """Every endpoint that generates nothing."""
        match method, path:
            case "GET", "/health":
                return Reply(503 if "listen-but-not-healthy" in self.faults else 200, b"", "text/plain")
            case "GET", "/version":
                return Reply.json({"version": self.faults.text("wrong-version") or self.options.version})
            case "GET", "/openapi.json":
                return Reply.json(listed(self.faults), int(self.faults.number("probes-fail")) or 200)
            case "GET", "/v1/models":
                return Reply.json({"object": "list", "data": self.models()})
            case "GET", "/metrics":
                text = (
                    self.metrics.text(running=self.running, asked=self.asked, preempted=self.past.preempted)
                    + f"process_start_time_seconds {self.born}\n"
                )
                return Reply(200, b"" if "no-metrics" in self.faults else text.encode(), "text/plain; version=0.0.4")
            case "POST", "/v1/load_lora_adapter" | "/v1/unload_lora_adapter":
                return self._adapter(str(parse_body(body).get("lora_name")), comes="/load" in path)
            case "POST", "/tokenize":
                return self._tokenize(parse_body(body))
            case "POST", "/detokenize":
                return Reply.json({"prompt": decode(parse_body(body).get("tokens", []))})
        levers = security_faults.LEVERS if "development-routes" in self.faults else ()
        if path in (*COMPLETIONS, *CHATS, *levers, "/health", "/v1/models", "/tokenize", "/detokenize"):
            return Reply.json({"detail": "Method Not Allowed"}, 405)
        return Reply.json({"detail": "Not Found"}, 404)

    def models(self) -> list[dict[str, Any]]:
        more = [{"id": name, "object": "model", "parent": self.name} for name in self.adapters]
        return [] if "lists-no-model" in self.faults else [self._entry(), *more]

    def _entry(self) -> dict[str, Any]:
        """The model as /v1/models lists it."""
        if "only-openai" in self.faults:
            return {"id": self.said_name, "object": "model", "created": int(self.born), "owned_by": "stand-in"}
        length = self.options.max_model_len
        if "context-length" in self.faults:
            length = json.loads(self.faults.text("context-length"))
        root = {} if "no-root" in self.faults else {"root": self.options.model}
        if "dimensions" in self.faults:
            root["meta"] = json.loads(self.faults.text("dimensions"))
        return {"id": self.said_name, "object": "model", "owned_by": "stand-in", "max_model_len": length, **root}

    def _adapter(self, name: str, *, comes: bool) -> Reply:
        if comes:
            if "lora-refused" in self.faults:
                raise Refused(f"adapter {name} cannot be loaded, on purpose")
            self.adapters.append(name)
            self.leaked = "lora-leaks" in self.faults
        elif name not in self.adapters:
            raise Refused(f"adapter {name} is not loaded", 404)
        elif "lora-sticks" not in self.faults:
            self.adapters.remove(name)
        return Reply(200, f"Success: {name}".encode(), "text/plain; charset=utf-8")

    def _tokenize(self, body: dict[str, Any]) -> Reply:
        text = chat_text(body["messages"]) if "messages" in body else body.get("prompt")
        if not isinstance(text, str):
            raise Refused("prompt must be a string", param="prompt")
        ids = encode(text)
        strings = [token_text(i) for i in ids] if body.get("return_token_strs") else None
        return Reply.json({"count": len(ids), "max_model_len": self.options.max_model_len, "tokens": ids, "token_strs": strings})

    # -- completions

    def _job(self, raw: bytes, *, chat: bool) -> Job:
        try:
            body = parse_body(raw)
            if "tool-results-dropped" in self.faults and isinstance(body.get("messages"), list):
                body["messages"] = [one for one in body["messages"] if not (isinstance(one, dict) and one.get("role") == "tool")]
            self._check_model(body.get("model"))
            if "only-openai" in self.faults:
                only_openai.require_known(body, chat=chat)
            if "offers-only" in self.faults:
                require_offered(body, chat=chat, offered=frozenset(self.faults.text("offers-only").split("+")))
            body = reasoning.checked(body, self.faults)
            body = logprob_faults.checked(sampling_faults.checked(body, self.faults.chosen), self.faults.chosen)
            job = parse_job(body, chat=chat, context=error_faults.context(self.options.max_model_len, self.faults))
            job = streaming_faults.job_of(error_faults.met(job, body, self.faults), body, self.faults.chosen)
            job = stop_faults.job_of(job, body, self.faults.chosen, others=self.jobs)
            job = sampling_faults.job_of(job, body, self.faults.chosen, others=self.jobs, number=self.asked)
            job = logprob_faults.job_of(job, self.faults.chosen)
            job = isolation_faults.job_of(job, self.faults.chosen, others=self.jobs, past=self.past, number=self.asked)
            job = replace(job, forced=structured_faults.forced(body, self.faults))
            if chat and (made := tools.planned(body, self.faults)):
                job = replace(job, calls=made[0], forced=made[1])
            job = reasoning.job_of(job, body, self.faults)
            job = security_faults.read(error_faults.read(job, self.faults), self.faults)
            return lora_faults.job_of(job, body, self.faults.chosen, self.adapters, others=self.jobs, read=self.past.readers)
        except Refused as refused:
            if "accepts-bad-requests" in self.faults or self._forgives(refused):
                return lenient_job(chat)
            raise

    def _forgives(self, refused: Refused) -> bool:
        if structured_faults.breaks(refused, self.faults):
            refused.status = 500
        return any(area.forgiven(refused, self.faults) for area in (error_faults, structured_faults, tools))

    def _check_model(self, asked: object) -> None:
        if asked is not None and not isinstance(asked, str):
            raise Refused("model must be a string", param="model")
        if asked not in (None, self.name, self.said_name, *self.adapters):
            raise Refused(f"The model `{asked}` does not exist.", 404, "model")

    def _cached(self, job: Job) -> Job:
        """`job` with what the cache holds of its first prompt, which it then holds whole; that of each adapter is apart."""
        prompt = job.prompts[0]
        known = self.prompts["" if "lora-shares-cache" in self.faults else job.adapter]
        common = max((in_common(prompt, other) for other in known), default=0)
        known.append(prompt)
        return replace(job, cached=common)

    async def complete(self, job: Job, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        if "closes-unanswered" in self.faults:
            raise ConnectionError("closed on purpose")
        if "error-all" in self.faults:
            raise Refused("broken on purpose", int(self.faults.number("error-all")))
        if "error-after" in self.faults and self.asked > self.faults.number("error-after"):
            raise Refused("broken on purpose", 500)
        if "error-every" in self.faults and self.asked % self.faults.number("error-every") == 0:
            raise Refused("broken on purpose", 500)
        if "stuck" in self.faults and self.asked > self.faults.number("stuck"):
            await asyncio.Event().wait()
        overload_faults.require_room(self.running, self.faults.chosen)
        if overload_faults.exceeds("overload-loses", self.running, self.faults.chosen):
            await until(math.inf, lambda: self._gone(writer))
        self.metrics.held_up_s = overload_faults.held_up_s(self.metrics.held_up_s, self.running, self.faults.chosen)
        began = time.monotonic()
        job = structured_faults.at_once(job, self.jobs, self.faults)
        subtracts = (bool(job.adapter) and "lora-ignored" not in self.faults) or self.leaked
        model = replace(self.model, subtracts=subtracts)
        outputs = [
            answers.produce(job, prompt=prompt, index=index, model=model, faults=self.faults)
            for prompt in job.prompts
            for index in range(job.n)
        ]
        self.running += 1
        self.jobs.append(job)
        self.streams.update([writer] if job.stream else [])
        gone = False
        try:
            await (self._stream if job.stream else self._whole)(job, outputs, writer=writer, began=began)
        except ClientGone as left:
            gone = True
            self.metrics.given_up(job, made=left.made, took_s=time.monotonic() - began, beside=len(self.jobs))
            raise
        finally:
            self.running -= 1
            self.jobs.remove(job)
            self.past.aborted = gone or writer.is_closing()
            self.streams.discard(writer)

    @property
    def _dies_now(self) -> bool:
        return "die-after" in self.faults and self.asked > self.faults.number("die-after")

    async def _whole(self, job: Job, outputs: Sequence[answers.Output], *, writer: asyncio.StreamWriter, began: float) -> None:
        longest = max(len(o.ids) for o in outputs) if outputs else 0
        first_s = self.ttft_s + self.metrics.held_up_s
        await self._until(began + first_s + self.itl_s * max(0, longest - 1), job, writer)
        told = answers.whole(job, outputs, name=self.answering_name, model=self.model, faults=self.faults)
        reply = Reply.json(reasoning.whole_of(told, job, self.faults))
        if "canned" in self.faults:
            reply = self.cans.setdefault(repr(job), reply)
        if "latin-1" in self.faults:
            reply = Reply(reply.status, reply.body.replace(b'"text": "', b'"text": "\xe9', 1))
        if self._dies_now:
            writer.write(reply.head() + reply.body[: len(reply.body) // 2])
            await crash(writer)
        if "body-trickles" in self.faults:
            await trickle(writer, reply.head(), b" ", every_s=0.5)
        self._send(writer, reply)
        moments = [began + self.ttft_s + self.itl_s * place for place in range(sum(len(o.ids) for o in outputs))]
        self._count(job, outputs, [began, *moments, time.monotonic()])

    def _count(self, job: Job, outputs: Sequence[answers.Output], moments: Sequence[float]) -> None:
        lengths, reasons = [len(o.ids) for o in outputs], [o.finish_reason for o in outputs]
        self.metrics.answered(job, lengths=lengths, reasons=reasons, moments=moments)

    async def _stream(self, job: Job, outputs: Sequence[answers.Output], *, writer: asyncio.StreamWriter, began: float) -> None:
        if "head-trickles" in self.faults:
            await trickle(writer, b"HTTP/1.1 200 OK\r\nx-slow: ", b"x")
        writer.write(STREAM_HEAD)
        if "trickles" in self.faults:
            await trickle(writer, b"", chunk(b": wait\n\n"))
        if self.faults.text("truncate-stream") == "head":
            raise ConnectionError("closed on purpose")
        right = answers.chunks(
            job,
            outputs,
            name=self.answering_name,
            model=self.model,
            faults=self.faults,
            per_event=self.options.tokens_per_event,
        )
        bodies = streaming_faults.stream_of(logprob_faults.stream_of(right, self.faults.chosen), job, self.faults.chosen)
        bodies = life_faults.stream_of(reasoning.stream_of(bodies, job, self.faults), self)
        total = sum(len(o.ids) for o in outputs)
        sent, first = 0, 0.0
        first_s = self.ttft_s + self.metrics.held_up_s
        moments: list[float] = []
        for tokens, body in bodies:
            await self._until(began + first_s + self.itl_s * (sent + tokens - 1) if tokens else 0, job, writer, made=sent)
            if sent * 2 >= total and sent and await self._spoils(writer):
                return
            if not self._gone(writer):
                writer.write(event(body))
            first = first or (time.monotonic() if tokens else 0.0)
            sent += tokens
            moments += [time.monotonic()] * tokens
            if sent % 64 == 0 and not self._gone(writer):
                await writer.drain()
        if "trickles-late" in self.faults:
            await trickle(writer, b"", chunk(b": wait\n\n"))
        late = (chunk(b"data: " + data + b"\n\n") for data in streaming_faults.after_done(self.faults.chosen))
        writer.write(b"".join([chunk(b"data: [DONE]\n\n"), *late]))
        if "stays-open" in self.faults:
            await asyncio.Event().wait()
        writer.write(b"0\r\n\r\n")
        self._count(job, outputs, [began, *moments, time.monotonic()])
        self._log_times(began=began, first=first, last=time.monotonic(), tokens=total)
        await writer.drain()

    def _gone(self, writer: asyncio.StreamWriter) -> bool:
        """Whether nobody waits for the answer any more."""
        return writer.is_closing() or self.readers[writer].at_eof()

    async def _until(self, moment: float, job: Job, writer: asyncio.StreamWriter, *, made: int = 0) -> None:
        """Waits, as long as the client does; ClientGone where that is no longer. `made`: tokens up to now."""
        runs_on = metrics_faults.runs_on(job, self.faults.chosen)
        await until(moment, lambda: not runs_on and self._gone(writer), made=made)
        if made or not job.stream:
            await life_faults.await_end(self, job)
        if self.engine_stands or (self.engine_died and "engine-death-untold" in self.faults):
            await life_faults.require_engine(self, "/v1/completions")

    async def _spoils(self, writer: asyncio.StreamWriter) -> bool:
        """Half-way through a stream: True when a fault has ended it."""
        if self._dies_now:
            await crash(writer)
        if "sse-error" in self.faults:
            error = {"error": {"message": "broken on purpose", "type": "InternalServerError", "param": None, "code": 500}}
            writer.write(event(error) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            return True
        if overload_faults.exceeds("overload-ends-streams", self.running, self.faults.chosen):
            writer.write(b"0\r\n\r\n")
            return True
        if "truncate-stream" not in self.faults:
            return False
        if self.faults.text("truncate-stream") == "abort":
            await writer.drain()
            writer.transport.abort()
        else:
            writer.write(b"0\r\n\r\n")
        return True

    def _log_times(self, **times: float) -> None:
        if self.options.time_log:
            with Path(self.options.time_log).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(times) + "\n")


async def serve(options: argparse.Namespace, faults: Faults) -> None:
    stand_in = StandIn(options, faults)
    engine = asyncio.ensure_future(life_faults.watch_engine(stand_in, options.engine))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        if "ignore-sigterm" not in faults:
            loop.add_signal_handler(number, stopped.set)
    listening = None
    if "hang-at-start" not in faults:
        listening = await asyncio.start_server(stand_in.connection, limit=2**24, backlog=512, **where_to_listen(options, faults))
        print(
            f"stand-in for selftests: {stand_in.name} on {options.host}:{options.port}, faults {dict(faults.chosen)}", flush=True
        )
    await stopped.wait()
    await life_faults.last_words(stand_in, listening)
    engine.cancel()


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_arguments(sys.argv[1:] if argv is None else argv, __doc__ or "")
    faults = Faults.parse([*options.fault, os.environ.get("STAND_IN_FAULTS", "")])
    if "ignore-sigterm" in faults:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "spawn-child" in faults:
        print(f"child {subprocess.Popen(['sleep', '600']).pid}", flush=True)
    for _ in range(int(faults.number("burns"))):
        subprocess.Popen([sys.executable, "-S", "-c", BURNER])
    options.engine = life_faults.fork_engine(faults)
    if "exit-at-start" in faults:
        print("stand-in for selftests: cannot start, on purpose", file=sys.stderr, flush=True)
        sys.exit(int(faults.number("exit-at-start")))
    if "slow-start" in faults:
        time.sleep(faults.number("slow-start"))
    asyncio.run(serve(options, faults))


if __name__ == "__main__":
    main()
