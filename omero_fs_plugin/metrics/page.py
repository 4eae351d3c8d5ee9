"""Metrics over HTTP, for Prometheus itself."""

from __future__ import annotations

import logging
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format
CLIENT_S = 5.0  # that a client may take to ask, and to read a part of the answer
CLIENTS = 8  # at the same time; one more is turned away
_REST_S = 0.2  # after a client that could not be accepted
_AGAIN_S = 15.0  # until a port that was taken is tried again


class Page:
    """Answers GET /metrics with the last text.

    Rule: a client waits for no collection, and nobody waits for a client.  Each client has a thread
    and little time; there are few at a time.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.trouble = ""  # why nobody can ask; empty if everybody can
        self.port = 0  # that it listens on; 0 while it does not
        self._address = address
        self._text = b""
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._run, name="metrics-page", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def show(self, text: bytes) -> None:
        """From now on, this is the answer."""
        self._text = text

    def stop(self, limit: float) -> bool:
        """Ends within `limit` (s); clients that still read are left."""
        self._stopping.set()
        with self._lock:
            server = self._server
        if server is not None:
            server.shutdown()
        if self._thread.ident is not None:
            self._thread.join(limit)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            host, port = self._address
            try:
                server = _Server(self._address, lambda: self._text)
            except OSError as error:
                why = f"metrics: nobody can ask at {host}:{port}: {error.strerror or error}"
                if why != self.trouble:
                    log.warning("%s", why)
                self.trouble = why
                self._stopping.wait(_AGAIN_S)
                continue
            self.trouble = ""
            with self._lock:
                ended = self._stopping.is_set()
                if not ended:  # else `stop` would wait for the end of what never serves
                    self._server = server
            with server:
                self.port = server.server_address[1]
                log.info("metrics: http://%s:%d/metrics", host, self.port)
                if not ended:
                    server.serve_forever(poll_interval=0.2)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that still reads is left

    def __init__(self, address: tuple[str, int], text: object) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.text = text
        self._free = threading.BoundedSemaphore(CLIENTS)
        super().__init__(address, _Client)

    def process_request(self, request: object, client_address: object) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)  # type: ignore[arg-type]
            return
        try:
            super().process_request(request, client_address)  # type: ignore[arg-type]
        except BaseException:  # no thread can be started
            self._free.release()
            raise

    def get_request(self) -> tuple[socket.socket, object]:
        """The next client.  Raises OSError after a rest, for the client is still there then."""
        try:
            return self.accepted()
        except OSError:
            self.rest()
            raise

    def accepted(self) -> tuple[socket.socket, object]:
        """As `get_request`, without the rest."""
        return super().get_request()

    def rest(self) -> None:
        """The process may open no file more.  Without a rest this would be asked all the time."""
        time.sleep(_REST_S)

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or is too slow, is its own affair."""
        log.debug("metrics: a client was lost", exc_info=True)


class _Client(BaseHTTPRequestHandler):
    timeout = CLIENT_S
    server: _Server

    def do_GET(self) -> None:  # the name is given by http.server
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        text = self.server.text()  # type: ignore[operator]
        if not text:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, "nothing is collected yet")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody wants a line for each question."""
