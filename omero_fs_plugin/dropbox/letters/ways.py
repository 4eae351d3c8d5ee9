"""Sends a letter as omero.fs.notifyBy says: by mail, to a command, or to a web address."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit

from omero_fs_plugin.config.kinds import MAIL
from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.processes.order import Order, Unanswered
from omero_fs_plugin.dropbox.processes.starter import start
from omero_fs_plugin.names import printable

from . import smtp
from .outgoing import InDoubt, NotSent, Outgoing, within

LIMIT_S = 60.0  # for a command, and for each step with a web address
_KILLED_S = 5.0  # how long the end of a killed command is waited for
_SAID_MOST = 300  # characters of what the other side says
# A command sees no secret of ours in its environment.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")


def by_mail(settings: Settings) -> bool:
    """Whether people are told by mail, so that nobody without an address is."""
    return settings.notify_by == MAIL


def send(settings: Settings, out: Outgoing) -> None:
    """Sends it.  Raises NotSent or InDoubt; see there."""
    way = settings.notify_by
    if way == MAIL:
        smtp.send(settings.mail, out)
    elif way[0].startswith("/"):
        run(way, out)
    else:
        post(way[0], out)


def run(words: Sequence[str], out: Outgoing, *, limit: float = LIMIT_S) -> None:
    """Runs the command with the letter as JSON on its standard input; 0 means that it has it."""
    with ExitStack() as stack:
        try:
            letter, errors = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            letter.write(out.content.encode())
            letter.flush()
            letter.seek(0)
            environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
            order = Order(
                list(words), environment, "/", stdin=letter.fileno(), stderr=errors.fileno()
            )
            process = start(order)
        except Unanswered as error:
            raise InDoubt(f"{words[0]}: {error.strerror}") from error
        except OSError as error:  # also a disk for temporary files that is full
            raise NotSent(f"{words[0]}: {error.strerror}", all_wait=True) from error
        try:
            code = process.wait(limit)
            if code is None:
                process.send(signal.SIGKILL)
                process.wait(_KILLED_S)
                raise InDoubt(f"{words[0]} did not end within {limit:g} s")
        finally:
            process.close()
        if code:
            errors.seek(0)
            said = errors.read(_SAID_MOST).decode("utf-8", "replace")
            words_said = printable(" ".join(said.split())) or "it says nothing"
            raise NotSent(f"{words[0]} ended with {code}: {words_said}", all_wait=True)


def post(address: str, out: Outgoing, *, limit: float = LIMIT_S) -> None:
    """Posts the letter as JSON; an answer of 200 to 299 means that it has arrived."""
    parts = urlsplit(address)
    name = f"{parts.scheme}://{parts.hostname}"  # the rest may be secret
    host = parts.hostname or ""
    connection: http.client.HTTPConnection = (
        http.client.HTTPSConnection(
            host, parts.port, timeout=limit, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=limit)
    )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/json", "Idempotency-Key": out.name}
    begun = False
    try:
        with within(2 * limit, lambda: connection.sock):
            connection.connect()
            begun = True
            connection.request("POST", path, out.content.encode(), headers)
            answer = connection.getresponse()
        status, reason = answer.status, printable(answer.reason)[:_SAID_MOST]
    except (OSError, http.client.HTTPException, ValueError) as error:
        strerror = error.strerror if isinstance(error, OSError) else ""
        why = printable(strerror or str(error) or type(error).__name__)
        if begun:
            raise InDoubt(f"{name} did not say whether it has taken it: {why}") from error
        raise NotSent(f"{name}: {why}", all_wait=True) from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotSent(f"{name} answers {status} {reason}", all_wait=True)
