"""A letter posted to a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from omero_fs_plugin.dropbox.letters.outgoing import InDoubt, NotSent, Outgoing
from omero_fs_plugin.dropbox.letters.ways import post
from tests.ports import reserved

from .smtpd import Dripping, Silent, over_when

OUT = Outgoing("omero-fs.1.2", (), "subject", "text", '{"person": "amy"}')


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, self.headers["Idempotency-Key"], body))  # type: ignore[attr-defined]
        self.send_response(int(self.path.rpartition("=")[2]))
        self.send_header("Location", "http://127.0.0.1/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    server.heard = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, name="hook")
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503])
def test_what_it_answers_decides(hook: HTTPServer, status: int) -> None:
    address = f"http://127.0.0.1:{hook.server_port}/hook?answer={status}"
    if status < 300:
        post(address, OUT, limit=10)
    else:
        with pytest.raises(NotSent, match=f"http://127.0.0.1 answers {status}"):
            post(address, OUT, limit=10)
    ((path, key, body),) = hook.heard  # type: ignore[attr-defined]
    assert (path, key) == (f"/hook?answer={status}", "omero-fs.1.2")
    assert json.loads(body) == {"person": "amy"}


def test_nobody_there_is_no_doubt_and_no_answer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotSent, match="Connection refused"):
        post(f"http://127.0.0.1:{reserved()}/", OUT)
    dripping = Dripping()
    try:
        with monkeypatch.context() as patched, pytest.raises(InDoubt, match="it takes longer than"):
            over_when(dripping.drips, patched)
            post(f"http://127.0.0.1:{dripping.port}/", OUT)
    finally:
        dripping.stop()
    silent = Silent()  # says what no web server says
    try:
        with pytest.raises(InDoubt):
            post(f"http://127.0.0.1:{silent.port}/", OUT)
    finally:
        silent.stop()
