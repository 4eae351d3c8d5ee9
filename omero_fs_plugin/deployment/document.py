"""One grid descriptor, read-only: its bytes, its tree, and the place of each node in the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from lxml import etree

from omero_fs_plugin.errors import DescriptorError

MARK = "omero-fs"
STOCK_TARGET = "omero.fs.stock"

# Our part is ASCII, so it fits into any of these encodings.  `omero admin rewrite` itself
# reads descriptors as UTF-8.
ENCODINGS = ("UTF-8", "US-ASCII", "ASCII", "ISO-8859-1")


@dataclass(frozen=True)
class Span:
    """Where a node lies in the bytes of its document."""

    start: int
    inner_start: int  # after the start tag
    inner_end: int  # before the end tag
    end: int


class Document:
    """One descriptor: its bytes, its tree, and the place of each node in the bytes."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            self.root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise DescriptorError(f"{name} is not well-formed XML: {error}") from error
        info = self.root.getroottree().docinfo
        if b"\0" in data:  # no character of XML has this byte in the encodings above
            raise self.refused("its encoding is UTF-16 or UTF-32, and OMERO reads UTF-8")
        if info.doctype:
            raise self.refused("it has a DOCTYPE, but no grid descriptor needs one")
        if (info.encoding or "UTF-8").upper() not in ENCODINGS:
            raise self.refused(f"its encoding is {info.encoding}, and OMERO reads UTF-8")
        if self.root.tag != "icegrid":
            raise self.refused(f"its root is <{self.root.tag}>, not <icegrid>")
        try:
            self._spans: dict[Any, Span] = dict(zip(self.root.iter(), _spans(data), strict=True))
        except (expat.ExpatError, ValueError) as error:
            raise self.refused(f"it cannot be read in full ({error})") from error

    def refused(self, why: str) -> DescriptorError:
        return DescriptorError(f"{self.name} is left as it is: {why}")

    def span(self, node: Any) -> Span:
        return self._spans[node]

    def marks(self) -> list[tuple[Any, Any]]:
        """The pairs of processing instructions that lie around our part."""
        found = [pi for pi in self.root.iter(etree.ProcessingInstruction) if pi.target == MARK]
        begins, ends = found[::2], found[1::2]
        for begin, end in zip(begins, [*ends, None], strict=False):
            if (
                end is None
                or not begin.text.startswith("begin")
                or end.text.strip() != "end"
                or begin.getparent() is not end.getparent()
            ):
                raise self.refused(
                    f"line {begin.sourceline}: the marks <?{MARK} begin?> and <?{MARK} end?> "
                    "do not come in pairs; put the missing one back, or remove both and "
                    "everything between them"
                )
        return list(zip(begins, ends, strict=True))

    def set_aside(self) -> list[Any]:
        """The targets into which stock elements were put."""
        return [t for t in self.root.iter("target") if t.get("name") == STOCK_TARGET]

    def changed(self, edits: list[tuple[int, int, bytes]]) -> bytes:
        """The bytes with each [start, end) replaced.

        Edits do not overlap.  If two are at the same place, the first in the list comes first.
        """
        pieces, done = [], 0
        for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
            pieces += [self.data[done:start], new]
            done = end
        return b"".join([*pieces, self.data[done:]])


def _spans(data: bytes) -> Iterator[Span]:
    """Where every element, comment and processing instruction below the root's
    start tag is, and the root itself, in the order of lxml's iter().

    expat says where an event begins.  It ends where the next one begins.
    """
    parser = expat.ParserCreate()
    found: list[list[int]] = []
    stack: list[list[int]] = []
    waiting: list[int] | None = None  # the next event adds its last number

    def event() -> int:
        nonlocal waiting
        index: int = parser.CurrentByteIndex
        if waiting is not None:
            waiting.append(index)
            waiting = None
        return index

    def start(*_: object) -> None:
        nonlocal waiting
        waiting = [event()]
        found.append(waiting)
        stack.append(waiting)

    def end(*_: object) -> None:
        nonlocal waiting
        index = event()
        waiting = stack.pop()
        waiting.append(index)

    def single(*_: object) -> None:
        nonlocal waiting
        index = event()
        if stack:  # lxml's iter() of the root leaves out nodes beside the root
            waiting = [index, index, index]
            found.append(waiting)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CommentHandler = single
    parser.ProcessingInstructionHandler = single
    parser.DefaultHandler = lambda _: event()
    parser.Parse(data, True)
    if waiting is not None:
        waiting.append(len(data))
    return (Span(*numbers) for numbers in found)
