"""Whether the files of a fileset are whole, and whether all of them are there.

A file is whole if it is not empty, not cut short, and has no hole where its bytes should be.

A reader that opens a fileset proves neither: Bio-Formats accepts a TIFF that was cut short,
and an OME-TIFF whose companion has not come yet.  So for each TIFF this module follows the
chain of directories and compares what they say of pixels with the file's length.  It also
looks for the files that OME-XML promises (OME-TIFF specification, multi-file OME-TIFF).

It reads no pixels, opens only files that `confine` opens, and reads XML without entities and
up to a limit.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import BinaryIO

from omero_fs_plugin.dropbox.confine import NOT_NOW, listing, parts_beneath
from omero_fs_plugin.errors import ImportRefused, Unreadable
from omero_fs_plugin.events import NOTHING_THERE

from .filesets import Reach, folded
from .formats import dicom, ends, omexml, tiff, tiff_chain
from .formats.holes import holes_of
from .formats.omexml import OmeXml, OmeXmlError
from .opening import Opener, open_file
from .promises.said import Index, Said, TooLarge
from .promises.table import ANY_DEPTH, SNIFFED, Kind, kind_of, may_promise, only_promises
from .userfiles import no_name

_COMPANION_DEPTH = 2  # its files may lie so many directories below it
# A log in which nothing was written (index files are read), and images that a name describes.
_MAY_BE_EMPTY = (".log", ".txt", ".fake")
_MOST_NAMED = 1000  # missing files that are listed
# How a name may differ from one that looks the same.
_CASE = "letters in another case"
_NFD = "an accent that is written in another way (NFD or NFC)"
_TOLD = 100  # characters of a name in a message
_TIFF = (".tif", ".tiff", ".tf2", ".tf8", ".btf")
# A file with one of these names never begins with zeros.  Raw pixels and DICOM may.
_NEVER_ZEROS = (
    *_TIFF,
    *(".stk", ".lsm", ".svs", ".ndpi", ".flex", ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".jp2"),
    *(".czi", ".nd2", ".lif", ".lof", ".oir", ".h5", ".ets"),
)
_BEGIN = 64  # bytes
_ZEROS = "begins with zeros: its bytes are not written yet"


@dataclass(frozen=True)
class Findings:
    """What is wrong with a fileset.  If all fields are empty, nothing is known to be wrong."""

    missing: tuple[str, ...] = ()  # absolute paths
    incomplete: str = ""  # which file is not whole, and how that is known
    alike: str = ""  # see Candidate
    refused: str = ""  # which name leads out of the user's directory
    not_now: bool = False  # see Candidate
    unread: tuple[str, ...] = ()  # see Candidate
    remark: str = ""  # what people are told of it, though it is imported as it is
    # Files that its OME-XML names and that are there, whether a reader used them or not.
    named: tuple[str, ...] = ()
    # Files around an index that is not whole, or that lacks files: they are kept back with it.
    keeps: tuple[Reach, ...] = ()
    trees: tuple[Reach, ...] = ()  # see Candidate


def check(root: str, files: Sequence[str], opener: Opener = open_file) -> Findings:
    """What is known to be wrong with a fileset of `files`, absolute paths below `root`.

    A file that is gone is missing.  If `confine` does not open a file, the fileset is refused.
    If a file cannot be read now, the fileset is incomplete.
    """
    found = _Check(root, opener, files)
    # Companions first: there is no need to read the XML of a file that a companion names.
    for path in sorted(files, key=lambda path: not omexml.is_companion(path)):
        found.take(path)
    found.take_named(files)
    return found.findings()


def is_index(path: str) -> bool:
    """Whether a file of this name may be the index of a set."""
    return omexml.is_companion(path) or may_promise(path.rpartition("/")[2])


def is_only_index(path: str) -> bool:
    """Whether a file of this name is the index of a set, and has no images of its own."""
    return omexml.is_companion(path) or only_promises(path.rpartition("/")[2])


class _Check:
    """The check of one fileset, file by file."""

    def __init__(self, root: str, opener: Opener, files: Sequence[str]) -> None:
        self._root = root
        self._files = files
        self._in_set = len(files) > 1  # of an empty file alone the reader decides
        # Whether what is looked at is named, and its reader does not use it.
        self._besides = False
        self._of_others: set[str] = set()  # files that are named for the OME-XML of others
        self._opener = opener
        self._at_least: dict[str, tuple[int, str]] = {}  # path -> bytes, and who says so
        self._nested: list[tuple[str, Kind]] = []
        self._by_name: dict[str, str] = {}  # of `files`
        self._listed: dict[str, Sequence[str]] = {}
        self._used: frozenset[str] = frozenset()  # `files`, with their names `folded`
        self._folded: dict[str, dict[str, str]] = {}  # directory -> by `folded`
        self._keeps: list[Reach] = []
        self._trees: list[Reach] = []
        self._missing: dict[str, None] = {}
        self._named: dict[str, None] = {}
        self._incomplete = ""
        self._alike = ""
        self._refused = ""
        self._not_now = False
        self._unread: dict[str, None] = {}
        self._slices: dict[str, list[int]] = {}  # DICOM: series -> numbers

    def findings(self) -> Findings:
        if self._incomplete or self._missing:
            for path, kind in self._nested:
                self._keep(path, kind)
        return Findings(
            tuple(self._missing),
            self._incomplete,
            self._alike,
            self._refused,
            self._not_now,
            tuple(self._unread),
            self._remark(),
            tuple(self._named),
            tuple(self._keeps),
            tuple(self._trees),
        )

    def _remark(self) -> str:
        """Slices that a series of DICOM lacks: a scanner may leave numbers out, so it is whole."""
        for numbers in self._slices.values():
            if missing := dicom.gaps(numbers):
                told = f"{len(numbers)} slices from {min(numbers)} to {max(numbers)}"
                return f"the series has {told}, and {missing}"
        return ""

    def take(self, path: str) -> None:
        if why := no_name(path):
            self._refused = self._refused or f"it has a file {path[-_TOLD:]!r}, {why}"
            return
        try:
            with self._opener(self._root, path) as file:
                self._look(path, file)
        except FileNotFoundError:
            self._missing.setdefault(path)
        except ImportRefused as refusal:
            if isinstance(refusal, Unreadable):
                self._unread.setdefault(refusal.path)
                self._unread_index(path)
            if refusal.final:
                self._refused = self._refused or str(refusal)
            else:
                self._incomplete = self._incomplete or str(refusal)
        except OSError as error:
            words = f"{path}: {NOT_NOW}: {error.strerror}"
            self._not_now = True
            self._unread_index(path)
            self._incomplete = self._incomplete or words

    def _unread_index(self, path: str) -> None:
        """An index that cannot be read may name any file around it."""
        directory, _, name = path.rpartition("/")
        if omexml.is_companion(path):
            self._keeps.append(Reach(directory, _COMPANION_DEPTH))
        elif may_promise(name) and (kind := kind_of(name, b"")) is not None and kind.keeps:
            self._keep(path, kind)

    def take_named(self, taken: Sequence[str]) -> None:
        """Looks at the files that are named, but are not among `taken`: no reader may use them."""
        self._in_set = True
        known = set(taken)
        for path, (least, by) in self._at_least.items():
            if path in known:
                self._is_long_enough(path, least, by)
        while new := [path for path in self._named if path not in known]:
            for path in new:
                known.add(path)
                self._besides = True
                self.take(path)

    def _look(self, path: str, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        name = path.rpartition("/")[2]
        if omexml.is_companion(path):
            self._companion(path, file, size)
            return
        head, kind = b"", None
        if may_promise(name):
            head = file.read(SNIFFED)
            kind = kind_of(name, head)
        before, self._incomplete = self._incomplete, ""
        if kind is not None and head and not any(head[:_BEGIN]):
            self._incomplete = f"{path}: {_ZEROS}"
        else:
            self._look_into(path, file, size, kind)
        if self._incomplete and kind is not None and kind.keeps:
            self._keep(path, kind)  # it may yet name any of them
        self._incomplete = before or self._incomplete

    def _look_into(self, path: str, file: BinaryIO, size: int, kind: Kind | None) -> None:
        if size:
            if kind is not None:
                self._promising(path, file, size, kind)
            self._whole(path, file, size)
        elif kind is not None and kind.keeps:
            self._incomplete = f"{path}: it is empty"
        else:
            empty = self._in_set and not path.lower().endswith(_MAY_BE_EMPTY)
            self._incomplete = f"{path}: it is empty" if empty else ""

    def _whole(self, path: str, file: BinaryIO, size: int) -> None:
        """Whether the file itself goes on to its end."""
        if (layout := tiff.read_layout(file)) is not None and not _is_dicom(file):
            fault = tiff_chain.fault(file, layout, size, holes_of(file, size))
            if fault:
                self._incomplete = self._incomplete or f"{path}: {fault}"
            elif path not in self._named or path in self._of_others:
                self._description(path, file)
        elif fault := (
            ends.fault(file, path, size, holes_of(file, size)) or self._begin(path, file)
        ):
            self._incomplete = self._incomplete or f"{path}: {fault}"
        elif self._in_set and (found := ends.slice_of(file, path, size)) is not None:
            self._slices.setdefault(found[0], []).append(found[1])

    def _begin(self, path: str, file: BinaryIO) -> str:
        """What shows that the begin of a member is not written yet.

        On a share a hole does not show: what nobody has written are zeros, as a black plane is.
        """
        lowered = path.lower()
        if self._besides and lowered.endswith(_TIFF):
            return "does not begin as a TIFF does"
        if self._in_set and lowered.endswith(_NEVER_ZEROS):
            file.seek(0)
            if not any(file.read(_BEGIN)):
                return _ZEROS
        return ""

    def _companion(self, path: str, file: BinaryIO, size: int) -> None:
        if size > omexml.LIMIT:
            return  # it is not known whether it is whole, but the reader has taken it
        try:
            said = omexml.of_companion(file)
        except OmeXmlError as error:
            self._incomplete = self._incomplete or f"{path}: {error}"
            self._keeps.append(Reach(str(PurePath(path).parent), _COMPANION_DEPTH))
            return
        self._promises(path, said, own=False)

    def _promising(self, path: str, file: BinaryIO, size: int, kind: Kind) -> None:
        directory, name = str(PurePath(path).parent), PurePath(path).name

        def names_in(below: str) -> Sequence[str]:
            return self._names(os.path.normpath(f"{directory}/{below}"))

        try:
            beside = partial(_lies_in, directory)
            said = kind.says(Index(name, file, size, names_in, beside))
        except TooLarge:
            return  # it is not known whether it is whole, but the reader has taken it
        except ImportRefused as refusal:
            raise ImportRefused(f"{path}: {refusal}", final=True) from refusal
        lacks: list[str] = []
        for promise, least in said.files.items():
            target = os.path.normpath(str(PurePath(directory, promise)))
            if kind.depth and not _is_there(target):
                target = self._below(directory, target, kind)
            if not self._expect(path, promise, target):
                lacks.append(target.rpartition("/")[2])
            elif least:
                self._at_least.setdefault(target, (least, name))
        if said.unfinished:
            self._incomplete = self._incomplete or f"{path}: {said.unfinished}"
        if kind.nested:
            self._nested.append((path, kind))
        elif lacks and kind.depth:
            self._keeps.append(Reach(directory, kind.depth, names=tuple(lacks)))
        if kind.overview and said.files and not lacks and not said.unfinished:
            self._overview(path, directory, said)
        if kind.tree:
            self._trees.append(_tree(directory, name, kind, said))

    def _keep(self, path: str, kind: Kind) -> None:
        suffixes = () if "*" in kind.keeps else kind.keeps
        self._keeps.append(Reach(str(PurePath(path).parent), kind.depth, suffixes))

    def _overview(self, path: str, directory: str, said: Said) -> None:
        """What its reader takes is an overview if it uses no file of the set besides the index."""
        promised = {os.path.normpath(f"{directory}/{name}") for name in said.files}
        if len(self._files) == 1 or promised.isdisjoint(self._files):
            where = next(iter(said.files)).rpartition("/")[0]
            why = "its reader uses no file of"
            self._incomplete = f"{path}: {why} {where}/, so only an overview would be imported"

    def _below(self, directory: str, target: str, kind: Kind) -> str:
        """Where a reader has found the file that the index calls `target` by its base name."""
        if not self._by_name:
            self._by_name = {path.rpartition("/")[2]: path for path in self._files}
        found = self._by_name.get(target.rpartition("/")[2], "")
        reach = Reach(directory, kind.depth)
        return found if found and reach.takes(found) else target

    def _names(self, directory: str) -> Sequence[str]:
        """The names in a directory below the root; none if there is no such directory."""
        found = self._listed.get(directory)
        if found is None:
            try:
                with listing(self._root, directory) as opened, os.scandir(opened) as entries:
                    found = sorted(entry.name for entry in entries)
            except (FileNotFoundError, NotADirectoryError):
                found = []
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL):
                    raise
                found = []
            self._listed[directory] = found
        return found

    def _is_long_enough(self, path: str, least: int, by: str) -> None:
        try:
            size = os.lstat(path).st_size
        except FileNotFoundError:
            return  # it is missing, and was noted as such
        if size < least:
            words = f"{path}: {by} promises {least} bytes of it, and it has {size}"
            self._incomplete = self._incomplete or words

    def _description(self, path: str, file: BinaryIO) -> None:
        try:
            said = omexml.of_tiff(file)
        except (OmeXmlError, tiff.TiffError) as error:
            # Else readers take it as a TIFF without OME-XML.
            if path in self._of_others or isinstance(error, omexml.NotWritten):
                self._incomplete = self._incomplete or f"{path}: {error}"
            return
        if said is None:
            if path in self._of_others:
                self._incomplete = self._incomplete or f"{path}: has no OME-XML"
            return
        if said.metadata_file:
            target = os.path.normpath(_joined(path, said.metadata_file))
            self._of_others.add(target)
            self._expect(path, said.metadata_file, target)
        self._promises(path, said, own=True)

    def _promises(self, path: str, said: OmeXml, *, own: bool) -> None:
        """`own`: the file at `path` has planes itself, and may have been renamed."""
        for name, uuid in said.files.items():
            # As in OMETiffReader: a name that is not there means the file itself, if the UUID is
            # its own, if it has no UUID, or if there is no other name.
            itself = own and (uuid == said.uuid or not said.uuid or len(said.files) == 1)
            target = _joined(path, name)
            if not (itself and not os.path.lexists(target)):
                self._expect(path, name, target)

    def _expect(self, path: str, name: str, target: str) -> bool:
        """Expects `target`, which the file at `path` calls `name`.  Whether it is there."""
        target = os.path.normpath(target)
        if why := no_name(target):
            told = f"{path} names a file {name[:_TOLD]!r}, {why}"
            self._refused = self._refused or told
            return True
        try:
            parts_beneath(self._root, target)
        except ImportRefused:
            self._refused = self._refused or f"{path} names {name}, which is not below {self._root}"
            return True
        if _is_there(target):
            self._named.setdefault(target)
            return True
        if self._is_used_as(target):
            return True
        if len(self._missing) < _MOST_NAMED:
            self._missing.setdefault(target)
            self._note_alike(target)
        return False

    def _is_used_as(self, target: str) -> bool:
        """Whether a reader has found it by a name that is the same for people."""
        if not self._used:
            self._used = frozenset(map(_with_folded_name, self._files))
        return _with_folded_name(target) in self._used

    def _note_alike(self, target: str) -> None:
        """Notes what is there in place of a missing file, if its name is the same for people.

        It is kept back: it is the missing one, or nobody can know.
        """
        directory, _, wanted = target.rpartition("/")
        try:
            found = self._by_folded(directory).get(folded(wanted), "")
        except OSError:
            return  # whoever looks at the directory says so
        if found and found != wanted:
            self._keeps.append(Reach(directory, names=(found,)))
            has = _NFD if found.casefold() != wanted.casefold() else _CASE
            self._alike = self._alike or f"{found} is there, which has {has}: rename it"

    def _by_folded(self, directory: str) -> dict[str, str]:
        if directory not in self._folded:
            self._folded[directory] = {folded(name): name for name in self._names(directory)}
        return self._folded[directory]


def _with_folded_name(path: str) -> str:
    directory, slash, name = path.rpartition("/")
    return directory + slash + folded(name)


def _lies_in(directory: str, name: str) -> bool:
    return _is_there(f"{directory}/{name}")


def _tree(directory: str, name: str, kind: Kind, said: Said) -> Reach:
    """The tree that must be quiet around the index called `name`."""
    stem = name.rpartition(".")[0]
    if kind.tree != ".":
        tree = kind.tree.format(name=name, stem=stem)
        return Reach(os.path.normpath(f"{directory}/{tree}"), ANY_DEPTH)
    if kind.keeps:
        return Reach(directory, kind.depth, kind.keeps)
    return Reach(directory, names=tuple(f"{stem}_{n:05}" for n in range(1, len(said.files) + 18)))


def _joined(path: str, name: str) -> str:
    """Joins a file's directory and a name as Java does: `/name` is below the directory too."""
    return f"{path.rpartition('/')[0]}/{name}"


def _is_dicom(file: BinaryIO) -> bool:
    """The first 128 bytes of DICOM may look like TIFF, without the directories of a TIFF."""
    file.seek(128)
    return file.read(4) == b"DICM"


def _is_there(path: str) -> bool:
    """Raises OSError."""
    if "\0" in path:  # no file can be called so
        return False
    try:
        return stat_module.S_ISREG(os.lstat(path).st_mode)
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return False
        raise
