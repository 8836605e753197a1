"""Requests that hide a second one, and requests that want too much: the bytes, for tests and for the table of attacks."""

from __future__ import annotations

import json

HIDDEN = b"GET /v1/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
START = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"

HIDING = {
    "a length, and chunks": START + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks, and a length": START + b"Transfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths that differ": START + b"Content-Length: 0\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
    "a second length in a folded line": START + b"Content-Length: 0\r\n content-length: 35\r\n\r\n" + HIDDEN,
    "a second length behind a bare LF": START + b"Content-Length: 0\nContent-Length: 35\r\n\r\n" + HIDDEN,
    "a coding that is nearly 'chunked'": START + b"Transfer-Encoding: xchunked\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
    "two transfer codings": START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a blank before the colon": START + b"Transfer-Encoding : chunked\r\nContent-Length: 35\r\n\r\n" + HIDDEN,
    "chunks that a bare LF ends": START + b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + HIDDEN,
    "a chunk longer than it says": START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n" + HIDDEN,
    "a folded header line": START + b"X: y\r\n folded\r\n\r\n" + HIDDEN,
    "a NUL in a header": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n" + HIDDEN,
    "a request line of HTTP/0.9": b"GET /v1/models\r\n\r\n" + HIDDEN,
    "a path that climbs": b"GET /v1/../metrics HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
"""Each is answered 400, and nothing of it reaches the engine."""

EXCESSIVE = {
    "a head of 9 KB": (START + b"X: " + b"y" * 9000 + b"\r\n\r\n", (431, "headers_too_large")),
    "a head without end": (START + b"X: " + b"y" * 90_000, (431, "headers_too_large")),
    "a path of 9 KB": (b"GET /v1/" + b"y" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (431, "headers_too_large")),
    "200 header fields": (START + b"X: y\r\n" * 200 + b"\r\n", (431, "headers_too_large")),
    "a body over the limit": (START + b"Content-Length: 1048577\r\n\r\n" + b"x" * 1_048_577, (413, "request_too_large")),
    "a length of 10^18": (START + b"Content-Length: 999999999999999999\r\n\r\n", (413, "request_too_large")),
    "a chunk of 4 GB": (CHUNKED + b"FFFFFFFF\r\n", (413, "request_too_large")),
    "chunks over the limit": (
        CHUNKED + b"10000\r\n%b\r\n" % (b"x" * 65536) * 17,
        (413, "request_too_large"),
    ),
    "HTTP/2 on HTTP/1.1": (b"GET /v1/models HTTP/2.0\r\nHost: x\r\n\r\n", (505, "http_version")),
    "an expectation that is none": (START + b"Expect: everything\r\n\r\n", (417, "expectation")),
}
"""Before limits of 8 KiB for a head and 1 MiB for a body: the request, and (status, code) of its answer."""


def error_of(answer: bytes) -> tuple[int, str]:
    """(status, code) of one answer in OpenAI's form, and nothing after it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"]
