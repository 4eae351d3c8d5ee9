"""Rules for tests, read from properties as DropBox reads them."""

from __future__ import annotations

from pathlib import Path

from omero_fs_plugin.dropbox.places import Places
from omero_fs_plugin.settings import Settings, read


def settings_of(**properties: str) -> Settings:
    """As `read`, of names without the prefix; raises ConfigurationError for what is wrong."""
    settings = read({f"omero.fs.{name}": value for name, value in properties.items()})
    settings.check()
    return settings


def places_of(watch_dir: Path | str, **properties: str) -> Places:
    """The places below `watch_dir`, by default a subdirectory for each user."""
    return Places(settings_of(watchDir=str(watch_dir), **properties).rules)
