"""The example of a vendor's plugin, installed as a wheel: its device, check, launcher, engine, renderer and specs are at work."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from hallmark.fleet.order import LOG_FILE
from selftests.plugin.commands import Ended
from selftests.plugin.stand_in_spec import MODEL
from selftests.product.conftest import options, spec_of_stand_in
from selftests.product.installed import Installed

pytestmark = pytest.mark.wheel

WORDS = ("--server=acme",)


def run(installed: Installed, folder: Path, **environ: str) -> Ended:
    spec_of_stand_in(folder, device="acme_x1", impl={"system_deps": {"acme-driver": ">=2", "acme-firmware": "==7.0"}})
    words = options(*WORDS, device="acme_x1", server_python=sys.executable)
    return installed.start(folder, *words, **environ).end()


def test_all_of_it_is_at_work(with_vendor: Installed, user_folder: Path) -> None:
    ended = run(with_vendor, user_folder).must_end(0, "ACCEPTED")
    assert ended.rows["spec.device"]["evidence"][0]["value"] == "2 x Acme X1"
    assert ended.rows["spec.system.acme-driver"]["evidence"][0]["value"] == "2.4.1"
    assert ended.rows["spec.system.acme-firmware"]["evidence"][0]["value"] == "7.0"
    assert ended.rows["acme.links"]["demanded"]
    assert "acme-run reserves the boards" in (ended.folder / "server.log").read_text()
    lines = list(csv.reader((ended.folder / "summary.csv").read_text().splitlines()))
    assert ["acme.links", "PASS", ""] in lines


def test_its_engine_runs_a_matrix(with_vendor: Installed, user_folder: Path) -> None:
    words = (f"--model={MODEL}", "--spec-dir=specs", f"--server-python={sys.executable}")
    ended = with_vendor.start(user_folder, "hallmark", "matrix", "--on=acme", "--workflow=spec", *words).end()
    assert ended.code == 0, ended.said
    (log,) = user_folder.glob(f"artifacts/*-matrix/cells/*/1/{LOG_FILE}")
    assert "acme-run reserves the boards" in log.read_text()


def test_its_check_can_go_red(with_vendor: Installed, user_folder: Path) -> None:
    ended = run(with_vendor, user_folder, ACME_SECOND_LINK="50").must_end(1, "REJECTED")
    assert ended.bad == {"acme.links": "FAIL"}
    assert "link 1 is 50 Gbit/s, not >= 100" in ended.causes


def test_its_check_is_missing_once_its_test_is_gone(with_vendor: Installed, user_folder: Path) -> None:
    test = with_vendor.site_packages / "acme_hallmark" / "checks" / "test_links.py"
    said = test.read_text()
    test.unlink()
    try:
        ended = run(with_vendor, user_folder)
        assert (ended.outcome, ended.report["missing"]) == ("INCOMPLETE", ["acme.links"])
    finally:
        test.write_text(said)


def test_its_family_is_listed_and_its_check_binds_no_other_device(with_vendor: Installed, tmp_path: Path) -> None:
    ended = with_vendor.start(tmp_path, "pytest", "--collect-only", "-q", "-m", "acme_x1").end()
    assert ended.code == 0, ended.said
    assert "test_links[id_vllm-acme_Acme-Chat-1B_acme_x1]" in ended.out
    other = with_vendor.start(tmp_path, "pytest", "--collect-only", "-q", "--model=hallmark-tiny", "--device=cpu").end()
    assert other.code == 0, other.said
    assert "test_links" not in other.out
    linted = with_vendor.start(tmp_path, "hallmark", "specs", "lint").end()
    assert linted.code == 0, linted.said
