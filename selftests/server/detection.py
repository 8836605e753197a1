"""Measures which checks each planted fault turns red: `python -m selftests.server.detection --missing` (or names of faults).

All checks ask one server, as in a run; each fault has a server of its own. What was seen is kept in detection.json, and
tests/server/DETECTION.md is made from that. `--all` measures everything anew, which takes half an hour of one processor.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hallmark.client.wire import WireClient
from hallmark.core.endpoint import Endpoint
from hallmark.core.load import Place
from hallmark.core.verdict import Verdict
from hallmark.environment.load import ServerProcesses
from hallmark.environment.load_watch import LoadWatch
from hallmark.environment.served_weights import TokenizerFiles, WeightsFiles
from hallmark.serving.runtime import RuntimeSidecar
from hallmark.specs.suites import Suite as DeclaredSuite
from selftests.faulty import MODEL, running
from selftests.server.checking import CONTEXT, SUITE, WEIGHTS, OneCheck, Suite, checks_in, served, tokenizer
from selftests.server.detection_page import PAGE, RECORD, Measured, page, read_measured, write_measured
from selftests.server.planted import BUSY, LIFE, REASONS, SERVES, SIDECAR_PACE, THINKS, Planting, plantings
from selftests.server.running_checks import make_cell
from selftests.server.started import started

KEY = "the-key-of-the-detection-table"
CLEAN = Planting(fault="", beside=("prefix-cache",))
CLEAN_TOO = (
    Planting(fault="", pace=SIDECAR_PACE, files=("test_runtime.py",), sidecar=True),
    Planting(fault="", files=(REASONS,), beside=(THINKS,)),
    Planting(fault="", **BUSY),
    Planting(fault="", ends=True, only="life.told-to-end", files=LIFE),
    *(Planting(fault="engine", ends=True, only=f"life.engine-{only}", files=LIFE) for only in ("killed", "stands-still")),
)
"""The clean twins of servers that are not asked everything."""
CASE = {"prompt": "57+23=", "expected": "34", "without": "80", "max_tokens": 8}
ADAPTER = {
    "name": "subtract",
    "path": "../adapter",
    "checks": [CASE, CASE | {"prompt": "78+47=", "expected": "31", "without": ""}],
}
TOKENIZER_FILES = {"vocab_size": 261, "special_tokens": {"eos_token": "<|end|>"}, "chat_template": True}
SPEC = {"weights": {"tokenizer": TOKENIZER_FILES, "lora": [ADAPTER]}}


def all_checks(files: Sequence[str] = ()) -> dict[str, OneCheck]:
    """The checks of some files, or of all, in the order of checks.txt, whatever they need."""
    order = [check.id for check in DeclaredSuite(SUITE.parent).checks]
    found = checks_in(*(files or sorted(path.name for path in SUITE.glob("test_*.py"))))

    def place(id_: str) -> tuple[bool, int]:
        marks = vars(found[id_].run)["pytestmark"]
        last = any(mark.kwargs.get("last") for mark in marks if mark.name == "check")
        return last, next((n for n, pattern in enumerate(order) if fits(id_, pattern)), len(order))

    return {id_: replace(found[id_], needs=()) for id_ in sorted(found, key=place)}


def fits(id_: str, pattern: str) -> bool:
    """Whether a check's id is of a declared one, whose parameters stand in braces."""
    return bool(re.fullmatch(re.sub(r"\\\{.*?\\\}", ".+", re.escape(pattern)), id_))


@contextmanager
def server_of(planting: Planting) -> Iterator[str]:
    """The base URL of a server that has the fault, a key, and its pace."""
    faults = [*SERVES, *planting.beside, *([planting.fault] if planting.in_server else [])]
    options = {"api_key": KEY, "model": str(WEIGHTS), "served_model_name": MODEL, **planting.pace}
    if planting.dies:
        with running(*faults, max_model_len=CONTEXT, **options) as faulty:
            yield faulty.base_url
    else:
        with served(*faults, **options) as url:
            yield url


@contextmanager
def suite_of(url: str, planting: Planting) -> Iterator[Suite]:
    """The checks' fixtures, those of identity, adapters and the sidecar among them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "adapter").mkdir()
        cell = make_cell(folder / "specs", **(SPEC | dict(planting.spec)))
        suite = Suite(url, key=KEY, timeout_s=planting.timeout_s, cell=cell)
        stack.callback(suite.client.close)
        more: dict[str, Any] = {
            "server": SimpleNamespace(endpoint=Endpoint(base_url=url, model=MODEL, api_key=KEY), started_in_s=0.0),
            "testbed": SimpleNamespace(**(seen_of_a_right_one() | dict(planting.seen))),
            "runtime_client": suite.client,
            "lora_adapter": next(iter(cell.lora), None),
            "adapter_path": str(folder / "adapter"),
        }
        if planting.sidecar:
            log = folder / "sidecar.log"
            endpoint = Endpoint(base_url=url, model=MODEL, api_key=KEY)
            sidecar = RuntimeSidecar(endpoint, pod="cell", roots=[folder], environ={}, log_path=log)
            stack.callback(sidecar.stop)
            more["runtime_client"] = stack.enter_context(WireClient(sidecar.base_url, MODEL))
            more["machine"] = LoadWatch(folder / "load.jsonl", lambda: ServerProcesses(place=Place.ELSEWHERE)).start()
            stack.callback(more["machine"].stop)
        suite.add_fixtures(more)
        yield suite


def seen_of_a_right_one() -> dict[str, Any]:
    """What a testbed sees of a server that is as the spec says."""
    nothing_wrong = {"argument_differences": (), "corrupt_weights": (), "foreign_libraries": ()}
    return {"attached": False, "weights_files": weights_files(), **nothing_wrong}


def weights_files() -> WeightsFiles:
    """Of hallmark-tiny, whose tokenizer the stand-in has."""
    config = json.loads((WEIGHTS / "config.json").read_text(encoding="utf-8"))
    size = tokenizer().size
    found = TokenizerFiles(vocab_size=size, base_vocab_size=size, special_tokens={"eos_token": "<|end|>"}, chat_template=True)
    return WeightsFiles(folder=str(WEIGHTS), config=config, tokenizer=found, reasons={})


def measure(planting: Planting) -> Measured:
    """Which checks the fault turns red, and at which rarer rate still."""
    red = red_of(planting)
    for other in () if planting.fault else CLEAN_TOO:
        red |= red_of(other)
    seen = ""
    for rate in planting.rarer if red else ():
        if not red_of(replace(planting, fault=f"{planting.name}={rate}")):
            break
        seen = str(rate)
    return Measured(red=tuple(red), says=next(iter(red.values()), ""), rarest=seen)


def red_of(planting: Planting) -> dict[str, str]:
    """Check -> what it says, of those that fail; RuntimeError where one could not be carried out, which is our own fault."""
    red = {}
    with ExitStack() as stack:
        if planting.ends:
            suite = stack.enter_context(started(*([planting.fault] if planting.fault else [])))
        else:
            suite = stack.enter_context(suite_of(stack.enter_context(server_of(planting)), planting))
        for id_, one in tried(planting).items():
            found = suite.run(one)[0]
            if found.verdict is Verdict.ERROR:
                raise RuntimeError(f"{planting.fault}: {id_} could not be carried out: {found.reason}")
            if found.verdict is Verdict.FAIL:
                red[id_] = found.reason.splitlines()[0].replace(str(SUITE.parents[1]), "...")[:200]
                if planting.dies:
                    break
    return red


def tried(planting: Planting) -> dict[str, OneCheck]:
    """The checks that a planting is tried on."""
    left_out = "" if planting.tried_on else "server.reasoning."
    checks = all_checks(planting.tried_on)
    return {
        id_: one
        for id_, one in checks.items()
        if planting.only in id_
        and not (left_out and id_.startswith(left_out))
        and planting.ends == id_.startswith("server.life.")
        and (planting.sidecar or not id_.startswith("server.runtime-"))
    }


@dataclass
class Progress:
    """Says on stderr what is done."""

    of: int
    done: int = field(default=0)

    def say(self, planting: Planting, found: Measured) -> None:
        self.done += 1
        name = planting.fault or "the clean twin"
        print(f"{self.done} of {self.of}: {name}: {len(found.red)} red", file=sys.stderr, flush=True)


def measured(wanted: Sequence[Planting], *, jobs: int) -> Iterator[tuple[Planting, Measured]]:
    """Each as it is done; so many at the same time, each in a process of its own."""
    progress = Progress(len(wanted))
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        running_ = {pool.submit(measure, one): one for one in wanted}
        for future in as_completed(running_):
            if trouble := future.exception():
                print(f"{running_[future].fault}: not measured: {trouble}", file=sys.stderr, flush=True)
                continue
            progress.say(running_[future], future.result())
            yield running_[future], future.result()


def chosen(arguments: argparse.Namespace, known: Mapping[str, Measured]) -> list[Planting]:
    every = list(plantings())
    if arguments.all:
        return every
    if arguments.missing:
        return [one for one in every if one.fault not in known]
    return [one for one in every if one.fault in arguments.faults or one.name in arguments.faults]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("faults", nargs="*", help="measure these")
    parser.add_argument("--missing", action="store_true", help="measure those that were not measured yet")
    parser.add_argument("--all", action="store_true", help="measure all anew")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args(argv)
    record = read_measured(RECORD)
    wanted = chosen(arguments, record)
    for planting, found in measured([CLEAN, *wanted], jobs=arguments.jobs):
        record[planting.fault] = found
        write_measured(RECORD, record)
    there = {"", *(one.fault for one in plantings())}
    record = {name: found for name, found in record.items() if name in there}
    write_measured(RECORD, record)
    PAGE.write_text(page(record, len(all_checks())), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
