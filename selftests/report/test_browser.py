"""The page in a real browser: it fits its window, wide and narrow, and its banner is there to be read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from hallmark.report.build import build
from hallmark.report.changes.find import changes_between
from hallmark.report.changes.history import histories_of
from hallmark.report.changes.kept_run import KeptRun
from hallmark.report.changes.render_history import render_history
from hallmark.report.changes.render_html import render_html as render_changes
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
# The page itself allows no script, so a page around it measures it in a frame of the wanted width.
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


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("no chromium, chromium-browser or google-chrome on PATH; CI must have one", pytrace=False)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    return found


def measured(chromium: str, page: str, *, width: int, folder: Path) -> dict[str, object]:
    frame = folder / "frame.html"
    quoted = page.replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(FRAME.format(page=quoted, width=width), encoding="utf-8")
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [chromium, *FLAGS, profile, "--window-size=1600,1000", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    told = re.search(r'<pre id="out">(.*?)</pre>\s*<script>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    return json.loads(unescape(told[1]))  # type: ignore[no-any-return]


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 400, 900, 1280])
def test_the_page_fits_its_window(chromium: str, tmp_path: Path, width: int) -> None:
    page = render_html(build(*rejected_run(), environment=ENVIRONMENT | {"path": "/opt/" + "x" * 400}, launch_plan=LAUNCH_PLAN))
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
