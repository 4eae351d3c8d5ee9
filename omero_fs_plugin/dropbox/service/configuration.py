"""Which settings hold in a DropBox that runs, and what became of those that were changed since."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from omero_fs_plugin.config.changes import digest, needs_restart
from omero_fs_plugin.config.settings import EVERYONE, Settings
from omero_fs_plugin.dropbox.places import Places

log = logging.getLogger(__name__)


class Configuration:
    """`settings` hold; the rest is told to people."""

    def __init__(self, settings: Settings, properties: Mapping[str, str]) -> None:
        """`settings` as they were read from `properties`."""
        self.settings = settings
        self.seen = digest(properties)  # of the latest configuration, whether taken or not
        self.refused = ""  # what was wrong with a configuration that was not taken
        self.restart = ""  # what of a configuration is taken at the next start only

    def held(self, user: str, places: Places) -> str:
        """Why nothing of `user` is imported now, if the configuration is at fault."""
        settings = self.settings
        if not settings.problems:
            return ""
        concerned = {"", user} | ({EVERYONE} if places.rule_for(user) is None else set())
        return "; ".join(str(p) for p in settings.problems if p.user in concerned)

    def changed(self, settings: Settings) -> Settings | None:
        """What of changed settings is to be taken while we run; None when they are refused."""
        if settings.problems:
            self.refused = "; ".join(map(str, settings.problems))
            log.error("the changed configuration is refused: %s", self.refused)
            return None
        self.refused = ""
        before = self.settings
        later = needs_restart(before, settings)
        self.restart = ", ".join(later)
        if later:
            log.warning("changed, and taken at the next start of DropBox only: %s", self.restart)
        # What cannot be changed while we run stays what it was.
        return replace(
            settings,
            data_dir=before.data_dir,
            importers=before.importers,
            host=before.host,
            port=before.port,
            journal=before.journal,
            server_id=before.server_id,
            client_id=before.client_id,
            client_adapter=before.client_adapter,
            bioformats_jars=before.bioformats_jars,
            bioformats_timeout=before.bioformats_timeout,
            bioformats_memory=before.bioformats_memory,
        )
