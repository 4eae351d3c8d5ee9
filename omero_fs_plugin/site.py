"""The OMERODIR that a command works on: its configuration, its journal, its grid."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from omero_fs_plugin.config.settings import Settings
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.errors import ConfigurationError, FsError
from omero_fs_plugin.icegrid import Grid
from omero_fs_plugin.icegrid import grid as open_grid
from omero_fs_plugin.names import printable as printable


class Site:
    """One OMERO.server, as the files below its OMERODIR describe it."""

    def __init__(self, omerodir: Path) -> None:
        self.omerodir = omerodir
        self.internal_cfg = omerodir / "etc" / "internal.cfg"

    def settings(self) -> Settings:
        """DropBox's settings.  They also say what is wrong in them.

        Raises ConfigurationError if the configuration cannot be read.
        """
        from omero_fs_plugin.deployment.sources import look

        file = self.omerodir / "etc" / "grid" / "config.xml"
        if not file.exists():
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

    @contextmanager
    def journal(self, settings: Settings, *, read_only: bool) -> Iterator[Journal]:
        """The journal.

        Raises JournalError if it cannot be opened, or if DropBox has not made it yet.
        """
        who = f"omero fs, run by {getpass.getuser()}"
        journal = Journal(settings.journal_url, read_only=read_only, make=False, who=who)
        try:
            yield journal
        finally:
            journal.close()

    def grid(self) -> AbstractContextManager[Grid]:
        """The grid.  Raises GridError if it cannot be reached."""
        if not self.internal_cfg.exists():
            raise ConfigurationError(
                f"{self.internal_cfg}: not there: set OMERODIR to an OMERO.server's directory, "
                "and start it once with `omero admin start`"
            )
        return open_grid(str(self.internal_cfg))


def site(ctx: Any) -> Site:
    """The Site for a command's context."""
    return Site(Path(ctx.dir).absolute())
