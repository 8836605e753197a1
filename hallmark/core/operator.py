"""Who runs hallmark."""

from __future__ import annotations

import getpass
import socket


def operator() -> str:
    """Who runs this, as `user@host`; what of it is not known is left out."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        user = ""
    return "@".join(filter(None, (user, socket.gethostname())))
