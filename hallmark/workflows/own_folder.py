"""What the commands share that measure without a manifest (`ab`, `capacity`): a folder of their own, a log, and an exit code."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from hallmark.core.files import new_folder
from hallmark.core.progress import Progress
from hallmark.core.redact import Redactor
from hallmark.core.run_log import RunLog
from hallmark.core.verdict import Verdict

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.VOID: 3, Verdict.INCONCLUSIVE: 4}
_LONGEST = 60


class OwnFolder:
    """A new folder below `artifacts`, and where its command says what goes on: nothing of it shows a secret."""

    def __init__(self, artifacts: Path, server: str, command: str) -> None:
        """`server`: a URL, a model's name or a spec file, after which it is named."""
        self.path = new_folder(artifacts, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{label_of(server)}-{command}")
        self.redact = Redactor.of_environment(os.environ)
        self._progress = Progress(lambda: None)
        self._progress.listener = RunLog(self.path, self.redact).hear

    def say(self, text: str) -> None:
        """What stays on the screen."""
        self._progress.say(self.redact(text))

    def progress(self, text: str) -> None:
        """What goes on right now."""
        self._progress(self.redact(text))


def label_of(server: str) -> str:
    """A name for a folder; of a URL it has host and port, and never a password."""
    if "://" in server:
        url = urlsplit(server)
        server = f"{url.hostname or ''}{f'-{url.port}' if url.port else ''}"
    elif "/" in server:
        server = Path(server).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", server)[:_LONGEST].strip("-.") or "server"
