"""The OMERODIR that a command works on: its configuration, its journal, its grid."""

from __future__ import annotations

import errno
import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.errors import ConfigurationError, FsError, GridError
from omero_fs_plugin.grid import Grid
from omero_fs_plugin.grid import grid as open_grid
from omero_fs_plugin.names import printable as printable

if sys.platform != "win32":  # Windows has no accounts of this kind
    import pwd

if TYPE_CHECKING:
    from omero_fs_plugin.dropbox.journal.journal import Journal


class Site:
    """One OMERO.server, as the files below its OMERODIR describe it."""

    def __init__(self, omerodir: Path) -> None:
        self.omerodir = omerodir
        self.internal_cfg = omerodir / "etc" / "internal.cfg"

    def owner(self) -> str:
        """The user that OMERO.server runs as: the owner of its files.  A number without a name."""
        number = (self.omerodir / "etc").stat().st_uid
        try:
            return pwd.getpwuid(number).pw_name
        except KeyError:
            return str(number)

    def is_run_by_owner(self) -> bool:
        """Whether this process runs as the user that OMERO.server runs as."""
        return (self.omerodir / "etc").stat().st_uid == os.geteuid()

    def settings(self) -> Settings:
        """DropBox's settings.  They also say what is wrong in them.

        Raises ConfigurationError if the configuration cannot be read.
        """
        from omero_fs_plugin.deployment.sources import look

        file = self.omerodir / "etc" / "grid" / "config.xml"
        try:
            there = file.exists()
        except OSError as error:
            raise self._not_ours(file, error) from error
        if there and not os.access(file, os.R_OK):
            raise self._not_ours(file, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        if not there:
            raise ConfigurationError(
                f"{file}: there is no configuration: is OMERODIR set to an OMERO.server's "
                "directory, and was `omero config` ever used there?"
            )
        try:
            return look(self.omerodir).settings
        except FsError:
            raise
        except Exception as error:  # ConfigXml raises Exception itself, among others
            raise ConfigurationError(
                f"{file}: cannot be read ({error}): run this as the user OMERO.server runs as"
            ) from error

    def _not_ours(self, file: Path, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"{file} cannot be read: {error.strerror}: run this as {self.owner()}, the user that "
            "OMERO.server runs as"
        )

    @contextmanager
    def journal(self, settings: Settings, *, read_only: bool) -> Iterator[Journal]:
        """The journal.

        Raises JournalError if it cannot be opened, or if DropBox has not made it yet.
        """
        from omero_fs_plugin.dropbox.journal.journal import Journal  # loads slowly

        who = f"omero fs, run by {getpass.getuser()}"
        journal = Journal(settings.journal_url, read_only=read_only, make=False, who=who)
        try:
            yield journal
        finally:
            journal.close()

    def grid(self) -> AbstractContextManager[Grid]:
        """The grid.  Raises GridError if it cannot be reached."""
        if not self.internal_cfg.exists():
            raise GridError(
                f"the OMERO server was never started here, as {self.internal_cfg} is not there: "
                "start it with `omero admin start`, or set OMERODIR to an OMERO.server's directory"
            )
        return open_grid(str(self.internal_cfg))


def site(ctx: Any) -> Site:
    """The Site for a command's context."""
    return Site(Path(ctx.dir).absolute())
