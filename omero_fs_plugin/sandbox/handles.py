"""Commands and their handles: work in another thread.  The client polls, or gets a callback."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import Ice

import omero

from .servants import Servant
from .sessions import Call, Sandbox, Session

log = logging.getLogger(__name__)

# A command's work: takes nothing, returns an omero.cmd.Response.
Work = Callable[[], Any]


class CommandFailed(Exception):
    """Ends a command.  Its omero.cmd.ERR is the answer."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.parameters.get("message", error.name))
        self.error = error


def error(request: Any, name: str, message: str, trace: str = "") -> Any:
    """The omero.cmd.ERR as OMERO answers it: the kind of request, what failed, and why.

    `trace` is a Java stack trace; its last "Caused by" is the first cause.
    """
    parameters = {"message": message, "stacktrace": trace} if trace else {"message": message}
    return omero.cmd.ERR(request.ice_id(), name, parameters)


class Handle(Servant, omero.cmd.Handle):  # type: ignore[misc]
    """One command under way, or done.

    Polling does not count as activity of the session.  If the session ends before
    the command, the command is still carried out, but its answer never comes.
    """

    keeps_alive = False

    def __init__(self, sandbox: Sandbox, session: Session, request: Any) -> None:
        super().__init__(sandbox, session)
        self.request = request
        self.proxy = sandbox.serve(session, self)
        self._lock = threading.Lock()
        self._callbacks: dict[Any, Any] = {}
        self._future: Future[None] | None = None
        self._response: Any = None
        kind = request.ice_id()
        self._status = omero.cmd.Status(None, kind, kind, [], {}, 0, 1, _ms(), [], [], 0)

    def call(self, current: Any) -> Call:
        """Who calls.  The handle of an expired session does not exist any more."""
        try:
            return super().call(current)
        except omero.RemovedSessionException as gone:
            raise Ice.ObjectNotExistException from gone

    def start(self, workers: ThreadPoolExecutor, work: Work) -> Handle:
        """Hands `work` to `workers`, and gives this handle."""
        self._future = workers.submit(self._run, work)
        return self

    def _run(self, work: Work) -> None:
        kind = str(self._status.name).rpartition("::")[2]
        try:
            self._meet(f"{kind}.begin", "import-request-failure")
            response = work()
            self._meet(f"{kind}.end", "update-log-file-size")
        except CommandFailed as failed:
            response = failed.error
        except Exception as failure:
            log.exception("%s failed", self._status.name)
            text = getattr(failure, "message", "") or f"{type(failure).__name__}: {failure}"
            response = error(self.request, "sandbox-failure", text)
        self._finish(response)

    def _meet(self, step: str, name: str) -> None:
        """Applies the server's moods to the work of a command.  Raises CommandFailed, as OMERO.

        OMERO gives the cause in the trace only.
        """
        try:
            self.sandbox.mood.meet(step, self.session.user_name)
        except omero.ServerError as met:
            trace = f"java.lang.RuntimeException: Failure in {step}\nCaused by: "
            trace += f"{met.serverExceptionClass}: {met.message}"
            raise CommandFailed(error(self.request, name, "Failure", trace)) from met

    def _finish(self, response: Any) -> None:
        try:
            self.sandbox.sessions.get(self.session.uuid)
        except omero.RemovedSessionException:
            log.warning("%s: done, but its session has ended", self._status.name)
            return
        with self._lock:
            self._response, self._status.stopTime = response, _ms()
            self._status.currentStep = 1
            if isinstance(response, omero.cmd.ERR):
                self._status.flags.append(omero.cmd.State.FAILURE)
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            # The client may be gone; the answer is kept for whoever polls.
            with suppress(Ice.Exception):
                callback.ice_oneway().ice_timeout(5000).finished(response, self._status)

    def do_addCallback(self, call: Call, callback: Any) -> None:
        with self._lock:
            self._callbacks[callback.ice_getIdentity()] = callback

    def do_removeCallback(self, call: Call, callback: Any) -> None:
        with self._lock:
            self._callbacks.pop(callback.ice_getIdentity(), None)

    def do_getRequest(self, call: Call) -> Any:
        return self.request

    def do_getResponse(self, call: Call) -> Any:
        return self._response

    def do_getStatus(self, call: Call) -> Any:
        return self._status

    def do_cancel(self, call: Call) -> bool:
        """True if the work had not begun; then it never will."""
        if self._future is None or not self._future.cancel():
            return False
        self._status.flags.append(omero.cmd.State.CANCELLED)
        self._finish(error(self.request, "cancelled", "cancelled before it began"))
        return True

    def do_close(self, call: Call) -> None:
        self.sandbox.withdraw(self.session, self.proxy.ice_getIdentity())


def _ms() -> int:
    return int(time.time() * 1000)
