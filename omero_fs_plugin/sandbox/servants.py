"""The base class of every servant: each operation of its interface answers, always.

If the AMD method `xxx_async` is missing, IcePy 3.6 never answers the call, and the
client waits for ever.  So `Servant` makes a dispatcher for every operation of the
Slice interfaces that a subclass inherits:

- If the subclass has `do_xxx(self, call, *arguments)`, the dispatcher calls it with
  the `Call` (who calls, in which group).  It returns the result.  The annotation
  `-> None` means that the operation has no result.  A test compares this with the
  Slice, because IcePy crashes on the wrong number of results.
- Any other operation raises an omero.ApiUsageException that names it.

Exceptions of OMERO and Ice go to the client.  Any other is logged and becomes an
omero.InternalException.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import Ice
import omero.all  # every Slice type, once for the whole server

import omero

if TYPE_CHECKING:
    from .sessions import Call, Sandbox, Session

log = logging.getLogger(__name__)

_PREFIX = "_op_"


def operations(cls: type) -> dict[str, bool]:
    """The Slice operations of a servant class: name -> whether Ice dispatches it as AMD."""
    slices = [c for c in cls.__mro__ if not issubclass(c, Servant) and c is not object]
    names = {a[len(_PREFIX) :] for c in slices for a in vars(c) if a.startswith(_PREFIX)}
    return {
        name: any(hasattr(c, name + "_async") for c in slices)
        for name in sorted(names)
        if not name.startswith("ice_")
    }


class Servant:
    """One object that serves one session.  See the module."""

    #: Whether calls count as activity of the session.  Polling an import's handle does not.
    keeps_alive = True
    #: Repositories refuse a session with Ice.UnknownException, as OMERO's do.
    hides_refusal = False

    def __init__(self, sandbox: Sandbox, session: Session) -> None:
        self.sandbox = sandbox
        self.session = session

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, amd in operations(cls).items():
            method = name + "_async" if amd else name
            if method not in vars(cls):  # a class may dispatch some itself
                setattr(cls, method, _dispatcher(cls, name, amd))

    def call(self, current: Any) -> Call:
        """Who calls.  If the session may not, raises what OMERO raises."""
        try:
            return self.sandbox.sessions.call(self.session, current.ctx, touch=self.keeps_alive)
        except omero.SecurityViolation as error:
            if self.hides_refusal:
                raise Ice.UnknownException(error.message) from error
            raise


def _dispatcher(cls: type, name: str, amd: bool) -> Callable[..., Any]:
    method = getattr(cls, "do_" + name, None)
    label = f"{cls.__mro__[0].__name__}.{name}"
    void = method is not None and method.__annotations__.get("return") in ("None", None)

    def dispatch(self: Servant, arguments: tuple[Any, ...], current: Any) -> Any:
        try:
            if method is None:
                raise omero.ApiUsageException(
                    "", "", f"{_interface(self)}.{name} is not part of the sandbox"
                )
            self.sandbox.pace.call()
            call = self.call(current)
            # The client may give up meanwhile; the call is still carried out.
            self.sandbox.pace.reach(f"{_interface(self)}.{name}")
            self.sandbox.mood.meet(f"{_interface(self)}.{name}", self.session.user_name)
            answer = method(self, call, *arguments)
            self.sandbox.mood.answer(f"{_interface(self)}.{name}", self.session.user_name)
            return answer
        except (Ice.UserException, Ice.LocalException):
            raise
        except Exception as error:
            log.exception("%s failed", label)
            raise omero.InternalException(
                "", type(error).__name__, f"sandbox server: {label}: {error}"
            ) from error

    def with_callback(self: Servant, callback: Any, *arguments: Any) -> None:
        result = dispatch(self, arguments[:-1], arguments[-1])
        if void:
            callback.ice_response()
        else:
            callback.ice_response(result)

    def plain(self: Servant, *arguments: Any) -> Any:
        return dispatch(self, arguments[:-1], arguments[-1])

    return with_callback if amd else plain


def _interface(servant: Any) -> str:
    return str(servant.ice_id()).rpartition("::")[2]
