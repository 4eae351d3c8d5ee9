"""Which settings are in force while DropBox runs, and what became of changes to them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from omero_fs_plugin.config.changes import digest, needs_restart
from omero_fs_plugin.config.settings import EVERYONE, Settings
from omero_fs_plugin.dropbox.places import Places

log = logging.getLogger(__name__)


class Configuration:
    """`settings` are in force; the other attributes are for people to read."""

    def __init__(self, settings: Settings, properties: Mapping[str, str]) -> None:
        """`settings` as they were read from `properties`."""
        self.settings = settings
        self.seen = digest(properties)  # of the latest configuration, also if it was refused
        self.refused = ""  # what is wrong with a configuration that was refused
        self.restart = ""  # which properties take effect only at the next start

    def held(self, user: str, places: Places) -> str:
        """What is wrong in the configuration, so that nothing of `user` is imported now."""
        settings = self.settings
        if not settings.problems:
            return ""
        concerned = {"", user} | ({EVERYONE} if places.rule_for(user) is None else set())
        return "; ".join(str(p) for p in settings.problems if p.user in concerned)

    def changed(self, settings: Settings) -> Settings | None:
        """The settings to take while we run, given changed ones; None if those are refused."""
        if settings.problems:
            self.refused = "; ".join(map(str, settings.problems))
            log.error("the changed configuration is refused: %s", self.refused)
            return None
        self.refused = ""
        before = self.settings
        later = needs_restart(before, settings)
        self.restart = ", ".join(later)
        if later:
            log.warning("changed; takes effect at the next start of DropBox: %s", self.restart)
        # What cannot change while we run stays as it was.
        return replace(
            settings,
            data_dir=before.data_dir,
            managed_dir=before.managed_dir,
            importers=before.importers,
            node_importers=before.node_importers,
            host=before.host,
            port=before.port,
            journal=before.journal,
            server_id=before.server_id,
            client_id=before.client_id,
            client_adapter=before.client_adapter,
            bioformats_jars=before.bioformats_jars,
            bioformats_timeout=before.bioformats_timeout,
            bioformats_memory=before.bioformats_memory,
            metrics=before.metrics,
        )
