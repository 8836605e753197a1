"""What a stranger's request may not do: fetch what only the server can reach, speak as another role, work the engine's levers."""

from __future__ import annotations

import socket
import threading
import uuid
from contextlib import contextmanager
from functools import partial

import pytest

from hallmark.client.asking import together
from hallmark.client.canary import CHAT, COMPLETIONS, Canary
from hallmark.client.credentials import NONE
from hallmark.client.refusal import require_refused
from hallmark.client.routes import DEVELOPMENT
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed

pytestmark = pytest.mark.server

WORDS = "say it"
LINK_LOCAL = "169.254.169.254"


class Listener:
    """Counts who connects; answers nobody."""

    def __init__(self, socket_):
        self._socket = socket_
        self.port = socket_.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()


@contextmanager
def listener():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield Listener(opened)
        opened.shutdown(socket.SHUT_RDWR)


def with_media(client, kind, url):
    """A chat that shows something at `url`."""
    shown = {"type": f"{kind}_url", f"{kind}_url": {"url": url}}
    return client.body(messages=[{"role": "user", "content": [{"type": "text", "text": WORDS}, shown]}], max_tokens=1)


@pytest.mark.check(
    "server.security.local-media",
    title="No media are read from the server's files or fetched from addresses that only it can reach",
    needs="chat",
    source="llama.cpp server tests: local media files (b7500, 2026); CWE-918; vLLM documentation: --allowed-media-domains",
    covers="Z04",
    fault="fetches-media",
)
def test_media_of_inside_addresses_are_refused(client, check):
    """Whether or not the model sees: our own listener on the loopback must stay alone, and each request is refused."""
    canary = Canary(client, CHAT)
    with listener() as heard:
        places = {
            "a file": "file:///etc/hostname",
            "a file by its host": "file://localhost/etc/hostname",
            "the loopback": f"http://127.0.0.1:{heard.port}/{uuid.uuid4().hex}.png",
            "the loopback by its name": f"http://localhost:{heard.port}/{uuid.uuid4().hex}.png",
            "the loopback as one number": f"http://2130706433:{heard.port}/{uuid.uuid4().hex}.png",
            "the loopback in IPv6": f"http://[::ffff:127.0.0.1]:{heard.port}/{uuid.uuid4().hex}.png",
            "the link-local address of cloud metadata": f"http://{LINK_LOCAL}/latest/hallmark-must-not-get-this",
        }
        calls = {
            f"{kind} from {what}": with_media(client, kind, url)
            for kind in ("image", "audio", "video")
            for what, url in places.items()
        }
        answers = together([partial(client.post, CHAT, body) for body in calls.values()])
        for what, answer in zip(calls, answers, strict=True):
            require_refused(answer, what)
        check.equal("connections that the server made to our listener on the loopback", heard.came, 0)
    check.observe("the same answer after them", canary.same_after("media from inside"), detail={"refused": list(calls)})


@pytest.mark.check(
    "server.security.development-routes",
    title="The levers of development are not there: no route puts to sleep, profiles, resets or calls into the engine",
    source="vLLM issue 29922 (2025); vLLM documentation: VLLM_SERVER_DEV_MODE (v0.32)",
    covers="Z03",
    fault="development-routes",
)
def test_development_routes_are_absent(client, check):
    """Asked by HEAD, which pulls no lever: what is there answers otherwise than a path that is not."""
    nowhere = client.head(f"/{uuid.uuid4().hex}").status
    listed = listed_paths(client)
    answers = together([partial(client.head, path) for path in DEVELOPMENT])
    gone = {nowhere, 401, 403}  # what only an administrator's own key opens is closed to who is served
    there = [path for path, found in zip(DEVELOPMENT, answers, strict=True) if path in listed or found.status not in gone]
    if there:
        raise CheckFailed(f"routes of development are served: {', '.join(there)}; a path that is not there is answered {nowhere}")
    check.observe("routes of development that are not served", len(DEVELOPMENT), detail={"asked": list(DEVELOPMENT)})


def listed_paths(client):
    answer = client.get("/openapi.json")
    document = answer.json() if answer.status == 200 and answer.body_text.startswith("{") else {}
    return set(document.get("paths") or ())


@pytest.mark.check(
    "server.security.unforged-roles",
    title="The marks of roles in what a user writes are text: nobody speaks as the assistant or the system by writing them",
    needs=("chat", "spec"),
    source="transformers issues 47822, 47853 (2026); vLLM issue 31735 (2026)",
    covers="Z05",
    fault="forges-roles",
)
def test_special_tokens_of_a_user_are_text(client, tokenizer, check):
    """Written out, such a mark has several tokens; one that became the mark itself has one, as the template's own have."""
    marks = [mark for mark in tokenizer.special_texts() if mark]
    if not marks:
        check.observe("marks that the tokenizer has", 0)
        return

    def counted(messages):
        return part(client.post(CHAT, client.body(messages=messages, max_tokens=1)).require(200).json(), "usage", "prompt_tokens")

    messages = {mark: [{"role": "user", "content": f"{WORDS}{mark}{WORDS}"}] for mark in marks}
    found = together([partial(counted, one) for one in messages.values()])
    forged = [mark for (mark, one), n in zip(messages.items(), found, strict=True) if n == tokenizer.count_chat(one)]
    if forged:
        raise CheckFailed(f"written by a user, these became control tokens: {', '.join(forged)}")
    check.observe("marks that stayed text", len(marks), detail={"marks": marks})


@pytest.mark.check(
    "server.security.one-beginning",
    title="A chat is its rendered template, token by token: nothing is put before it, no beginning twice",
    needs=("chat", "completions"),
    source="vLLM issues 9519, 27486, 55288 (2024 to 2026): the beginning mark twice",
    covers="Z06",
    fault="doubles-bos",
)
def test_a_chat_is_its_rendered_template(client, tokenizer, check):
    """The ids of the rendered template, sent as a prompt, count the same and are gone on with in the same way."""
    messages = Canary(client, CHAT).body()["messages"]
    ids = tokenizer.chat_ids(messages)
    chat = client.post(CHAT, client.body(messages=messages, temperature=0, max_tokens=8)).require(200)
    plain = client.post(COMPLETIONS, client.body(prompt=ids, temperature=0, max_tokens=8)).require(200)
    counted = part(chat.json(), "usage", "prompt_tokens")
    if counted != len(ids):
        raise chat.failure(f"the chat is {counted} tokens, its rendered template {len(ids)}: is its beginning there twice?")
    check.equal("prompt_tokens of the template's ids", part(plain.json(), "usage", "prompt_tokens"), len(ids))
    said, went_on = part(chat.json(), "choices", 0, "message", "content"), part(plain.json(), "choices", 0, "text")
    check.equal("the chat's answer", said.strip(), went_on.strip(), detail={"ids": ids[:64]})


@pytest.mark.check(
    "server.security.key-stays",
    title="The key is in no answer and no header of one, whatever was asked",
    needs="key",
    source="CWE-200; OpenAI API reference: authentication",
    fault="echoes-key",
)
def test_no_answer_holds_the_key(client, server, check):
    key = server.endpoint.api_key
    bodies = [client.body(prompt="a", max_tokens=1), client.body(prompt="a", max_tokens=-1), {"model": "no-such-model"}, [], None]
    calls = [partial(client.post, COMPLETIONS, body) for body in bodies]
    calls += [partial(client.get, path) for path in ("/v1/models", f"/{uuid.uuid4().hex}", "/metrics", "/version")]
    calls += [partial(client.ask, "GET", "/v1/models", NONE)]
    answers = together(calls)
    for answer in answers:
        if key in answer.body_text or any(key in value for value in answer.headers.values()):
            raise CheckFailed(f"{answer.what} answered {answer.status} with the key in it\nrequest: {answer.curl()}")
    check.observe("answers without the key in them", len(answers))
