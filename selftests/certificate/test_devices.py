"""A key that never leaves its device: SoftHSM is one, in software."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from selftests.certificate.conftest import QUIET, Hallmark

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
URI = "hsm:2?label=release"
pytestmark = [
    pytest.mark.filterwarnings(QUIET),
    pytest.mark.skipif(not (LIBRARY.exists() and shutil.which("softhsm2-util")), reason="not tested: no SoftHSM (softhsm2)"),
]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token with a key of P-256 under the number 2. Its library reads its place once in a process: one test has it."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n", encoding="utf-8")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm.conf"))
    monkeypatch.setenv("PYKCS11LIB", str(LIBRARY))
    monkeypatch.setenv("HALLMARK_SIGNING_PIN", "1234")
    for words in (
        ["softhsm2-util", "--init-token", "--free", "--label", "release", "--so-pin", "12345678", "--pin", "1234"],
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(tmp_path / "k.pem")],
        [
            *("softhsm2-util", "--import", str(tmp_path / "k.pem"), "--token", "release"),
            *("--label", "k", "--id", "02", "--pin", "1234"),
        ],
    ):
        subprocess.run(words, check=True, capture_output=True)
    (tmp_path / "k.pem").unlink()


def test_a_key_in_a_device_signs_and_its_pin_is_asked_for(
    device: None, folder: Path, tmp_path: Path, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    made = hallmark("keygen", keys / "device", "--hsm", URI)
    assert (made.code, [path.name for path in keys.iterdir()]) == (0, ["device.pub"]), made.error
    assert hallmark("certify", folder, "--key", URI).code == 0
    assert hallmark("verify", folder, "--key", keys / "device.pub").code == 0
    monkeypatch.setenv("HALLMARK_SIGNING_PIN", "4321")
    refused = hallmark("certify", folder, "--key", URI)
    assert (refused.code, "no key of a device that can sign: PinIncorrect" in refused.error) == (2, True), refused.error
    monkeypatch.delenv("HALLMARK_SIGNING_PIN")
    assert "the device asks for a PIN" in hallmark("certify", folder, "--key", URI).error
    monkeypatch.setenv("HALLMARK_SIGNING_PIN", "1234")
    assert "no key of a device that can sign" in hallmark("certify", folder, "--key", "hsm:9?label=release").error
    assert hallmark("verify", folder, "--key", keys / "device.pub").code == 0


def test_without_a_library_of_a_device_it_says_what_is_missing(
    folder: Path, hallmark: Hallmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    said = hallmark("certify", folder, "--key", "hsm:")
    assert (said.code, "PYKCS11LIB names the device's library" in said.error) == (2, True), said.error
