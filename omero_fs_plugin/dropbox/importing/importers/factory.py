"""Makes the importer that was chosen."""

from __future__ import annotations

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.blitz.user_session import UserSession

from .choice import Choice
from .java import JavaImporter, JavaOptions
from .native import NativeImporter, NativeOptions
from .protocol import Importer
from .waits import Waits


def make(
    choice: Choice,
    session: UserSession,
    omero: Omero,
    *,
    host: str,
    port: int,
    most: int = 30,
    time_limit: float = 0,
    waits: Waits | None = None,
) -> Importer:
    """The importer of `choice` for one user's session.

    The rest is for the Java importer only: `host` and `port` of the router, how many
    filesets one run has at `most`, and the `time_limit` of a run (s).  With 0 the limit
    follows from the files.  `waits` is for the native one only: what former imports took.
    """
    said = choice.arguments
    if choice.client_dir is None:
        options = NativeOptions(
            choice.transfer, said.thumbnails, said.stats, omero.path_rules, waits or Waits()
        )
        return NativeImporter(session, options)
    return JavaImporter(
        session,
        omero,
        JavaOptions(
            choice.client_dir,
            host,
            port,
            choice.transfer,
            said.thumbnails,
            said.stats,
            said.target,
            said.for_java,
            most,
            time_limit,
        ),
    )
