"""The access log: a line for each request, without what could be private."""

from __future__ import annotations

import logging
import time

from hallmark_services.gateway.admission import OPEN_PATHS
from hallmark_services.gateway.heads import RequestHead
from hallmark_services.log_lines import fields

log = logging.getLogger(__name__)


class AccessLine:
    """One request's line, as it comes to be known. The query is left out, and so are answers to probes."""

    def __init__(self) -> None:
        self.status = 0
        self.sent = 0
        """Bytes of the answer."""
        self._began_s = time.perf_counter()

    def write(self, address: str, head: RequestHead | None, request_id: bytes, *, remark: str = "") -> None:
        if head and head.path in OPEN_PATHS:
            return
        method, path = (head.method.decode(), head.path) if head else ("", "")
        seconds = time.perf_counter() - self._began_s
        known = request_id.decode()
        log.info(
            "%s %s -> %s, %d bytes, %.1f ms, id %s%s",
            address,
            f"{method} {path}" if head else "(no request)",
            self.status or "-",
            self.sent,
            seconds * 1000,
            known or "-",
            f" ({remark})" if remark else "",
            extra=fields(
                client=address,
                method=method,
                path=path,
                status=self.status,
                bytes=self.sent,
                seconds=round(seconds, 6),
                request_id=known,
                remark=remark,
            ),
        )
