"""Ways to alter the folder of a matrix, each with the sentence that `hallmark verify` must find for it: one entry each.

`forged` ones also write the chain of the journal anew, as whoever has the folder can: those are found because what it holds
contradicts itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hallmark.core.chain import line_digest
from hallmark.fleet.result.ending import conclude
from selftests.certificate.alterations import predicate_of
from selftests.certificate.ended_runs import write_ended
from selftests.fleet.result.made_matrix import AGAIN, GOOD, LLAMA, of_cell, planned, whole_matrix
from selftests.plugin.alterations import Alteration
from selftests.plugin.altering import Change, json_of, removed, rows_of, swap, text_of
from selftests.report.samples import accepted_run

FIRST, SECOND = f"cells/{GOOD}/1", f"cells/{AGAIN}/2"
"""The attempts that count."""


def folder_removed(path: str) -> Change:
    return lambda folder: shutil.rmtree(folder / path)


def exchanged(folder: Path) -> None:
    """Each cell has the run of the other."""
    one, other, aside = folder / FIRST / "run", folder / SECOND / "run", folder / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def of_another_matrix(folder: Path) -> None:
    """As good a run of the same cell, which was made elsewhere."""
    shutil.rmtree(folder / FIRST / "run")
    write_ended(folder / FIRST / "run", of_cell(accepted_run(), planned(LLAMA, "t3k")), known={"spec": "another", "weights": "w"})


def cell_added(folder: Path) -> None:
    shutil.copytree(folder / "cells" / GOOD, folder / "cells" / "id_vllm_other_t3k")


def certificate_of_another(folder: Path) -> None:
    other = whole_matrix(folder.parent / f"other-of-{folder.name}", host="elsewhere")
    conclude(other)
    shutil.copy(other / "certificate.json", folder)


def event_of(kind: str, change_it: Callable[[dict[str, Any]], object]) -> Change:
    """Change the last event of that kind, and every link of the chain behind it so that it fits."""

    def change(folder: Path) -> None:
        path = folder / "events.jsonl"
        events = [json.loads(line) for line in path.read_bytes().splitlines()]
        change_it([event for event in events if event["event"] == kind][-1])
        previous, text = "", ""
        for event in events:
            told = json.dumps(event | {"previous": previous}, ensure_ascii=False)
            previous, text = line_digest(told.encode()), f"{text}{told}\n"
        path.write_text(text, encoding="utf-8")

    return change


def forged(*changes: Change) -> Change:
    """These, and the report and the certificate made anew."""

    def change(folder: Path) -> None:
        for each in changes:
            each(folder)
        conclude(folder)

    return change


def rejected(outcome: dict[str, Any]) -> None:
    outcome |= {"says": "rejected", "exit_code": 1, "title": "REJECTED"}


ALTERATIONS = (
    # the plan and the journal
    Alteration(
        name="the plan",
        change=text_of("matrix.json", '"wait_s": 3600', '"wait_s": 36000'),
        found="matrix.json: was changed: events.jsonl begins with another digest of it",
    ),
    Alteration(
        name="an event removed",
        change=rows_of("events.jsonl", lambda rows: rows.pop(3)),
        found=f"events.jsonl: event 4 is missing, between 3 (ended: {GOOD}) and 5 (",
    ),
    Alteration(
        name="two events swapped",
        change=rows_of("events.jsonl", lambda rows: swap(rows, 3, 4)),
        found="is event 4 and stands behind event 5 (",
    ),
    Alteration(
        name="an event changed",
        change=text_of("events.jsonl", '"node": "rack-2"', '"node": "rack-9"'),
        found=f"events.jsonl line 4 (started: {AGAIN}): was changed: line 5",
    ),
    Alteration(
        name="the first event removed",
        change=rows_of("events.jsonl", lambda rows: rows.pop(0)),
        found="events.jsonl: does not begin with the line that states the plan",
    ),
    Alteration(
        name="the end removed",
        change=rows_of("events.jsonl", lambda rows: rows.pop()),
        found="events.jsonl: was cut: report.json tells of 8 events, and 7 are there",
    ),
    Alteration(name="all events removed", change=removed("events.jsonl"), found="events.jsonl: has no event"),
    # the attempts
    Alteration(
        name="an outcome",
        change=json_of(f"{FIRST}/outcome.json", rejected),
        found=f"{FIRST}/outcome.json: was changed: its says is 'rejected', and the journal has 'accepted'",
    ),
    Alteration(
        name="an outcome that does not count",
        change=json_of(f"cells/{AGAIN}/1/outcome.json", lambda outcome: outcome.update(node_fault="")),
        found=f"cells/{AGAIN}/1/outcome.json: was changed: its node_fault is ''",
    ),
    Alteration(name="an outcome removed", change=removed(f"{FIRST}/outcome.json"), found=f"{FIRST}/outcome.json: is missing"),
    Alteration(
        name="an order",
        change=json_of(f"{FIRST}/cell.json", lambda order: order.update(device="n150")),
        found=f"{FIRST}/cell.json: its device is 'n150', which is not that of the plan",
    ),
    Alteration(name="runs exchanged", change=exchanged, found=f"{GOOD}: run: is a run of {AGAIN}"),
    Alteration(name="a run removed", change=folder_removed(f"{SECOND}/run"), found=f"{AGAIN}: run: its run is not there"),
    Alteration(
        name="a cell's folder removed", change=folder_removed(f"cells/{GOOD}"), found=f"{GOOD}: run: its run is not there"
    ),
    Alteration(
        name="a run edited",
        change=text_of(f"{FIRST}/run/records.jsonl", "0.942", "0.999"),
        found=f"{GOOD}: records.jsonl line 7 (evals.gsm8k): was changed: line 8",
    ),
    Alteration(
        name="a run of another matrix", change=of_another_matrix, found=f"{GOOD}: run: is another run than the journal tells of"
    ),
    Alteration(name="a cell added", change=cell_added, found="cells/id_vllm_other_t3k: was added: the plan has no such cell"),
    # what follows
    Alteration(
        name="a verdict in the report",
        change=json_of("report.json", lambda report: report["cells"][0].update(verdict="REJECTED")),
        found="report.json: its cells[1].verdict is REJECTED, and the folder gives ACCEPTED",
    ),
    Alteration(
        name="the page",
        change=text_of("report.html", "ACCEPTED at tier complete", "ACCEPTED at tier target"),
        found="report.html: was changed: it is not what report.json gives",
    ),
    Alteration(name="the JUnit file removed", change=removed("junit.xml"), found="junit.xml: is missing, and follows from"),
    Alteration(name="the report removed", change=removed("report.json"), found="report.json: is missing"),
    Alteration(
        name="a cell of the certificate",
        change=predicate_of(lambda stated: stated["cells"][0].update(node="rack-9")),
        found="certificate.json: its cells[1].node is rack-9, and the folder gives rack-1",
    ),
    Alteration(
        name="the certificate of another matrix",
        change=certificate_of_another,
        found="certificate.json: is of another matrix: its journal ends with sha256:",
    ),
    # forged
    Alteration(
        name="another verdict in the journal",
        change=forged(
            event_of("ended", lambda event: rejected(event["outcome"])),
            json_of(f"{SECOND}/outcome.json", rejected),
            event_of("finished", lambda event: event.update(exit_code=1)),
        ),
        found=f"{AGAIN}: outcome.json: says rejected, and its run gives ACCEPTED",
    ),
    Alteration(
        name="another exit code in the journal",
        change=forged(event_of("finished", lambda event: event.update(exit_code=4))),
        found="events.jsonl: tells of exit code 4, and the cells give 0",
    ),
)
