"""A server that has fallen silent: the check that met it tells it, and those after it do not each wait their whole deadline.

One answer that does not come may be the matter of its request alone. So before the next check the server is asked for one
token, as patiently as any check asks. Where not even that comes, no check that needs the server is carried out any more; none
of them passes.
"""

from __future__ import annotations

from functools import partial

from hallmark.client.asking import PATHS, saying, together
from hallmark.client.errors import ConnectionLost, NoAnswerInTime
from hallmark.client.wire import WireClient
from hallmark.core.errors import Void
from hallmark.plugin.outcome import NotMeasured


class Silence:
    """Of the servers of one session, cell by cell."""

    def __init__(self) -> None:
        self._suspected: dict[str, str] = {}
        """Cell -> the check that waited in vain, where nobody has asked since."""
        self._silent: dict[str, str] = {}
        """Cell -> why its checks are not carried out."""

    def suspect(self, cell: str, check: str, exc: BaseException) -> None:
        """Note that `check` ended by `exc`, where that is about an answer which did not come and no busy machine explains it."""
        if not isinstance(exc, Void) and _is_about_silence(exc):
            self._suspected.setdefault(cell, check)

    def is_suspected(self, cell: str) -> bool:
        """Whether it may be silent, or is known to be."""
        return cell in self._suspected or cell in self._silent

    def require_an_answer(self, cell: str, client: WireClient) -> None:
        """Raise NotMeasured where the server answers nobody any more; it is asked only where it is suspected, and once."""
        if cell in self._silent:
            raise NotMeasured(self._silent[cell])
        if not (met_by := self._suspected.pop(cell, "")):
            return
        heard = together([partial(_heard, client, endpoint) for endpoint in PATHS])
        if False in heard and True not in heard:
            waited_s = client.first_s
            self._silent[cell] = (
                f"the server answers nobody any more (see {met_by}): asked for one token after it, "
                f"it gave no answer in {waited_s:g} s"
            )
            raise NotMeasured(self._silent[cell])


def _heard(client: WireClient, endpoint: str) -> bool | None:
    """Whether a good request is answered; None where that tells nothing: a route that is not there refuses at once."""
    try:
        answer = client.post(PATHS[endpoint], client.body(**saying(endpoint, "a"), max_tokens=1))
    except NoAnswerInTime:
        return False
    except ConnectionLost:
        return None  # no silence; the next check will meet it
    return True if answer.status == 200 else None


def _is_about_silence(exc: BaseException | None) -> bool:
    """Whether it is, or was raised because of, an answer that did not come in time."""
    while exc is not None:
        if isinstance(exc, NoAnswerInTime):
            return True
        exc = exc.__cause__
    return False
