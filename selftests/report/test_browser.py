"""The page in a real browser: it fits its window, wide and narrow, and its banner is there to be read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from hallmark.evals.failed_items import FailedItem, FailedItems
from hallmark.report.build import build
from hallmark.report.changes.find import changes_between
from hallmark.report.changes.history import histories_of
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.changes.render_history import render_history
from hallmark.report.changes.render_html import render_html as render_changes
from hallmark.report.document import Difference, Exchange, Previous, Provenance, Report, Subject
from hallmark.report.render_html import render_html
from selftests.report.samples import ENVIRONMENT, LAUNCH_PLAN, accepted_run, rejected_run
from selftests.report.test_formats import nasty_report

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
# The page itself allows no script but its own, so a page around it measures it in a frame of the wanted width.
FRAME = """<!DOCTYPE html>
<iframe id="page" srcdoc="{page}" style="width:{width}px;height:900px;border:0"></iframe><pre id="out"></pre>
<script>
document.getElementById("page").onload = (event) => {{
  const inner = event.target.contentDocument, root = inner.documentElement, limit = root.clientWidth + 1;
  const shown = [...inner.body.querySelectorAll("*")].filter((e) => !e.closest("svg, .skip, thead"));
  const wide = shown.filter((e) => e.getBoundingClientRect().right > limit);
  document.getElementById("out").textContent = JSON.stringify({{
    width: root.clientWidth, scroll: root.scrollWidth, banner: inner.querySelector(".banner .outcome")?.innerText ?? "",
    wide: wide.map((e) => e.tagName + "." + e.className + ": " + e.textContent.trim().slice(0, 40)),
  }});
}};
</script>"""


# A person at the page's filter: what is done to it, and then what the page shows.
PERSON = """<!DOCTYPE html>
<iframe id="page" src="{page}" style="width:{width}px;height:900px;border:0"></iframe><pre id="out"></pre>
<script>
document.getElementById("page").onload = (event) => {{
  const view = event.target.contentWindow, page = view.document, said = {{}};
  const button = (words) => [...page.querySelectorAll("#filter button")].find((one) => one.textContent.includes(words));
  const type = (words) => {{
    page.querySelector("#filter input").value = words;
    page.querySelector("#filter input").dispatchEvent(new view.Event("input", {{ bubbles: true }}));
  }};
  const shown = (selector) => [...page.querySelectorAll(selector)].filter((one) => one.getBoundingClientRect().height > 0);
  const see = (name) => {{
    said[name] = {{
      rows: shown("tr[data-check]").map((row) => row.dataset.check), hash: view.location.hash,
      sections: shown("section[data-group]").map((one) => one.querySelector("h2").textContent),
      told: page.querySelector("#filter output").textContent, bar: shown("#filter").length,
    }};
  }};
  {does}
  document.getElementById("out").textContent = JSON.stringify(said);
}};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("no chromium, chromium-browser or google-chrome on PATH; CI must have one", pytrace=False)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    return found


def measured(chromium: str, page: str, *, width: int, folder: Path) -> dict[str, object]:
    quoted = page.replace("&", "&amp;").replace('"', "&quot;")
    return told_by(chromium, FRAME.format(page=quoted, width=width), folder)  # type: ignore[return-value]


def told_by(chromium: str, frame: str, folder: Path) -> Any:
    (folder / "frame.html").write_text(frame, encoding="utf-8")
    flags = (f"--user-data-dir={folder / 'profile'}", "--allow-file-access-from-files", "--window-size=1600,1000")
    command = [chromium, *FLAGS, *flags, "--virtual-time-budget=5000", "--dump-dom", (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told = re.search(r'<pre id="out">(.*?)</pre>\s*<script>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    return json.loads(unescape(told[1]))


def seen_by_a_person(
    chromium: str, folder: Path, does: str, *, at: str = "", width: int = 1280, changed: tuple[str, str] = ("", "")
) -> Any:
    """`changed`: what of the page's text is replaced before it is opened."""
    page = folder / "report.html"
    text = render_html(build(*rejected_run(), environment=ENVIRONMENT, launch_plan=LAUNCH_PLAN))
    assert changed[0] in text
    page.write_text(text.replace(*changed) if changed[0] else text, encoding="utf-8")
    return told_by(chromium, PERSON.format(page=page.as_uri() + at, width=width, does=does), folder)


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 400, 900, 1280])
def test_the_page_fits_its_window(chromium: str, tmp_path: Path, width: int) -> None:
    page = render_html(build(*rejected_run(), environment=ENVIRONMENT | {"path": "/opt/" + "x" * 400}, launch_plan=LAUNCH_PLAN))
    found = measured(chromium, page, width=width, folder=tmp_path)
    assert found == {"width": width, "scroll": width, "banner": "REJECTED", "wide": []}


def with_all_that_a_folder_tells() -> Report:
    """The rejected run with exchanges, wrong items, a run before it and its provenance, each with a word that does not end."""
    endless = "x" * 300
    exchange = Exchange(line=1, asked=f"POST /{endless}", request=endless, status="500", answer=endless, lost=endless, about=True)
    item = FailedItem(number=1, line=2, question=endless, expected=endless, answered=endless, why=endless)
    items = FailedItems(items=(item,), failed=3, n=9, lost=1, file=f"evals/{endless}")
    change = Difference(topic="Scores", name=endless, before=endless, after=endless, effect="worse", reason=endless)
    report = build(*rejected_run(), environment=ENVIRONMENT, launch_plan=LAUNCH_PLAN)
    subject = Subject(name=f"weights:{endless}", sha256="ab" * 32, taken_from="process", told=endless)
    return replace(
        report,
        rows=tuple(replace(row, exchanges=(exchange,), items=items) for row in report.rows),
        previous=Previous(
            folder=endless, report="../x", started_at="", title=endless, line=endless, differences=(change,), more=1
        ),
        provenance=Provenance(
            folder=f"/{endless}",
            facts=(("Weights", endless),),
            subjects=(subject,),
            unknown={endless: endless},
            files=(f"evals/{endless}",),
            stands_for_all="ab" * 32,
        ),
    )


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 800, 1400])
def test_whatever_a_folder_tells_the_page_fits_its_window(chromium: str, tmp_path: Path, width: int) -> None:
    page = render_html(with_all_that_a_folder_tells()).replace("<details", "<details open")
    found = measured(chromium, page, width=width, folder=tmp_path)
    assert found == {"width": width, "scroll": width, "banner": "REJECTED", "wide": []}


@pytest.mark.browser
def test_long_strings_of_a_nasty_run_do_not_widen_the_page(chromium: str, tmp_path: Path) -> None:
    found = measured(chromium, render_html(nasty_report()), width=400, folder=tmp_path)
    assert (found["scroll"], found["banner"]) == (400, "REJECTED")


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_the_page_of_changes_fits_its_window(chromium: str, tmp_path: Path, width: int) -> None:
    environment = ENVIRONMENT | {"kernel": "/opt/" + "x" * 400}
    before = KeptRun(folder=tmp_path / "a", manifest=accepted_run()[0], report=build(*accepted_run(), launch_plan=LAUNCH_PLAN))
    after = KeptRun(folder=tmp_path / "b", manifest=rejected_run()[0], report=build(*rejected_run(), environment=environment))
    changes = changes_between(before, after)
    found = measured(chromium, render_changes([changes]), width=width, folder=tmp_path)
    assert found == {"width": width, "scroll": width, "banner": changes.headline, "wide": []}


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_the_page_of_a_history_fits_its_window(chromium: str, tmp_path: Path, width: int) -> None:
    now = datetime(2026, 3, 20, tzinfo=UTC)
    runs = [KeptRun(folder=tmp_path / "a", manifest=run[0], report=build(*run)) for run in (accepted_run(), rejected_run())]
    page = render_history(histories_of(runs, now=now, stale_after=timedelta(days=1)), left_out=(), written=now, beside=tmp_path)
    assert measured(chromium, page, width=width, folder=tmp_path) == {"width": width, "scroll": width, "banner": "", "wide": []}


RED = ["evals.ifeval", "perf.isl128-osl128-c32", "server.custom_probe", "server.echo"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [800, 1400])
def test_a_person_finds_what_is_red_and_hands_the_link_on(chromium: str, tmp_path: Path, width: int) -> None:
    does = """
      see("first"); button("Only what is red").click(); see("red"); type("IFEVAL floor"); see("word");
      button("Show all").click(); see("all"); button("ERROR").click(); button("PASS").click(); see("verdicts");
    """
    said = seen_by_a_person(chromium, tmp_path, does, width=width)
    every = said["first"]["rows"]
    assert (said["first"]["bar"], said["first"]["told"], len(every)) == (1, "12 of 12 checks shown", 12)
    assert (said["red"]["rows"], said["red"]["hash"]) == (RED, "#red=1")
    assert said["red"]["sections"] == ["Not accepted", "Accuracy at a glance", "Performance at a glance", "Logs"]
    assert (said["word"]["rows"], said["word"]["told"]) == (["evals.ifeval"], "1 of 12 checks shown")
    assert said["word"]["hash"] == "#find=IFEVAL+floor&red=1"
    assert said["all"]["rows"] == every
    passed = [check for check in every if check not in (*RED, "server.context")]
    assert said["verdicts"]["rows"] == ["server.echo", *passed]
    assert said["verdicts"]["hash"] == "#verdict=ERROR.PASS"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("at", "rows"),
    [
        ("#find=ifeval+floor&red=1", ["evals.ifeval"]),
        ("#verdict=ERROR", ["server.echo"]),
        ("#red=1", RED),
        ("#find=%3Cscript%3E&verdict=PASS", []),
    ],
)
def test_a_link_that_was_handed_on_shows_the_same(chromium: str, tmp_path: Path, at: str, rows: list[str]) -> None:
    assert seen_by_a_person(chromium, tmp_path, 'see("first");', at=at)["first"]["rows"] == rows


@pytest.mark.browser
def test_a_link_to_a_check_that_is_filtered_away_shows_it(chromium: str, tmp_path: Path) -> None:
    does = """
      button("FAIL").click(); see("before"); view.location.hash = "server.version";
      view.dispatchEvent(new view.HashChangeEvent("hashchange")); see("after");
    """
    said = seen_by_a_person(chromium, tmp_path, does)
    assert ["server.version" in said[when]["rows"] for when in ("before", "after")] == [False, True]


@pytest.mark.browser
@pytest.mark.parametrize(
    "changed",
    [
        ('"use strict";', "[redacted];"),
        ("<footer>", "<script>document.body.replaceChildren()</script><footer>"),
        ("<footer>", '<svg onload="document.body.replaceChildren()"></svg><footer>'),
    ],
    ids=["redacted", "another", "a-handler"],
)
def test_no_script_but_the_page_s_own_runs_and_without_it_everything_is_shown(
    chromium: str, tmp_path: Path, changed: tuple[str, str]
) -> None:
    said = seen_by_a_person(chromium, tmp_path, 'see("first");', at="#red=1", changed=changed)["first"]
    is_own = changed[0] == "<footer>"
    assert (said["bar"], len(said["rows"])) == ((1, len(RED)) if is_own else (0, 12))
