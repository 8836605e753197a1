"""An SSH daemon, only where one is asked for: keys only, as appuser only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from hallmark_engine.commands import Command
from hallmark_engine.settings import Settings, Wrong
from hallmark_engine.troubles import SSHD

_CONFIG = """\
Port {port}
HostKey {folder}/host_ed25519
AuthorizedKeysFile {keys}
AllowUsers appuser
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
PermitRootLogin no
UsePAM no
X11Forwarding no
PidFile none
LogLevel INFO
"""


ROOTS_FOLDER = Path("/etc/ssh/engine")
"""Where a root's sshd has its files: what root obeys must not lie where appuser may write."""


def prepare(settings: Settings, *, home: Path, folder: Path) -> Command:
    """The daemon's command, its key and configuration written; Wrong where nobody could log in, or it could not listen.

    Its own key lies in `folder`; where that is kept, a client sees the same host after a new start.
    """
    keys = home / ".ssh" / "authorized_keys"
    if settings.public_key:
        keys.parent.mkdir(mode=0o700, exist_ok=True)
        keys.write_text(settings.public_key + "\n", encoding="ascii")
        keys.chmod(0o600)
    elif not keys.is_file():
        # A key made here would have to be shown, and the log of a container is kept, and read by others.
        raise Wrong(
            'ENABLE_SSHD=1: nobody could log in, there are no passwords here - set PUBLIC_KEY="$(cat ~/.ssh/id_ed25519.pub)" '
            f"(`ssh-keygen -t ed25519` makes a pair), or mount {keys}"
        )
    _require_port(settings.ssh_port)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "host_ed25519").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_ed25519")], check=True)
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=settings.ssh_port, folder=folder, keys=keys), encoding="utf-8")
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"
    return Command("sshd", (program, "-D", "-e", "-f", str(config)), {"PATH": os.defpath})


def own(home: Path, user: int) -> None:
    """Give appuser what root has just written for it."""
    for path in (home / ".ssh", home / ".ssh" / "authorized_keys"):
        if path.exists():
            os.chown(path, user, user)


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as exc:
            raise Wrong(f"SSH_PORT={port}: {exc.strerror} - {SSHD}") from exc
