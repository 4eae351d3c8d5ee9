"""Grouping without Java: by signatures, OME-XML and a few headers.

If it is sure, it groups files as Bio-Formats would.  If only Bio-Formats can tell
the files of a set, it holds them with that reason.  They are never imported in
pieces.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from omero_fs_plugin.config.readers import takes
from omero_fs_plugin.dropbox.confine import NOT_NOW
from omero_fs_plugin.dropbox.grouping import completeness
from omero_fs_plugin.dropbox.grouping.completeness import Findings
from omero_fs_plugin.dropbox.grouping.filesets import Candidate, Grouping
from omero_fs_plugin.dropbox.grouping.formats.omexml import is_companion
from omero_fs_plugin.dropbox.grouping.keeping import holder, kept_back, kept_unreadable
from omero_fs_plugin.dropbox.grouping.opening import Opener, open_file
from omero_fs_plugin.dropbox.grouping.userfiles import UserFiles, is_hidden
from omero_fs_plugin.errors import ImportRefused, Unreadable

from .headers import NEEDED, SUFFIXES, header_of, logs
from .neighbours import Neighbours
from .ome_sets import READER, OmeSets
from .signatures import JAVA, Kind, UnknownFormat, identify, is_dicom, suffix_of

# Some formats split large images.  Their files have the same name except for a number.
_NUMBERED = {
    "czi": re.compile(r"(?s)(.*?)(\(\d+\))?\.czi"),
    "oir": re.compile(r"(?s)(.*?)(_\d{5}|\.oir)"),
}
_MOST_LOOKED_INTO = 2000  # in a directory with more files, nobody looks whether others are DICOM
# A companion that names a file may lie so many directories above it.
_COMPANION_LEVELS = 2


class NativeGrouper:
    """A Grouper that needs no Java.  It keeps nothing between calls.  Thread-safe if its opener is.

    It parses what users wrote in the process that calls it: DropBox has `confined` do that.
    """

    def __init__(self, opener: Opener = open_file) -> None:
        self._opener = opener

    def group(
        self, root: str, files: Sequence[str], readers: Collection[str] | None = None
    ) -> Grouping:
        """As Grouper.group.  It reads a limited part of each file, and never pixels."""
        return _Call(root, files, readers, self._opener).grouping()

    def close(self) -> None:
        """Does nothing, because nothing was started."""


class _Call:
    """One call.  Each step takes the files that it knows; the surest step comes first."""

    def __init__(
        self,
        root: str,
        files: Sequence[str],
        readers: Collection[str] | None,
        opener: Opener,
    ) -> None:
        self._opener = opener
        self._around = UserFiles(root, opener)
        self._neighbours = Neighbours(self._around, readers)
        self._ome = OmeSets(self._around)
        self._readers = readers
        self._asked = dict.fromkeys(sorted(files))  # a set with an order
        self._kinds: dict[str, Kind] = {}
        self._unknown: dict[str, str] = {}  # why, unless it turns out to be a part of a set
        self._candidates: dict[str, Candidate] = {}  # by their first files
        self._unreadable: dict[str, str] = {}
        self._taken: set[str] = set()
        self._series: dict[tuple[str, str], dict[str, list[str]]] = {}  # see _numbered

    def grouping(self) -> Grouping:
        for path in self._asked:
            self._try(path, self._identify)
        self._claimed(early=True)
        for path in self._definers():
            self._try(path, self._defined)
        for path in self._left(lambda kind: kind.rule == "ome"):
            self._try(path, lambda path: self._add(self._ome.of(path)))
        self._claimed(early=False)
        self._dicom()
        for path in self._left():
            self._try(path, self._single)
        why = self._unknown | self._unreadable
        checked = [self._checked(candidate) for candidate in self._candidates.values()]
        for path in self._open_asked():
            if path in self._unknown and completeness.is_index(path):
                checked += self._index(path)
        holders = [one for one in (holder(*pair) for pair in checked) if one is not None]
        unreadable = {p: why[p] for p in self._asked if p in why and p not in self._taken}
        found = list(kept_back([candidate for candidate, _ in checked], holders))
        found = kept_unreadable(found, holders, unreadable)
        covered = {path for candidate in found for path in candidate.files}
        return Grouping(
            tuple(found), {path: w for path, w in unreadable.items() if path not in covered}
        )

    def _open_asked(self) -> list[str]:
        """The files asked about that have no answer yet."""
        return [p for p in self._asked if p not in self._taken and p not in self._unreadable]

    def _left(self, which: Callable[[Kind], bool] = lambda kind: True) -> list[str]:
        return [p for p in self._open_asked() if p in self._kinds and which(self._kinds[p])]

    def _try(self, path: str, step: Callable[[str], None]) -> None:
        """Does one step for one file, unless it is taken.  An error becomes the file's answer."""
        if path in self._taken or path in self._unreadable:
            return
        try:
            step(path)
        except UnknownFormat as fault:
            self._not_read(path, str(fault))
        except ImportRefused as refusal:
            unread = (refusal.path,) if isinstance(refusal, Unreadable) else ()
            if unread and completeness.is_index(path):  # its set waits with it
                self._add(Candidate((path,), incomplete=str(refusal), unread=unread))
            else:
                self._add(Candidate((path,), refused=str(refusal), unread=unread))
        except FileNotFoundError:
            self._not_read(path, "is not there any more")
        except OSError as error:
            # The share is at fault and not the file, so the file waits.
            why = f"{NOT_NOW}: {error.strerror or error}"
            self._add(Candidate((path,), incomplete=why, not_now=True))

    def _not_read(self, path: str, why: str) -> None:
        if path in self._asked:
            self._unreadable[path] = why

    def _add(self, candidate: Candidate) -> None:
        """Takes its files, unless its reader is not wanted.

        Two sets that name the same file both have it, as in OMERO's importer.
        """
        if candidate.reader and not takes(self._readers, candidate.reader):
            name = candidate.reader.rpartition(".")[2]
            for path in candidate.files:
                if path not in self._taken:
                    self._not_read(path, f"{name} would read it, which omero.fs.readers leaves out")
            return
        if not self._asked.keys().isdisjoint(candidate.files):
            self._candidates.setdefault(candidate.files[0], candidate)
            self._taken.update(candidate.files)

    def _checked(self, candidate: Candidate) -> tuple[Candidate, Findings]:
        """The candidate, with what its files contain and promise."""
        if candidate.refused or not candidate.complete:
            of_index = completeness.is_index(candidate.files[0]) and not candidate.refused
            state = self._check(candidate.files[:1]) if of_index else Findings()
            return candidate, state
        state = self._check(candidate.files)
        found = replace(
            candidate,
            missing=state.missing,
            incomplete=state.incomplete,
            alike=state.alike,
            refused=state.refused,
            not_now=state.not_now,
            unread=state.unread,
            remark=state.remark,
            trees=state.trees,
        )
        return found, state

    def _check(self, files: Sequence[str]) -> Findings:
        return completeness.check(self._around.root, files, self._opener)

    def _index(self, path: str) -> Iterator[tuple[Candidate, Findings]]:
        """The index at `path`, which nothing here takes, if it or its set is not whole."""
        state = self._check([path])
        if state.incomplete or state.missing:
            self._taken.add(path)
            files = tuple(dict.fromkeys((path, *state.named)))
            found = Candidate(
                files,
                missing=state.missing,
                incomplete=state.incomplete,
                alike=state.alike,
                not_now=state.not_now,
                unread=state.unread,
            )
            yield found, state

    def _identify(self, path: str) -> None:
        with self._around.open(path) as file:
            if is_hidden(path):
                self._unknown[path] = "a hidden file, and no fileset uses it"
                return
            if is_companion(path) or self._neighbours.marker(path) is not None:
                return
            try:
                self._kinds[path] = identify(file, PurePath(path).name)
            except UnknownFormat as fault:
                self._unknown[path] = str(fault)

    def _claimed(self, *, early: bool) -> None:
        """Holds the sets that a neighbour names, each as one candidate."""
        claimed: dict[str, list[str]] = defaultdict(list)
        whys: dict[str, tuple[str, str, bool]] = {}  # index -> reader, why, whether it is there

        def look(path: str) -> None:
            if is_hidden(path):
                return
            marker = self._neighbours.marker(path)
            if marker is not None and (not early or marker.early):
                claimed[path]  # also without a part
                whys[path] = marker.canonical, marker.why(path), True
            elif marker is None and (claim := self._neighbours.claim(path, early=early)):
                index, marker = claim
                claimed[index].append(path)
                whys[index] = marker.canonical, marker.why(index), True
            elif not early and (index := self._neighbours.folder(path)):
                why = f"a part of {index}, a set that only Bio-Formats can make: {JAVA}"
                whys[index] = "", why, self._around.has(index)
                claimed[index].append(path)

        for path in self._open_asked():
            self._try(path, look)
        for index, parts in claimed.items():
            reader, why, there = whys[index]
            there = there and index not in self._taken
            files = (index, *parts) if there else tuple(parts)
            if files:
                self._add(Candidate(files, reader, held=why))

    def _definers(self) -> list[str]:
        """Files that name others as parts of their set, among those asked about and around them."""
        found = {path for path in self._open_asked() if self._defines(path)}
        near: dict[str, bool] = {}  # directory -> whether headers in it are looked into too
        for path in self._open_asked():
            # The pixels of a header are a file without a format of its own.
            headless = path in self._unknown or self._rule(path) == "ids"
            for level, directory in enumerate(self._around.above(path, _COMPANION_LEVELS)):
                near[directory] = near.get(directory, False) or (headless and level == 0)
        for directory, headers_too in near.items():
            for name in self._around.names(directory):
                if is_companion(name) or (headers_too and self._defines(name)):
                    found.add(str(PurePath(directory, name)))
        # Companions first: the parts of their sets may have any format.
        return sorted(found, key=lambda path: (not is_companion(path), path))

    def _rule(self, path: str) -> str:
        kind = self._kinds.get(path)
        return kind.rule if kind is not None else ""

    def _defines(self, path: str) -> bool:
        return is_companion(path) or suffix_of(path) in SUFFIXES

    def _defined(self, path: str) -> None:
        if is_companion(path):
            # If its reader is left out, it does not count for the files around it.
            if takes(self._readers, READER) or path in self._asked:
                self._add(self._ome.of(path))
            return
        with self._around.open(path) as file:
            try:
                kind = self._kinds.get(path) or identify(file, PurePath(path).name)
            except UnknownFormat:
                return  # a file of that suffix which is something else
            if kind.rule in NEEDED:
                needed = NEEDED[kind.rule](self._around, path, file)
                self._add(self._with_needed(path, kind, needed))

    def _with_needed(self, path: str, kind: Kind, needed: tuple[str, ...]) -> Candidate:
        there = tuple(part for part in needed if self._around.has(part))
        missing = tuple(part for part in needed if part not in there)
        return Candidate((path, *there), kind.canonical, missing=missing)

    def _dicom(self) -> None:
        """DICOM files of one directory may be slices of one series.  Only a single one is sure."""
        by_directory: dict[str, list[str]] = defaultdict(list)
        for path in self._left(lambda kind: kind.rule == "dicom"):
            by_directory[str(PurePath(path).parent)].append(path)
        for directory, paths in by_directory.items():
            if len(paths) == 1 and not self._more_dicom(directory, paths[0]):
                continue
            kind = self._kinds[paths[0]]
            why = (
                "one of several DICOM files in a directory, of which only Bio-Formats can tell "
                f"the series: {JAVA}, or give a file that is no slice of one its own directory"
            )
            self._add(Candidate(tuple(paths), kind.canonical, held=why))

    def _more_dicom(self, directory: str, path: str) -> bool:
        """Whether `path` may have other DICOM files beside it."""
        others = [name for name in self._around.names(directory) if name != PurePath(path).name]
        if len(others) > _MOST_LOOKED_INTO:
            return True
        for name in others:
            if str(PurePath(directory, name)) in self._kinds:
                continue  # asked about, and something else
            try:
                with self._around.open(str(PurePath(directory, name))) as file:
                    if is_dicom(file.read(132), suffix_of(name)):
                        return True
            except FileNotFoundError:
                continue
            except (ImportRefused, OSError):
                return True  # nobody knows
        return False

    def _single(self, path: str) -> None:
        kind = self._kinds[path]
        files: tuple[str, ...] = (path,)
        held = kind.held
        if kind.rule in _NUMBERED:
            files = self._numbered(path, _NUMBERED[kind.rule])
            if len(files) > 1:
                held = f"{kind.format} in {len(files)} files: {JAVA}"
        elif kind.rule == "deltavision":
            files += logs(self._around, path)
        elif kind.rule == "ids":
            header = header_of(self._around, path)
            if self._around.has(header):
                raise UnknownFormat(f"{PurePath(header).name} beside it does not name it")
            return self._add(Candidate(files, kind.canonical, missing=(header,)))
        return self._add(Candidate(files, kind.canonical, held=held))

    def _numbered(self, path: str, expression: re.Pattern[str]) -> tuple[str, ...]:
        """The files of its directory with the name of `path`, except for a number."""
        own = expression.fullmatch(PurePath(path).name)
        if own is None:
            return (path,)
        directory = str(PurePath(path).parent)
        if (directory, expression.pattern) not in self._series:
            series: dict[str, list[str]] = defaultdict(list)
            for name in self._around.names(directory):
                if found := expression.fullmatch(name):
                    series[found[1]].append(str(PurePath(directory, name)))
            self._series[directory, expression.pattern] = series
        return tuple(self._series[directory, expression.pattern].get(own[1], [path]))
