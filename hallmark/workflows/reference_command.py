"""`hallmark reference ...`: what a good run answered, kept for the runs after it to be compared with.

Exit codes: 0 done; 2 a run that gives no reference, or a file that is none.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.workflows.acceptance import Ended

_EXAMPLE = "example: %(prog)s {}"


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Keep what a good run answered, item by item. Later runs of the same weights are compared with it.",
        epilog=_EXAMPLE.format("record"),
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    record = commands.add_parser(
        "record",
        help="a finished run as a reference",
        description="Write the evals of a finished run that passed into one file, by default in references/ beside the spec.",
        epilog=_EXAMPLE.format("artifacts/20261121T014500Z-id_vllm-cpu_hallmark-tiny_cpu-release"),
        allow_abbrev=False,
    )
    record.add_argument("run", nargs="?", type=Path, metavar="FOLDER", help="the run's folder (default: the newest)")
    record.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="where runs made their folders")
    record.add_argument("--out", type=Path, metavar="DIR", help="folder to write to; later: --reference DIR")
    record.add_argument(
        "--again", type=Path, metavar="FOLDER", help="another run of the same server: tells what differs by chance"
    )
    record.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a run of the server with the adapter NAME always on: tells one that is left on; repeatable",
    )
    record.add_argument("--replace", action="store_true", help="in place of the reference that is there")
    show = commands.add_parser(
        "show",
        help="what a reference is of",
        description="Say what a reference is of; it is verified.",
        epilog=_EXAMPLE.format("model_specs/references/hallmark-tiny.json.gz"),
        allow_abbrev=False,
    )
    show.add_argument("file", type=Path, metavar="FILE")
    for command in (record, show):
        command.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    lines = _record(options) if options.command == "record" else _show(options.file)
    return Ended(exit_code=0, lines=tuple(lines))


def _record(options: argparse.Namespace) -> Iterator[str]:
    from hallmark.evals.recording import recorded
    from hallmark.evals.reference import write_reference
    from hallmark.workflows.reports import newest  # brings the template engine

    reference, path, left = recorded(options.run or newest(options.artifacts), options.again, adapters=dict(_adapters(options)))
    if options.out:
        path = options.out / path.name
    if path.exists() and not options.replace:
        raise UsageError("exists already", where=str(path), hint="--replace, or another --out")
    write_reference(path, reference)
    yield from (f"left out: {line}" for line in left)
    yield from _show(path)


def _adapters(options: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    for stated in options.adapter:
        name, _, folder = stated.partition("=")
        if not name or not folder:
            raise UsageError(f"--adapter {stated}: is not NAME=FOLDER", hint="--adapter terse=artifacts/RUN")
        yield name, Path(folder)


def _show(path: Path) -> Iterator[str]:
    from hallmark.evals.reference import read_reference

    reference = read_reference(path)
    yield f"{path}: {reference.model}, {reference.title}, of {reference.cell}"
    yield f"  weights {reference.weights}"
    if found := reference.fingerprint:
        tokens = sum(len(probe.tokens) for probe in found.probes.values())
        yield f"  evals.fingerprint: {tokens:,} log-probabilities of {found.way}s, {found.noise:.2g} nats differing by chance"
    if reference.adapters:
        yield f"  with the adapter left on: {', '.join(sorted(reference.adapters))}"
    for name, one in reference.evals.items():
        asked = f"lm-eval {one.lm_eval}, {one.few_shot}-shot"
        if one.discordance is not None:
            asked += f", {100 * one.discordance:.2g} % of them differing by chance"
        yield f"  evals.{name}: {one.task}, {one.metric} {one.share:.4f} on {one.n:,} items, {asked}"
