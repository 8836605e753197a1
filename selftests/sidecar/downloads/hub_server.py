"""A stand-in for the Hugging Face Hub: the part of its HTTP protocol that downloading a model takes, with faults on demand.

Large files ("LFS") are redirected to a second origin, as the real hub does to its CDN.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\x00" % len(content) + content).hexdigest()


@dataclass
class Repository:
    files: dict[str, bytes]
    lfs: frozenset[str] = frozenset()
    token: str = ""
    revisions: frozenset[str] = frozenset({"main", COMMIT})

    def tag(self, path: str) -> str:
        content = self.files[path]
        return hashlib.sha256(content).hexdigest() if path in self.lfs else git_id(content)


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    range: str
    authorization: str


@dataclass
class Hub:
    """What the stand-in serves, what it does wrong, and what it was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    names_only: bool = False
    """List a repository without sizes and ids, as some mirrors do."""
    listing: bytes = b""
    """What to answer where a description of a repository is asked for."""
    knows_ranges: bool = True
    redirect: str = ""
    """Where every file is redirected to."""
    before_body: Callable[[str], None] = lambda _path: None
    """Called with the path before the body of a file is sent."""
    after_first: Callable[[str], None] | None = None
    """Called once half of a body is sent."""
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    cdn_url: str = ""

    def __enter__(self) -> Hub:
        self._servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) for _ in range(2)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01}).start()
        self.url, self.cdn_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def reads(self, path: str) -> list[Asked]:
        """The requests that fetched (a part of) that file's content."""
        return [asked for asked in self.asked if asked.method == "GET" and asked.path == "/cdn/" + path]

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        return Handler


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(Asked(self.command, path, self.headers.get("Range", ""), self.headers.get("Authorization", "")))
        if path.startswith("/api/models/"):
            self._list(path)
        elif path.startswith("/cdn/"):
            _, _, owner, name, file = path.split("/", 4)
            self._content(self.hub.repositories[f"{owner}/{name}"], file)
        elif found := _RESOLVE.fullmatch(path):
            self._resolve(found)
        else:
            self._answer(404, b"")

    def _allowed(self, repository: Repository | None) -> bool:
        if repository is None:
            self._answer(404, b"{}", **{"X-Error-Code": "RepoNotFound"})
        elif repository.token and self.headers.get("Authorization") != f"Bearer {repository.token}":
            self._answer(401, b"{}", **{"X-Error-Code": "RepoNotFound"})
        else:
            return True
        return False

    def _list(self, path: str) -> None:
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path)
        assert found
        repository = self.hub.repositories.get(found[1])
        if not self._allowed(repository):
            return
        assert repository
        if found[2] not in repository.revisions:
            self._answer(404, b"{}", **{"X-Error-Code": "RevisionNotFound"})
            return
        if self.hub.listing:
            self._answer(200, self.hub.listing)
            return
        siblings = [self._sibling(repository, name) for name in repository.files]
        self._answer(200, json.dumps({"id": found[1], "sha": COMMIT, "siblings": siblings}).encode())

    def _sibling(self, repository: Repository, name: str) -> dict[str, object]:
        if self.hub.names_only:
            return {"rfilename": name}
        content = repository.files[name]
        sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": git_id(content)}
        if name in repository.lfs:
            sibling["lfs"] = {"size": len(content), "sha256": repository.tag(name), "pointerSize": 134}
        return sibling

    def _resolve(self, found: re.Match[str]) -> None:
        repository = self.hub.repositories.get(found["repo"])
        if not self._allowed(repository):
            return
        assert repository
        content = repository.files.get(found["path"])
        if content is None or found["revision"] not in repository.revisions:
            self._answer(404, b"", **{"X-Error-Code": "EntryNotFound"})
            return
        tags = {"ETag": f'"{repository.tag(found["path"])}"', "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))}
        if self.hub.redirect or found["path"] in repository.lfs:
            place = self.hub.redirect or f"{self.hub.cdn_url}/cdn/{found['repo']}/{found['path']}"
            self._answer(302, b"", **tags, Location=place)
        else:
            self._content(repository, found["path"], **tags)

    def _content(self, repository: Repository, path: str, **headers: str) -> None:
        if self.command == "GET":
            self.hub.before_body(path)
        content = repository.files[path]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.hub.knows_ranges:
            start, end = int(asked[1]), int(asked[2] or len(content) - 1) + 1
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
            self._answer(206, content[start:end], **headers)
        else:
            self._answer(200, content, **headers)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(HTTPStatus(status))
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(body[: len(body) // 2])
            if self.hub.after_first and len(body) > 1000:
                self.hub.after_first(self.path)
            self.wfile.write(body[len(body) // 2 :])
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read `asked`."""


class CuttingProxy:
    """A TCP proxy to `upstream` that cuts the connection whenever the bytes that it has passed back reach one of `cuts`."""

    def __init__(self, upstream: str, cuts: list[int], *, host: str = "127.0.0.1") -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._cuts = sorted(cuts)
        self._passed = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server((host, 0))
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        self.cut = 0
        """How often it has cut."""
        self.sent = b""
        """What clients have sent."""

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            threading.Thread(target=self._forth, args=(client, server), daemon=True).start()
            threading.Thread(target=self._back, args=(client, server), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while piece := client.recv(65536):
                self.sent += piece
                server.sendall(self._altered(piece))
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _altered(self, piece: bytes) -> bytes:
        """What the server gets of what the client sent."""
        return piece

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while piece := server.recv(16384):
                allowed, cut = self._pass(len(piece))
                client.sendall(piece[:allowed])
                if cut:
                    break
        except OSError:
            pass
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pass(self, count: int) -> tuple[int, bool]:
        """(how many of `count` bytes may pass, whether the connection is cut after them)."""
        with self._lock:
            if self._cuts and self._passed + count >= self._cuts[0]:
                allowed = max(0, self._cuts.pop(0) - self._passed)
                self._passed += allowed
                self.cut += 1
                return allowed, True
            self._passed += count
            return count, False
