"""Places that no download may read, reach or write, for tests and for the table of attacks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TARGETS = [
    "",
    "relative/model",
    "{root}",
    "{root}/",
    "{root}/..",
    "{root}/../elsewhere",
    "{root}/a/../../elsewhere",
    "{root}/./model",
    "{root}/link/model",
    "{root}/link",
    "{root}/chain/model",
    "{root}-beside/model",
    "/etc/hallmark",
    "/proc/self/cwd/x",
    "//etc/x",
    "{root}/a\0b",
    "{root}/line\nbreak",
    "{root}/.hallmark-downloads/x",
    "{root}/m/.hallmark-complete.json",
    "{root}/" + "x" * 201,
    "~/model",
    "file://{root}/model",
]
SOURCES = [
    "",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data",
    "https://huggingface.co/org/model",
    "ftp://host/x",
    "gopher://host/x",
    "s3://",
    "s3://bucket/../other",
    "s3://bucket/a/./b",
    "s3://bucket/a//b",
    "s3://169.254.169.254/x",
    "s3://user@host/x",
    "s3://bucket:80/x",
    "s3://../x",
    "s3://Bucket/x\0",
    "obs://bucket/x\\..\\y",
    "../model",
    "org/..",
    "org/model/../../x",
    "./model",
    "org/model?x=1",
    "org/mo del",
    "org/model#frag",
    "hf://org",
    "/etc/passwd",
    "pvc://../etc",
    "pvc://a/../../etc",
    "pvc:///etc/./shadow",
    "pvc://a\0b",
]
ENDPOINTS = [
    "http://169.254.169.254",
    "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:169.254.169.254]",
    "http://[::ffff:a9fe:a9fe]",
    "http://[fe80::1]",
    "http://[fe80::1%25eth0]",
    "http://[fd00:ec2::254]",
    "http://[fec0::1]",
    "http://[::1]:8000",
    "http://[::]",
    "http://[64:ff9b::169.254.169.254]",
    "http://[2002:a9fe:a9fe::]",
    "http://[::127.0.0.1]",
    "http://127.0.0.1:8000",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://0x7f.0.0.1",
    "http://0177.0.0.1",
    "http://0",
    "http://0.0.0.0",
    "http://localhost:9000",
    "http://a.localhost",
    "http://localhost.",
    "http://10.0.0.1",
    "http://192.168.1.1",
    "http://172.16.0.1",
    "http://100.64.0.1",
    "http://224.0.0.1",
    "http://255.255.255.255",
    "http://168.63.129.16",
    "http://\uff11\uff12\uff17.0.0.1",
    "http://127\u30020.0.1",
    "http://good.example@169.254.169.254",
    "http://169.254.169.254#@good.example",
    "http://good.example\\@169.254.169.254",
    "http://good.example/../x",
    "http://good.example?x=1",
    "http://good.example\r\nHost: evil",
    "http://good.example:0",
    "http://good.example:99999",
    "file:///etc/passwd",
    "ftp://good.example",
    "unix:///run/docker.sock",
    "//good.example",
    "good.example",
    "http://",
    "http://[::1",
    "http://-bad.example",
    " http://good.example",
]
REDIRECTS = [
    "http://169.254.169.254/latest/meta-data/iam",
    "http://[::ffff:169.254.169.254]/x",
    "http://[::ffff:127.0.0.2]:{port}/x",
    "http://[::1]:{port}/x",
    "http://0.0.0.0:{port}/x",
    "http://127.0.0.2:{port}/x",
    "file:///etc/passwd",
    "gopher://127.0.0.2:{port}/x",
    "http://[oops/x",
]
"""`{port}` is that of a listener on 127.0.0.2."""

REBINDING = """
import socket, sys
from hallmark_services.sidecar.downloads.guard import ForbiddenAddress, Guard

answers = iter(["93.184.215.14", *sys.argv[2:]])
def stand_in_resolver(host, port, *_, **__):
    # A stand-in for a name server that gives another answer each time it is asked.
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), int(sys.argv[1])))]

Guard(allowed_networks=(), trusted_hosts=()).install()
socket.getaddrinfo = stand_in_resolver
assert socket.getaddrinfo("rebinding.example", 80)[0][4][0] == "93.184.215.14"
try:
    socket.create_connection(("rebinding.example", 80), timeout=1)
except ForbiddenAddress as exc:
    print("forbidden", exc)
"""
"""A program for `python -c`: PORT SECOND-ADDRESS. Prints "forbidden" where the second answer is not connected to."""


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[tuple[int, list[object]]]:
    """(port, what connected to it) of a listener that nobody is meant to reach."""
    came: list[object] = []
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)

    def accept() -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            came.append(peer)
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
