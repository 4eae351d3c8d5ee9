"""Indexes of lines: file patterns, MetaMorph's ``.nd``, MetaXpress's ``.htd``."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from omero_fs_plugin.errors import ImportRefused

from . import said
from .said import Index, Said, at_most, promising

_PATTERN = 1 << 16  # bytes of a file pattern
_IMAGES = (".tif", ".tiff", ".pnl")
_MOST_WELLS = 1 << 14  # a plate of 1536 wells has a tenth of it
_FIELD = re.compile(r'^"(\w+)"[ \t]*,?[ \t]*"?([^"\r\n]*)', re.MULTILINE)


def nothing(index: Index) -> Said:
    """An index that nobody but its reader can read: the tree around it must be at rest."""
    return Said(unfinished="" if index.head(1 << 12).strip(b"\0\r\n ") else "it is empty")


def pattern(index: Index) -> Said:
    """A block, `<0-9>`, `<00-10:2>`, `<a-c>` or `<red,green>`, stands for each value in it."""
    data = index.data()
    if len(data) > _PATTERN:
        raise ImportRefused(f"a file pattern of more than {_PATTERN} bytes", final=True)
    text = data.decode(errors="replace").strip()
    if text.count("<") != text.count(">"):
        return Said(unfinished="a block in it has no end")
    told = promising(_expanded(text))
    present = set(index.names_in(""))
    lacking = tuple(name for name in told.files if name not in present)
    if lacking and any(name.startswith(lacking) for name in present):
        return Said(told.files, "it ends in the middle of a name")
    return told


def _expanded(text: str) -> Iterator[str]:
    if "\n" in text or not text:
        return
    pieces = re.split(r"<([^<>]*)>", text)
    blocks: list[list[str]] = []
    number = 1
    for block in pieces[1::2]:
        blocks.append(_block(block))
        number *= len(blocks[-1])
        at_most(number)
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
            at_most(len(values) + max(0, last - first) // step)
            values += (str(n).zfill(len(numbers[1])) for n in range(first, last + 1, step))
        elif letters:
            low, high = (end for end in letters.groups() if end)
            values += map(chr, range(ord(low), ord(high) + 1))
        else:
            values.append(item)
    return values


def metamorph(index: Index) -> Said:
    """Planes are called `<name>_w1<wave>_s1_t1.tif`; any of the three numbers may be left out."""
    fields = _fields(index)
    unfinished = _without_end(fields, "NDInfoFile")
    if not index.data().strip():
        unfinished = "it is empty"
    return promising(_planes(index.name, fields, index.names_in("")), unfinished)


def _fields(index: Index) -> Mapping[str, str]:
    """The values of lines such as `"NTimePoints", 2`, by their names."""
    return {key: value.strip() for key, value in _FIELD.findall(index.data().decode("latin-1"))}


def _without_end(fields: Mapping[str, str], first: str) -> str:
    """What shows that the last line is not there, in a file that has the first one."""
    if first not in fields or "EndFile" in fields:
        return ""
    return "its last line, EndFile, is not there yet"


def _planes(name: str, fields: Mapping[str, str], present: Sequence[str]) -> Iterator[str]:
    if any(key.startswith("WavePointsCollected") for key in fields):
        return  # some waves at some time points only
    plane = re.compile(
        re.escape(name[:-3])
        + r"(?:_w(?P<w>\d+)(?P<wave>.*?))?(?:_s(?P<s>\d+))?(?:_t(?P<t>\d+))?"
        + r"(?P<end>\.(?:tiff?|stk))",
        re.IGNORECASE | re.DOTALL,
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
        if len(count) > len(str(said.MOST)):
            at_most(said.MOST + 1)
        numbers_of[key] = int(count)
    at_most(math.prod(numbers_of.values()))
    ranges = [[(key, number) for number in range(1, most + 1)] for key, most in numbers_of.items()]
    waves = {int(found["w"]): found["wave"] for found in planes if found["w"]}
    there = {
        tuple(int(found[key]) for key in "wst" if found[key]): found.group()
        for found in planes
        if _is_spelled(found, name[:-3], fields)
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


def _is_spelled(found: re.Match[str], stem: str, fields: Mapping[str, str]) -> bool:
    """Whether the letters of a plane's name are in the case in which its reader looks for them."""
    marks = [mark for key, mark in (("w", "_w"), ("s", "_s"), ("t", "_t")) if found[key]]
    at = [found.group()[found.start(mark[1]) - 2 : found.start(mark[1])] for mark in marks]
    wave = fields.get(f"WaveName{found['w']}", "")
    in_name = found["wave"] or ""
    other_wave = in_name != wave and in_name.lower() == wave.lower()
    return found.group().startswith(stem) and at == marks and not other_wave


def metaxpress(index: Index) -> Said:
    """Which wells, sites and waves were chosen; each has a file, `<name>_A01_s1_w1<any>.tif`.

    For each time point there is a directory, `TimePoint_1`, or the files lie beside the index.
    """
    fields = _fields(index)
    unfinished = _without_end(fields, "HTSInfoFile")
    if unfinished or "HTSInfoFile" not in fields:
        return Said(unfinished=unfinished)
    present = {name.lower() for name in index.names_in("")}
    folders = sorted(name for name in present if re.fullmatch(r"timepoint_\d{1,6}", name))
    times = _count(fields, "TimePoints", 1)
    if folders and len(folders) < times:
        return Said(unfinished=said.fewer(times, len(folders), "time points"))
    wanted = list(_chosen(index.stem.lower(), fields))
    promised: list[str] = []
    for folder in folders or [""]:
        names = set(index.names_in(""))
        where = ""
        if folder:
            real = next(name for name in index.names_in("") if name.lower() == folder)
            names, where = set(index.names_in(real)), f"{real}/"
        there = _there(_spelled(index.stem, names))
        lacking = [name for name in wanted if name not in there]
        if len(lacking) == len(wanted) and any(name.lower().endswith(_IMAGES) for name in names):
            continue  # they have names of another kind, as those of CellWorx
        if lacking:
            missing = f"{len(lacking)} of them, such as {where}{lacking[0]}, are not there"
            return Said(unfinished=f"it promises {len(wanted)} images, and {missing}")
        promised += (where + there[name] for name in wanted)
    return promising(promised)


def _count(fields: Mapping[str, str], key: str, default: int) -> int:
    value = fields.get(key, "")
    return int(value) if value.isdecimal() and len(value) < 8 else default


def _spelled(stem: str, names: Collection[str]) -> Collection[str]:
    """`names` without those in whose case their reader does not look for them."""
    exact = re.compile(re.escape(stem) + r"_[A-Z]{1,2}\d{2}(_s\d+)?(_w\d)?(?!_[SW]\d)")
    return [name for name in names if exact.match(name)] or names


def _there(names: Collection[str]) -> Mapping[str, str]:
    """How the names of TIFF files begin, in lower case, and the names.  Thumbnails do not count."""
    there: dict[str, str] = {}
    for name in sorted(names):
        lowered = name.lower()
        if lowered.endswith(_IMAGES) and "_thumb" not in lowered:
            found = re.match(r"(?s)(.*_[a-z]{1,2}\d{2})(_s\d+)?(_w\d)?", lowered)
            if found:
                for begin in (found[0], found[1] + (found[2] or ""), found[1]):
                    there.setdefault(begin, name)
    return there


def _chosen(stem: str, fields: Mapping[str, str]) -> Iterator[str]:
    """How the name of each image begins, in lower case."""
    wells = [
        f"{_letters(row)}{column:02}"
        for row, column in _flags(fields, "WellsSelection", "XWells", "YWells")
    ]
    sites = [""]
    if fields.get("Sites", "").upper() == "TRUE":
        columns = _count(fields, "XSites", 1)
        of = _flags(fields, "SiteSelection", "XSites", "YSites")
        sites = [f"_s{row * columns + column}" for row, column in of] or [""]
    waves = [""]
    number = _count(fields, "NWavelengths", 1)
    if fields.get("Waves", "").upper() == "TRUE" and number > 1:
        at_most(number)
        waves = [f"_w{wave}" for wave in range(1, number + 1)]
    at_most(len(wells) * len(sites) * len(waves))
    for well, site, wave in itertools.product(wells, sites, waves):
        yield f"{stem}_{well}{site}{wave}"


def _flags(fields: Mapping[str, str], key: str, across: str, down: str) -> list[tuple[int, int]]:
    """(row from 0, column from 1) of each that is TRUE in `<key>1`, `<key>2` ..., by rows."""
    columns, rows = _count(fields, across, 0), _count(fields, down, 0)
    if columns * rows > _MOST_WELLS:
        at_most(said.MOST + 1)
    found = []
    for row in range(rows):
        values = [value.strip().upper() for value in fields.get(f"{key}{row + 1}", "").split(",")]
        found += [(row, n) for n, value in enumerate(values[:columns], 1) if value == "TRUE"]
    return found


def _letters(row: int) -> str:
    """The name of a row, in lower case: a to z, then aa."""
    return chr(ord("a") + row) if row < 26 else "a" + chr(ord("a") + (row - 26) % 26)
