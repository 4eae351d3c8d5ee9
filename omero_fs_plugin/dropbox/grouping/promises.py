"""Which files the metadata file of a set names, for formats whose readers do not check that.

Bio-Formats opens a MetaMorph series that lacks a plane, and an Operetta plate that lacks an
image.  It fails on a file pattern and does not say which file is missing.  Sources: the
documentation of Bio-Formats' pattern files; MetaMorph's `.nd`, Micro-Manager's `metadata.txt`
and Harmony's index files, which are all text.

It does not promise a name that it cannot derive with certainty.  Whatever a file multiplies out
is counted before, and what is more than any real set has is refused.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.parsers import expat

from omero_fs_plugin.errors import ImportRefused

LIMIT = 64 << 20  # bytes of a metadata file; larger ones are not looked at
MOST = 200_000  # names that one file may promise; the largest plates have half of it
_LONGEST = 4096  # bytes of a name; no path is longer
_PATTERN = 1 << 16  # bytes of a file pattern
_DEEPEST = 64  # elements in elements
# In JSON; as many characters as a path may have bytes, for `re` remembers each of them.
_FILE_NAME = re.compile(rb'"FileName"\s*:\s*"((?:[^"\\]|\\.){0,%d})("|)' % _LONGEST, re.DOTALL)


def is_promising(name: str) -> bool:
    """Whether a file of this name may promise others."""
    return _kind(name) is not None


def promised(name: str, data: bytes, present: Sequence[str]) -> tuple[str, ...]:
    """The names of files that the file `name` with content `data` needs, in its directory.

    `present`: the names in its directory.  Raises ValueError for content that ends too early,
    ImportRefused for content that no real set has.
    """
    kind = _kind(name)
    if kind is None:
        return ()
    names = tuple(itertools.islice(kind(name, data, present), MOST + 1))
    _at_most(len(names))
    return names


def _at_most(number: int) -> None:
    """Raises ImportRefused for more names than may be promised."""
    if number > MOST:
        raise ImportRefused(f"it names more files than a set may have, {MOST}", final=True)


def _kind(name: str) -> Callable[[str, bytes, Sequence[str]], Iterator[str]] | None:
    lowered = name.lower()
    if lowered.endswith(".pattern"):
        return _pattern
    if lowered.endswith(".nd"):
        return _metamorph
    if lowered == "metadata.txt":
        return _micromanager
    if lowered in ("index.xml", "index.idx.xml", "index.ref.xml", "index.flex.xml"):
        return _harmony
    return None


def _pattern(name: str, data: bytes, present: Sequence[str]) -> Iterator[str]:
    """A block, `<0-9>`, `<00-10:2>`, `<a-c>` or `<red,green>`, stands for each value in it."""
    if len(data) > _PATTERN:
        raise ImportRefused(f"a file pattern of more than {_PATTERN} bytes", final=True)
    text = data.decode(errors="replace").strip()
    if "\n" in text or not text:
        return
    pieces = re.split(r"<([^<>]*)>", text)
    blocks: list[list[str]] = []
    number = 1
    for block in pieces[1::2]:
        blocks.append(_block(block))
        number *= len(blocks[-1])
        _at_most(number)
        if not number:
            break
    if not blocks or not number:
        return  # a regular expression, or nothing that is known
    for values in itertools.product(*blocks):
        joined = itertools.zip_longest(pieces[::2], values, fillvalue="")
        yield "".join(itertools.chain.from_iterable(joined))


def _block(text: str) -> list[str]:
    """The values of a block; none if they are not known."""
    values: list[str] = []
    for item in text.split(","):
        numbers = re.fullmatch(r"(\d{1,9})-(\d{1,9})(?::(\d{1,9}))?", item)
        letters = re.fullmatch(r"([a-z])-([a-z])|([A-Z])-([A-Z])", item)
        if numbers:
            first, last, step = int(numbers[1]), int(numbers[2]), int(numbers[3] or 1)
            if not step:
                return []
            _at_most(len(values) + max(0, last - first) // step)
            values += (str(n).zfill(len(numbers[1])) for n in range(first, last + 1, step))
        elif letters:
            low, high = (end for end in letters.groups() if end)
            values += map(chr, range(ord(low), ord(high) + 1))
        else:
            values.append(item)
    return values


def _metamorph(name: str, data: bytes, present: Sequence[str]) -> Iterator[str]:
    """Planes are called `<name>_w1<wave>_s1_t1.tif`; any of the three numbers may be left out."""
    fields = dict(re.findall(r'^"(\w+)", *"?([^"\r\n]*)', data.decode("latin-1"), re.MULTILINE))
    if any(key.startswith("WavePointsCollected") for key in fields):
        return  # some waves at some time points only
    plane = re.compile(
        re.escape(name[:-3])
        + r"(?:_w(?P<w>\d+)(?P<wave>.*?))?(?:_s(?P<s>\d+))?(?:_t(?P<t>\d+))?"
        + r"(?P<end>\.(?:tiff?|stk))",
        re.IGNORECASE,
    )
    planes = [found for found in map(plane.fullmatch, present) if found]
    shapes = {tuple(key for key in "wst" if found[key]) for found in planes}
    if len(shapes) != 1:
        return  # the names differ in their form, so nobody knows those of the others
    counts = {"w": "NWavelengths", "s": "NStagePositions", "t": "NTimePoints"}
    numbers_of: dict[str, int] = {}
    for key in shapes.pop():
        count = fields.get(counts[key], "")
        if not count.isdecimal():
            return
        if len(count) > len(str(MOST)):
            _at_most(MOST + 1)
        numbers_of[key] = int(count)
    _at_most(math.prod(numbers_of.values()))
    ranges = [[(key, number) for number in range(1, most + 1)] for key, most in numbers_of.items()]
    waves = {int(found["w"]): found["wave"] for found in planes if found["w"]}
    there = {
        tuple(int(found[key]) for key in "wst" if found[key]): found.group() for found in planes
    }
    for position in itertools.product(*ranges):
        numbers = tuple(number for _, number in position)
        if numbers in there:
            yield there[numbers]
            continue
        written = name[:-3]
        for key, number in position:
            written += f"_{key}{number}"
            if key == "w":
                in_name = fields.get("WaveInFileName", "").upper() == "TRUE"
                wave = fields.get(f"WaveName{number}", "") if in_name else ""
                written += waves.get(number, wave)
        yield written + planes[0]["end"]


def _micromanager(name: str, data: bytes, present: Sequence[str]) -> Iterator[str]:
    if not data.lstrip().startswith(b"{") or b'"Summary"' not in data[:4096]:
        return
    # As bytes: text of all of it may take four times as much memory.
    told: set[bytes] = set()
    for found in _FILE_NAME.finditer(data):
        quoted, end = found.groups()
        if not end:
            if found.end() == len(data):
                return  # cut short
            raise ImportRefused("it names a file by more bytes than a path may have", final=True)
        if quoted not in told:
            told.add(quoted)
            _at_most(len(told))
            yield str(json.loads(b'"%s"' % quoted.decode(errors="replace").encode()))


def _harmony(name: str, data: bytes, present: Sequence[str]) -> Iterator[str]:
    """The index of a plate from Operetta, Opera Phenix and their like."""
    reader = _Harmony()
    reader.feed(data)
    return iter(dict.fromkeys(reader.names))


class _Harmony:
    """Reads an index; it refuses document types and entities."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._take
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0  # characters of the text so far
        self._image: dict[str, str] = {}

    def feed(self, data: bytes) -> None:
        try:
            self._parser.Parse(data, True)
        except _OtherError:
            self.names.clear()
        except (expat.ExpatError, LookupError) as error:
            raise ValueError(f"its XML cannot be read: {error}") from error

    def _refuse(self, *_: Any) -> None:
        raise ValueError("its XML has a document type or entities, which are not taken")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._path) == _DEEPEST:
            raise ImportRefused(f"its XML is more than {_DEEPEST} elements deep", final=True)
        self._path.append(name.rpartition(" ")[2])
        if len(self._path) == 1 and self._path[0] != "EvaluationInputData":
            raise _OtherError
        self._text, self._length = [], 0
        if self._path[-1] == "Image":
            self._image = {}

    def _take(self, text: str) -> None:
        # A longer text is no name, and is not kept.
        self._length += len(text)
        if self._length <= _LONGEST:
            self._text.append(text)

    def _end(self, name: str) -> None:
        local = self._path.pop()
        if local in ("URL", "State") and self._path[-1:] == ["Image"]:
            self._image[local] = "".join(self._text).strip()
        elif local == "Image" and self._image.get("URL"):
            # An image whose State is not Ok was not taken, and has no file.
            if self._image.get("State", "Ok") == "Ok":
                self.names.append(self._image["URL"])
                _at_most(len(self.names))
            self._image = {}


class _OtherError(Exception):
    """XML of another kind."""
