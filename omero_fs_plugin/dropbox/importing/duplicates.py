"""Whether the content of a fileset is in OMERO already, or another fileset brings it there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.confine.twice import shown_twice
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.recalling import as_store
from omero_fs_plugin.dropbox.journal.records import FOUND_IN_OMERO, HANDED_OVER, Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.places import NOBODY
from omero_fs_plugin.stores import is_store

from .importers import UnderWay
from .importers.disk import meaning
from .stores import first_paths

log = logging.getLogger(__name__)


class Duplicates:
    """Decides whether there is a known reason not to import one fileset.

    Rule: it is decided twice.  `look` asks OMERO before the upload.  `make_sure` asks the journal
    just before OMERO is told to import, in the step that notes this.  So of two filesets with the
    same content, which come at the same time, one waits for the other.
    """

    def __init__(
        self,
        journal: Journal,
        omero: Omero,
        user: User,
        fileset: Fileset,
        *,
        import_duplicates: bool,
        exclude_imported_paths: bool,
        shared: bool = False,
    ) -> None:
        """The options are those of Attempt."""
        self._journal, self._omero = journal, omero
        self._user, self._fileset = user, fileset
        self._import_duplicates = import_duplicates
        self._exclude_imported_paths = exclude_imported_paths
        self._shared = shared
        # Imported filesets of the same content that did not speak against the import.
        self._known: set[int] = set()
        # Filesets of other users that have the same file, and do not speak against it either.
        self._apart: set[int] = set()

    def look(self, sha1s: Callable[[], Sequence[str]]) -> State | None:
        """The state of the fileset if there is nothing to import; None if there is.

        `sha1s` gives the SHA1 of each file.  It is called only if the user has another fileset with
        a file of the same size, or another user has one from the same path of a shared directory.
        Raises UnderWay, and what `sha1s` raises.
        """
        return (
            self._same_content(sha1s)
            or self._of_another()
            or self._of_a_former_owner(sha1s)
            or self._excluded()
        )

    def make_sure(self, sha1s: Sequence[str], start: int) -> None:
        """Notes that OMERO is told to import now.  Raises UnderWay if another one is before us.

        `start` says which start of OMERO is told, as `activity.start_of` has it.
        """
        known = None if self._import_duplicates else self._known
        _unless(self._journal.note_verified(self._fileset, sha1s, known, self._apart, start))

    def _excluded(self) -> State | None:
        """Skips what was imported from this path before, with any content, if that is wanted."""
        if not self._exclude_imported_paths:
            return None
        rules = self._omero.path_rules
        paths = first_paths(self._fileset, rules)
        for there in (f for path in paths for f in self._omero.filesets(self._user, path)):
            if there.images:
                return self._skip(
                    f"--exclude clientpath: imported from this path before, as Fileset:{there.id}"
                )
        return None

    def _same_content(self, ask: Callable[[], Sequence[str]]) -> State | None:
        """Skips files whose bytes OMERO already has for this user; None if it has not.

        A file was only renamed, touched or chmod-ed if its path or its inode is the
        same, or if nothing is at its former path any more.  Any other file is a copy.
        """
        if not self._journal.has_twin(self._fileset):
            return None
        sha1s = ask()
        _unless(self._journal.under_way(self._fileset, sha1s[0]))
        # A file that many sets share, such as an empty one, does not make them copies.
        twins = self._journal.same_content(self._fileset.user, sha1s)
        self._known.update(twin.id for twin in twins)
        there = [twin for twin in twins if self._is_there(twin)]
        for twin in twins:
            pairs = list(zip(twin.files, self._fileset.files, strict=True))
            same = all(_same_file(twin.root, was, met) for was, met in pairs)
            if same and twin in there:
                return self._is_known(twin)
            deleted = not there and self._fileset.origin != HANDED_OVER
            if deleted and all(_untouched(was, met) for was, met in pairs):
                # Nobody has dropped it again, so it stays deleted in OMERO.
                return self._is_known(
                    twin, ", which was deleted there since; `omero fs import` imports it again"
                )
        if not there or self._import_duplicates:
            return None
        first = there[-1]
        reason = f"the same content as {first.path}, imported as {_in_omero(first)}"
        self._journal.duplicate(self._fileset.id, first.id, reason)
        return State.SKIPPED

    def _of_another(self) -> State | None:
        """Skips a file that mounts show in two users' directories, if the other user has it.

        The user whose file is met first gets the image.  If somebody hands it over, it is imported
        for the user that is named then.  So it is where users share a directory, and the owner of
        a file says whose it is: one that was given to another account stays whose it was.

        The other one may be the same user of OMERO, who was called differently then.
        """
        met = self._fileset.files[0]
        for other in self._journal.of_others(self._fileset):
            names = [one.path for one in other.files if one.stat.inode == met.stat.inode]
            given = other.root == self._fileset.root and met.stat in [f.stat for f in other.files]
            try:
                twice = given or any(
                    shown_twice(self._fileset.root, met.path, other.root, name) for name in names
                )
            except OSError as error:
                raise meaning(error, met.path) from error
            if self._fileset.origin != HANDED_OVER and self._is_ours(other):
                return self._skip(
                    f"the same file as {other.path}, imported for {other.user}, who is called "
                    f"{self._user.name} now, as {_in_omero(other)}"
                )
            if not twice or self._fileset.origin == HANDED_OVER:
                self._apart.add(other.id)
            elif other.state is not State.IMPORTED:
                _unless(other.id)
            elif self._is_there(other):
                how = "before it was given away" if given else "by another mount"
                reason = (
                    f"the same file as {names[0]} of {other.user}, {how}, imported as "
                    f"{_in_omero(other)}"
                )
                return self._skip(reason)
            else:
                self._apart.add(other.id)  # nobody has it in OMERO any more
        return None

    def _of_a_former_owner(self, ask: Callable[[], Sequence[str]]) -> State | None:
        """Skips a file that another user has, who gave it away after the journal was lost.

        Only where the owner of a file says whose it is: nothing else than OMERO knows then whose it
        was.  What the journal has met itself, it knows better.
        """
        if not self._shared or self._fileset.origin == HANDED_OVER:
            return None
        for path in first_paths(self._fileset, self._omero.path_rules):
            for name, theirs in self._omero.filesets_of_others(self._user, path).items():
                whole = [one for one in theirs if one.images and one.paths[0] == path]
                met = self._journal.met_in(one.id for one in whole)
                for one in whole:
                    of_dropbox = name not in NOBODY and one.id not in met
                    if of_dropbox and sorted(map(str, as_store(one).hashes)) == sorted(ask()):
                        images = ",".join(map(str, one.images))
                        return self._skip(
                            f"imported for {name}, before it was given away, as "
                            f"Fileset:{one.id}, Image:{images}"
                        )
        return None

    def _is_ours(self, other: Fileset) -> bool:
        """Whether it was imported for the same user of OMERO, and its images are there."""
        return (
            other.state is State.IMPORTED
            and other.server_fileset is not None
            and self._omero.has_fileset(self._user, other.server_fileset)
            and self._is_there(other)
        )

    def _is_there(self, twin: Fileset) -> bool:
        """Whether OMERO still has its images."""
        return bool(self._omero.filesets_of_images(twin.images))

    def _is_known(self, twin: Fileset, but: str = "") -> State:
        """Skips what was imported before.  The journal then knows the file as it is now."""
        paths = [[met.path for met in one.files] for one in (twin, self._fileset)]
        itself = twin.origin == FOUND_IN_OMERO or paths[0] == paths[1]
        if itself and not but and self._fileset.origin != HANDED_OVER:
            self._journal.met(self._fileset.id, twin.id, self._fileset.files)
            log.info("fileset %d: it is fileset %d, %s", self._fileset.id, twin.id, _in_omero(twin))
            return State.SKIPPED
        if itself and not but and paths[0] == paths[1] and twin.origin == FOUND_IN_OMERO:
            # Whoever has handed it over asks for this fileset.
            assert twin.server_fileset is not None
            sha1s = [str(sha1) for sha1 in twin.sha1s]
            self._journal.imported(self._fileset.id, twin.server_fileset, twin.images, sha1s)
            return State.IMPORTED
        for position, met in enumerate(self._fileset.files):
            self._journal.moved(twin.id, position, met)
        was = twin.files[0]
        return self._skip(f"the same file as {was.path}, imported as {_in_omero(twin)}{but}")

    def _skip(self, reason: str) -> State:
        self._journal.move(self._fileset.id, State.IMPORTING, State.SKIPPED, reason)
        return State.SKIPPED


def _same_file(root: str, was: Found, met: Found) -> bool:
    """Whether `met` is the same file as `was`, below `root`, perhaps under another name."""
    same_inode = (was.stat.device, was.stat.inode) == (met.stat.device, met.stat.inode)
    return was.path == met.path or same_inode or _is_gone(root, was.path)


def _untouched(was: Found, met: Found) -> bool:
    """Whether nobody has written to it since, so that it was not dropped again."""
    same_inode = (was.stat.device, was.stat.inode) == (met.stat.device, met.stat.inode)
    return same_inode and was.stat.mtime_ns == met.stat.mtime_ns


def _is_gone(root: str, path: str) -> bool:
    try:
        return (tree_stat(root, path) if is_store(path) else CALLS.stat(root, path)) is None
    except OSError:
        return False  # nobody knows, so it is taken for a copy


def _unless(other: int | None) -> None:
    if other is not None:
        raise UnderWay(f"the same content is being imported as fileset {other}")


def _in_omero(fileset: Fileset) -> str:
    images = ",".join(map(str, fileset.images))
    return f"Fileset:{fileset.server_fileset}, Image:{images}"
