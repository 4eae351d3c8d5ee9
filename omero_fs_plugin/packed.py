"""Pure: very many paths and SHA1s in little memory.

A store or a plate has up to hundreds of thousands of files.  A path in a list takes some 150 bytes,
and a SHA1 some 90; here they take 20 to 30 and 21, as long as neighbours begin alike.
"""

from __future__ import annotations

import hashlib
import heapq
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

FEW = 500  # files of a fileset: so few may be a tuple
_BLOCK = 16  # paths, of which the first is kept whole
_RUN = 1024  # texts that are sorted at once
_SHA1 = 20  # bytes
_PLAIN, _NONE, _ODD = 0, 1, 2
_DIGITS = frozenset("0123456789abcdef")

_Item = TypeVar("_Item")


class Packed(Sequence[_Item]):
    """A sequence that makes an item when one is asked for.

    It is equal to any sequence of the same items.
    """

    @abstractmethod
    def _at(self, position: int) -> _Item:
        """`position` is within it."""

    @overload
    def __getitem__(self, position: int) -> _Item: ...

    @overload
    def __getitem__(self, position: slice) -> Sequence[_Item]: ...

    def __getitem__(self, position: int | slice) -> _Item | Sequence[_Item]:
        if isinstance(position, slice):
            return self._some(range(*position.indices(len(self))))
        if position < 0:
            position += len(self)
        if not 0 <= position < len(self):
            raise IndexError(position)
        return self._at(position)

    def _some(self, positions: range) -> list[_Item]:
        return list(map(self._at, positions))

    def __iter__(self) -> Iterator[_Item]:
        return map(self._at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}>"


class Texts(Packed[str]):
    """Paths or names.  Of each is kept where it differs from the one before."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._kept = bytearray()
        self._ends = array("Q")  # in `_kept`
        self._shared = array("I")  # bytes at the begin, as of the one before
        self._last = b""
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Adds one."""
        # Any str: a name that is not valid UTF-8 has lone surrogates.
        whole = text.encode("utf-8", "surrogatepass")
        shared = _alike(whole, self._last) if len(self) % _BLOCK else 0
        self._kept += whole[shared:]
        self._ends.append(len(self._kept))
        self._shared.append(shared)
        self._last = whole

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        return self._each(0, len(self))

    def _each(self, begin: int, end: int) -> Iterator[str]:
        whole = b""
        for position in range(begin - begin % _BLOCK, end):
            whole = self._next(whole, position)
            if position >= begin:
                yield whole.decode("utf-8", "surrogatepass")

    def _at(self, position: int) -> str:
        return next(self._each(position, position + 1))

    def _some(self, positions: range) -> list[str]:
        if positions.step != 1:
            return super()._some(positions)
        return list(self._each(positions.start, positions.stop))

    def _next(self, before: bytes, position: int) -> bytes:
        begin = self._ends[position - 1] if position else 0
        return before[: self._shared[position]] + self._kept[begin : self._ends[position]]


class Sha1s(Packed["str | None"]):
    """SHA1s in lower-case hex.  One may be missing (None), or be another text."""

    def __init__(self, sha1s: Iterable[str | None] = ()) -> None:
        self._kept = bytearray()
        self._kinds = bytearray()
        self._odd: dict[int, str] = {}
        for sha1 in sha1s:
            self.append(sha1)

    def append(self, sha1: str | None) -> None:
        """Adds one."""
        kept, kind = bytes(_SHA1), _NONE
        if sha1 is not None and len(sha1) == 2 * _SHA1 and _DIGITS.issuperset(sha1):
            kept, kind = bytes.fromhex(sha1), _PLAIN
        elif sha1 is not None:
            self._odd[len(self)] = sha1
            kind = _ODD
        self._kept += kept
        self._kinds.append(kind)

    def __len__(self) -> int:
        return len(self._kinds)

    def _at(self, position: int) -> str | None:
        if self._kinds[position] != _PLAIN:
            return self._odd.get(position)
        return self._kept[_SHA1 * position : _SHA1 * (position + 1)].hex()


def in_order(texts: Sequence[str]) -> Iterator[int]:
    """The positions of the texts, sorted by them.  Little more than the positions is in memory."""
    runs = []
    for begin in range(0, len(texts), _RUN):
        some = texts[begin : begin + _RUN]
        order = sorted(range(len(some)), key=some.__getitem__)
        runs.append(array("Q", (begin + one for one in order)))
    return heapq.merge(*runs, key=texts.__getitem__)


def bag(items: Iterable[object]) -> tuple[int, int]:
    """The number of items and one for all of them: the same for the same items in any order."""
    number = total = 0
    for one in items:
        text = str(one).encode("utf-8", "surrogatepass")
        number += 1
        total += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")
    return number, total


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes at the begin are the same."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low
