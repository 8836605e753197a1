"""The SSH daemon of the image: nobody is let in by accident, and who would be let in by nothing is told what to give."""

from __future__ import annotations

from pathlib import Path

import pytest
from hallmark_engine import sshd
from hallmark_engine.settings import Wrong, read

from hallmark.serving.ports import free_port

KEY = "ssh-ed25519 " + "A" * 68 + " someone@somewhere"


def prepared(folder: Path, **environ: str) -> Path:
    """The folder of the daemon's files, where it could be prepared."""
    (folder / "ssh").mkdir(mode=0o700)
    (folder / "ssh" / "host_ed25519").touch()  # as after a first start
    port = str(free_port("0.0.0.0"))  # the daemon's own address
    sshd.prepare(read([], {"ENABLE_SSHD": "1", "SSH_PORT": port, **environ}), home=folder, folder=folder / "ssh")
    return folder / "ssh"


def test_alone_it_says_what_to_give_and_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(Wrong) as caught:
        prepared(tmp_path)
    told = str(caught.value)
    assert 'PUBLIC_KEY="$(cat ~/.ssh/id_ed25519.pub)"' in told
    assert f"mount {tmp_path}/.ssh/authorized_keys" in told
    assert "\n" not in told
    assert not (tmp_path / ".ssh").exists()
    assert not (tmp_path / "ssh" / "sshd_config").exists()


@pytest.mark.parametrize("how", ["PUBLIC_KEY", "mounted"])
def test_with_a_key_it_is_configured(tmp_path: Path, how: str) -> None:
    keys = tmp_path / ".ssh" / "authorized_keys"
    if how == "mounted":
        keys.parent.mkdir()
        keys.write_text(KEY + "\n", encoding="ascii")
    folder = prepared(tmp_path, **({"PUBLIC_KEY": KEY} if how == "PUBLIC_KEY" else {}))
    assert keys.read_text(encoding="ascii") == KEY + "\n"
    assert "PasswordAuthentication no" in (folder / "sshd_config").read_text(encoding="utf-8")
