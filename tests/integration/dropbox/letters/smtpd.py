"""A real SMTP server on loopback, as moody as a test wants it."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from omero_fs_plugin.dropbox.letters import outgoing

LOGIN = (b"omero", b"the password")
_PATIENCE_S = 60.0
_SOME = 10  # bytes of an answer that drips


class Mailbox:
    """The mails that arrived.  `answer` is said to each; `refuses` are addresses."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[list[str]] = []
        self.answer = "250 taken"
        self.refuses: dict[str, str] = {}  # address -> what is said

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """One recipient."""
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """One mail."""
        if self.answer.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            self.mails.append(cast("EmailMessage", mail))
            self.envelopes.append(list(envelope.rcpt_tos))
        return self.answer


def _knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, said: Any) -> AuthResult:
    right = isinstance(said, LoginPassword) and (said.login, said.password) == LOGIN
    return AuthResult(success=right, handled=False)


@contextmanager
def serving(
    mailbox: Mailbox,
    port: int,
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: bool = False,
) -> Iterator[None]:
    """The server, at `port`.  It takes no mail before STARTTLS or a login that is asked for."""
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        authenticator=_knows,
        auth_required=login,
        auth_require_tls=tls is None,
        ready_timeout=60.0,  # s; a busy machine is no failure
    )
    controller.start()
    try:
        yield
    finally:
        controller.stop()


class Silent:
    """Takes a mail as a server does, and says nothing after its last line; counts the mails."""

    def __init__(self) -> None:
        self.taken = 0
        self._news = threading.Condition()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="silent mail server")
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            try:
                self._talk(connection)
            except OSError:
                continue

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(b"220 here\r\n")
        with connection.makefile("rb") as lines:
            for line in lines:
                if not line.upper().startswith(b"DATA"):
                    connection.sendall(b"250 OK\r\n")
                    continue
                connection.sendall(b"354 go on\r\n")
                for text in lines:
                    if text == b".\r\n":
                        with self._news:
                            self.taken += 1
                            self._news.notify_all()
                        break
                lines.read()  # until the client gives up

    def until_taken(self, number: int) -> None:
        """Returns when it has read so many mails; who sent them may have given up before."""
        with self._news:
            assert self._news.wait_for(lambda: self.taken >= number, _PATIENCE_S)

    def stop(self) -> None:
        """Ends it."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # its thread reads there
            connection.close()
        self._thread.join()


class Lying:
    """Answers each line of the client with the next of its answers, and the letter as one line."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, name="lying mail server")
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            greeting, *others = self._answers
            connection.sendall(greeting + b"\r\n")
            begun = False
            for answer in others:
                line = lines.readline()
                while begun and line not in (b".\r\n", b""):
                    line = lines.readline()
                begun = answer.startswith(b"354")
                connection.sendall(answer + b"\r\n")
            lines.read()

    def stop(self) -> None:
        """Ends it."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


class Dripping:
    """Says one byte of an answer now and then: never silent for long, and never done."""

    def __init__(self, quick: int = 0) -> None:
        """After `quick` lines of the client that are answered at once."""
        self._quick = quick
        self.drips = threading.Event()  # it has said some bytes so
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dripping mail server")
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            if self._quick:
                connection.sendall(b"220 here\r\n")
            for line in itertools.islice(lines, max(self._quick - 1, 0)):
                data = line.upper().startswith(b"DATA")
                connection.sendall(b"354 go on\r\n" if data else b"250 OK\r\n")
            for number in itertools.count(1):
                if self._stopping.wait(0.02):
                    return
                connection.sendall(b"2")
                if number == _SOME:
                    self.drips.set()

    def stop(self) -> None:
        """Ends it."""
        self._stopping.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


def over_when(event: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a letter may take is over then, and no sooner, however slow the machine is."""

    class Timer(threading.Timer):
        def run(self) -> None:
            if event.wait(_PATIENCE_S) and not self.finished.is_set():
                self.function(*self.args, **self.kwargs)

    own = SimpleNamespace(Event=threading.Event, Timer=Timer)
    monkeypatch.setattr(outgoing, "threading", own)
