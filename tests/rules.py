"""Rules for tests, read from properties as DropBox reads them."""

from __future__ import annotations

from pathlib import Path

from omero_fs_plugin.config import lists
from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.config.properties import BY_NAME, PREFIX
from omero_fs_plugin.config.settings import DATA_DIR, FIELDS, Settings, effective
from omero_fs_plugin.dropbox.places import Places


def settings_of(**properties: str) -> Settings:
    """As `read`, of names without the prefix; raises ConfigurationError for what is wrong."""
    settings = read({f"omero.fs.{name}": value for name, value in properties.items()})
    settings.check()
    return settings


def places_of(watch_dir: Path | str, **properties: str) -> Places:
    """The places below `watch_dir`, by default a subdirectory for each user."""
    return Places(settings_of(watchDir=str(watch_dir), **properties).rules)


def as_properties(settings: Settings) -> dict[str, str]:
    """Properties that `read` makes the same rules and settings of."""
    texts = {DATA_DIR: str(settings.data_dir)}
    for name, of in FIELDS.items():
        texts[PREFIX + name] = BY_NAME[name].kind.write(getattr(settings, of))
    columns = {"importUsers": [lists.quoted(rule.user) for rule in settings.rules]}
    for rule in settings.rules:
        for name, text in effective(rule).items():
            columns.setdefault(name, []).append(text)
    for name, column in columns.items():
        known = BY_NAME[name]
        # Empty is the default, unless that is something else.
        entries = [entry or ('""' if known.default else "") for entry in column]
        texts[known.key] = lists.joined(entries, lists.USERS)
    return texts
