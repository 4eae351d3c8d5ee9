"""In place: files put into the repository by us, beside the server.

We put a file into the server's own directory and tell the server of it.  So no byte
goes over the network, and with a link no byte is copied.  The order of the calls is that
of OMERO's own importer, and so is the annotation that says how the file came.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat as stat_module
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from omero.rtypes import unwrap

from omero_fs_plugin.blitz.copies import patience_ms
from omero_fs_plugin.blitz.user_session import UserSession
from omero_fs_plugin.blitz.verdicts import Step, server_errors, told
from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.errors import ImportRefused
from omero_fs_plugin.events import FileStat

from .belonging import Belonging
from .sources import blocks, check_read, opened, touched_at
from .transfer import Transfer


@dataclass(frozen=True)
class InPlace:
    """The repository's directory as we see it, and a way to put files into it.

    The methods raise ImportRefused if files cannot be put there.
    """

    session: UserSession
    transfer: Transfer
    root: Path

    @classmethod
    def of(cls, session: UserSession, repository: Any, transfer: Transfer) -> InPlace:
        """For OMERO's managed repository.

        Raises ImportRefused if its directory is not here, or if we may not write to it.
        """
        with server_errors("asking where the managed repository is"):
            described = repository.root()
        root = Path(unwrap(described.path) or "") / (unwrap(described.name) or "")
        try:
            there = root.is_absolute() and root.is_dir()
        except OSError as error:  # its disk is ill
            raise told(error, f"looking for OMERO's {root}", Step.IN_PLACE) from error
        if not there:
            why = "there is no such directory on this machine"
        elif not os.access(root, os.W_OK | os.X_OK):
            why = f"the account of DropBox (uid {os.geteuid()}) may not write there"
        else:
            return cls(session, transfer, root)
        raise ImportRefused(
            f"import in place ({transfer.value}): OMERO keeps its files in {root}, and {why}: "
            "run DropBox beside OMERO under the same account, or set omero.fs.transfer to upload"
        )

    def check(self, fileset: Fileset) -> None:
        """Checks, before anything is begun, that hard links would not leave their file system."""
        try:
            device = FileStat.of(self.root.stat()).device
        except OSError as error:
            raise told(error, f"looking at OMERO's {self.root}", Step.IN_PLACE) from error
        for met in fileset.files if self.transfer.links else ():
            if met.stat.device != device:
                raise self._astray(met)

    def put(
        self,
        process: Any,
        position: int,
        fileset: Fileset,
        stopping: Callable[[], bool],
        more: Callable[[int], None],
        *,
        belonging: Belonging,
        client_path: str,
    ) -> str:
        """Puts one file where OMERO wants it, and has OMERO look there.  Returns its SHA1.

        `belonging` knows where OMERO wants the files of this fileset, by their client paths.
        The file is read once here.  For a link, OMERO reads it at the same time.
        """
        met = fileset.files[position]
        what = f"importing {met.path} in place"
        with opened(fileset.root, met) as source:
            with server_errors(what, Step.UPLOAD):
                store = process.getUploader(position)
                try:
                    target = self.root / belonging.place(store, client_path)
                finally:
                    store.close()  # which makes an empty file
            digest = hashlib.sha1(usedforsecurity=False)

            def read(into: BinaryIO | None = None) -> None:
                for block in blocks(fileset.root, source, met, stopping):
                    digest.update(block)
                    if into is not None:
                        into.write(block)
                    more(len(block))

            try:
                self._take_over(target)
                copies = self.transfer.keeping is Transfer.CP
                if copies:
                    since = touched_at(fileset.root, source, met)
                    with target.open("xb") as into:
                        read(into)
                    check_read(fileset.root, source, met, since, digest.hexdigest(), stopping)
                else:
                    with CALLS.at(fileset.root):  # a hard link is on the disk of the source
                        self._link(source, met, target)
            except OSError as error:
                raise self._told(error, met) from error
            with server_errors(what, Step.IN_PLACE):
                store = process.getUploader(position)
                patient = store.ice_invocationTimeout(patience_ms(met.stat.size))
                try:
                    looking = patient.begin_save()
                    if not copies:
                        read()
                    saved = patient.end_save(looking)
                    # OMERO need not give the file if it did not change it.
                    size = store.size() if saved is None else unwrap(saved.size)
                    if size != met.stat.size:
                        raise ImportRefused(
                            f"{what}: OMERO sees {size} bytes there, not {met.stat.size}"
                        )
                finally:
                    patient.close()
        return digest.hexdigest()

    def _take_over(self, target: Path) -> None:
        """Removes the empty file that OMERO made.  It proves that this is OMERO's directory."""
        try:
            found = target.lstat()
        except FileNotFoundError:
            found = None
        if found is None or not stat_module.S_ISREG(found.st_mode) or found.st_size:
            raise ImportRefused(
                f"import in place ({self.transfer.value}): OMERO made a file, and it is not at "
                f"{target}: {self.root} is another directory here than where OMERO runs; "
                "set omero.fs.transfer to upload"
            )
        target.unlink()

    def _link(self, source: BinaryIO, met: Found, target: Path) -> None:
        if self.transfer is Transfer.LN_S:
            # The path may lead elsewhere later, but what OMERO reads there must have our SHA1.
            target.symlink_to(met.path)
            return
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Links the open file itself, not what its name may lead to by now.  With a
            # directory given, linkat follows the link in /proc; link(2) would not.
            os.link(f"/proc/self/fd/{source.fileno()}", target.name, dst_dir_fd=directory)
        finally:
            os.close(directory)

    def _astray(self, met: Found) -> ImportRefused:
        return ImportRefused(
            f"{met.path}: not on the file system of {self.root}, so it cannot be hard linked "
            f"there: set omero.fs.transfer to ln_s, cp or upload instead of {self.transfer.value}",
            final=True,
        )

    def _told(self, error: OSError, met: Found) -> Exception:
        what = f"putting {met.path} into {self.root} ({self.transfer.value})"
        if error.errno == errno.EXDEV:
            return self._astray(met)
        if error.errno == errno.EPERM and self.transfer.links:
            return ImportRefused(
                f"{what}: the system lets only its owner hard link a file that others may not "
                "write to (fs.protected_hardlinks): set omero.fs.transfer to ln_s, cp or upload",
                final=True,
            )
        return told(error, what, Step.IN_PLACE)
