"""The system's accounts and groups: asks its name service, which may be LDAP, and never for long.

A directory server that is slow or away may hold a question for minutes, about one account or about
all, and nothing in the process can end it.  So a thread asks, and the caller waits a short time.

Questions that have been answered are not asked again for a while.  Where the name service does not
answer any more, what it said before counts.
"""

from __future__ import annotations

import ctypes
import errno
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

if sys.platform != "win32":  # which has no accounts of this kind
    import grp
    import pwd

T = TypeVar("T")

PATIENCE_S = 1.0  # that a caller waits
KEPT_S = 60.0  # that an answer counts without another question
MOST_ASKING = 8  # questions without an answer; with more, the next ones are not asked
_MOST_KEPT = 20_000  # answers
_MOST_GROUPS = 65_536  # of one account: NGROUPS_MAX of Linux


class NoAnswer(TimeoutError):
    """The name service does not answer.  Nobody knows whether there is such an account."""

    def __init__(self, about: str) -> None:
        super().__init__(
            errno.ETIMEDOUT, f"the system's name service does not answer, asked about {about}"
        )


@dataclass(eq=False)
class _Question:
    began: float  # s, monotonic
    done: threading.Event = field(default_factory=threading.Event)
    value: Any = None
    error: BaseException | None = None


class NameService:
    """Thread-safe.

    Rule: a caller waits at most PATIENCE_S, and not at all for a question that others wait for in
    vain.  A question without an answer costs one thread, and there are at most MOST_ASKING.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds, monotonic."""
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: dict[Hashable, _Question] = {}
        # What was asked -> when (s) it was answered, and the answer; the oldest first
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    def ask(self, about: str, question: Callable[..., T], *of: Any) -> T:
        """What `question(*of)` gives, now or lately, or raises.  Raises NoAnswer.

        `about`: whom it is about, for people.
        """
        key = (question, of)
        now = self._clock()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now - kept[0] < KEPT_S:
                return kept[1]  # type: ignore[no-any-return]
            asked = self._asking.get(key)
            if asked is None and len(self._asking) < MOST_ASKING:
                asked = self._asking[key] = _Question(now)
                begin = threading.Thread(
                    # A daemon: what is never answered must not keep the process from ending.
                    target=self._put,
                    args=[key, asked, question, of],
                    name="accounts",
                    daemon=True,
                )
                try:
                    begin.start()
                except RuntimeError:  # no more threads
                    del self._asking[key]
                    asked = None
        if asked is not None:
            asked.done.wait(max(0.0, asked.began + PATIENCE_S - now))
        if asked is None or not asked.done.is_set():
            if kept is not None:
                return kept[1]  # type: ignore[no-any-return]
            raise NoAnswer(about)
        if asked.error is not None:
            raise asked.error
        return asked.value  # type: ignore[no-any-return]

    def _put(
        self, key: Hashable, asked: _Question, question: Callable[..., Any], of: tuple[Any, ...]
    ) -> None:
        try:
            asked.value = question(*of)
        except BaseException as error:  # whatever it is, who asks gets it
            asked.error = error
        with self._lock:
            del self._asking[key]
            if asked.error is None:
                self._kept.pop(key, None)
                self._kept[key] = self._clock(), asked.value
                if len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
        asked.done.set()


SERVICE = NameService()  # the machine has one


def account(name: str) -> pwd.struct_passwd | None:
    """The account of that name; None: there is none.  Raises NoAnswer."""
    return SERVICE.ask(name, _account, name)


def user_name(uid: int) -> str:
    """The name of an account; its number if it has none, or if nobody answers."""
    try:
        return SERVICE.ask(f"uid {uid}", _user_name, uid)
    except NoAnswer:
        return str(uid)


def owner_name(uid: int) -> str:
    """The name of the account with that number; empty: there is none.  Raises NoAnswer."""
    return SERVICE.ask(f"uid {uid}", _owner_name, uid)


def group_name(gid: int) -> str:
    """The name of a group; its number if it has none, or if nobody answers."""
    try:
        return SERVICE.ask(f"gid {gid}", _group_name, gid)
    except NoAnswer:
        return str(gid)


def members(gid: int) -> tuple[str, ...] | None:
    """The names of those whom the group itself lists; None: no such group.  Raises NoAnswer."""
    return SERVICE.ask(f"gid {gid}", _members, gid)


def groups(name: str, gid: int) -> frozenset[int]:
    """The groups of an account whose own group is `gid`, that one among them.  Raises NoAnswer."""
    return SERVICE.ask(f"the groups of {name}", _groups, name, gid)


# -- what asks -----------------------------------------------------------------------


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError, UnicodeEncodeError):  # a NUL; not UTF-8
        return None


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, NameError):  # NameError: Windows
        return str(uid)


def _owner_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError, NameError):  # NameError: Windows
        return ""


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _members(gid: int) -> tuple[str, ...] | None:
    try:
        return tuple(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return None


def _groups(name: str, gid: int) -> frozenset[int]:
    """As os.getgrouplist, which stops all threads of the process until it is answered.

    CPython calls it with its global lock held; ctypes gives the lock away.
    """
    number = ctypes.c_int(64)
    while True:
        found = (ctypes.c_uint32 * number.value)()
        room = number.value
        asked = ctypes.CDLL(None).getgrouplist(
            ctypes.c_char_p(name.encode()), ctypes.c_uint32(gid), found, ctypes.byref(number)
        )
        if asked >= 0:
            return frozenset(found[: number.value])
        if number.value <= room:  # not every system says how many there are
            number.value = 2 * room
        if number.value > _MOST_GROUPS:
            return frozenset(found[:room])
