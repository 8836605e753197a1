"""The routes that the stand-in has only where it is told to: what it offers elsewhere stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selftests.faulty import embeddings, model_faults, response_faults
from selftests.faulty.jobs import parse_body
from selftests.faulty.responses import PATH as RESPONSES
from selftests.faulty.responses import Responses

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults


@dataclass
class MoreRoutes:
    faults: Faults
    responses: Responses
    check_model: Callable[[Any], None]
    """Refused for a model that is not served."""
    models: Callable[[], list[dict[str, Any]]]
    """The entries of the list of models."""

    def answer(self, method: str, path: str, raw: bytes) -> bytes:
        """What is sent; empty for every route that it does not have."""
        if response_faults.OFFERED in self.faults:
            if (method, path) == ("POST", RESPONSES):
                return self.responses.answer(self._read(raw))
            if method == "GET" and path.startswith(f"{RESPONSES}/"):
                return self.responses.fetched(path).whole()
        if embeddings.OFFERED in self.faults and (method, path) == ("POST", embeddings.PATH):
            return embeddings.answer(self._read(raw), self.faults, name=self.responses.name()).whole()
        if method == "GET" and path.startswith(f"{model_faults.PATH}/"):
            reply = model_faults.answer(path, self.models(), self.faults)
            return reply.whole() if reply else b""
        return b""

    def _read(self, raw: bytes) -> dict[str, Any]:
        body = parse_body(raw)
        self.check_model(body.get("model"))
        return body
