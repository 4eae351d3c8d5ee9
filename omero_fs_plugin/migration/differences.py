"""What a property does here and did not do in the DropBox of earlier releases.

The statements about earlier releases are measured (omero-dropbox 5.7.0), or come
from OMERO's documentation of OMERO.fs.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from omero_fs_plugin.config import lists
from omero_fs_plugin.config.properties import BY_NAME, PROPERTIES, Property
from omero_fs_plugin.config.settings import EVERYONE, Settings
from omero_fs_plugin.dropbox.importing.importers.arguments import parse as parse_arguments
from omero_fs_plugin.errors import ConfigurationError

# Values that every OMERO.server since 5.0 came with, and that are not our defaults.
# Nobody has chosen them, so they are not carried over.
SHIPPED = {"throttleImport": "10"}

# Names that stock servers have and ours do not need.
RETIRED = (
    "monitorServerIdString",
    "monitorServerAdapterName",
    "fileServerAdapterName",
    "serverAdapterName",
)

# With any settings of the site.
ALWAYS = (
    "Files that were dropped while DropBox or OMERO was down are imported when they are back; "
    "there they were not.",
    "A failed import is tried three times, and `omero fs status` shows it; there it was logged.",
    "Copies of files that a user has in OMERO from a DropBox are skipped (omero.fs.duplicates = "
    "import imports them); there they were imported.",
    "Dot files, and files that editors, copy tools and systems make for themselves, are passed "
    "over (omero.fs.ignoreSysFiles = True, the default); there the property was stored and not "
    "used.",
    "Two imports run at once (omero.fs.importers), without a pause; there one ran at a time, "
    "10 s apart (omero.fs.throttleImport = 10 brings the pause back).",
)

_ARGUMENTS = BY_NAME["importArgs"]
_Note = Callable[[str, Settings, Mapping[str, str]], str]


def different(prop: Property, properties: Mapping[str, str], settings: Settings) -> str:
    """What this property does here and did not do there; empty if it means the same.

    `settings` are those of `properties`, and nothing is wrong with this property.
    """
    text = properties.get(prop.key, "").strip()
    if not text:
        return ""
    found = []
    if prop.name in _NOTES:
        found.append(_NOTES[prop.name](text, settings, properties))
    if prop.each and text.count(lists.USERS) >= len(
        lists.split(text, lists.USERS, prop.kind.quotes)
    ):
        found.append("a ; within quotes is part of the value here; there it was cut, silently")
    return "; ".join(one for one in found if one)


def _import_users(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    users = [lists.bare(entry) for entry in lists.entries(text)]
    if not set(users) - {EVERYONE, ""}:
        return ""
    found = [
        'works here, where OMERO 5 has it "temporarily disabled"; a file under two of these '
        "goes to the one whose directory is nearest"
    ]
    if any(entry != entry.strip() for entry in text.split(lists.USERS)):
        found.append("spaces around a name do not count; there they led to a KeyError")
    given = (properties.get(prop.key, prop.default) for prop in PROPERTIES if prop.each)
    if any(one.count(lists.USERS) + 1 < len(users) for one in given):
        found.append(
            "if a property has one value, it is for all users, and a missing value is the "
            "default; there this led to an IndexError"
        )
    return "; ".join(found)


def _path_mode(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    modes = {entry for entry in lists.entries(text) if entry}
    said = {
        "Flat": "Flat here is a user's directory itself",
        "Recurse": "Recurse here is a user's directory and the subdirectories that are there "
        "when DropBox starts",
    }
    found = [what for mode, what in said.items() if mode in modes]
    return "; ".join(found) + ': there DropBox "should be Follow" to work' if found else ""


_UNUSED = "takes effect here; there it was stored and never used, so check that you want it"


def _blacklist(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    return f"{_UNUSED}: files that it names are not imported"


def _whitelist(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    return f"{_UNUSED}: nothing else is imported"


def _throttle(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    given = {float(lists.bare(entry)) for entry in lists.entries(text) if entry}
    if not any(given):
        return ""
    if given == {float(SHIPPED["throttleImport"])}:
        return (
            "had this value in every OMERO.server and is not carried over: the default is 0 here, "
            "because importers and turns do the same work; to keep it: "
            f"omero config set omero.fs.throttleImport {SHIPPED['throttleImport']}"
        )
    return "is the pause between imports of one entry of importUsers; there, of all users together"


def _max_retries(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    if settings.max_retries == int(BY_NAME["maxRetries"].default):
        return ""
    return "after so many tries OMERO is still tried here, every 5 s"


def refused_arguments(text: str) -> list[str]:
    """The parts of omero.fs.importArgs that no importer of ours takes, and why."""
    found: dict[str, None] = {}
    for arguments in _each_arguments(text):
        try:
            parse_arguments(arguments)
        except ConfigurationError as error:
            found[str(error).removeprefix(f"{_ARGUMENTS.key}: ")] = None
    return list(found)


def _each_arguments(text: str) -> list[str]:
    """The value of each user, if the values can be told apart."""
    try:
        entries = lists.entries(text, _ARGUMENTS.kind.quotes)
        return [shlex.join(_ARGUMENTS.kind.read(entry)) for entry in entries]
    except ValueError:
        return []  # parsing.read has said this already


def _arguments(text: str, settings: Settings, properties: Mapping[str, str]) -> str:
    found: dict[str, str] = {}
    for arguments in _each_arguments(text):
        parsed = parse_arguments(arguments)
        found.update(parsed.ignored)
        found.update({option: f"{why} (native importer)" for option, why in parsed.needless})
        found.update(dict.fromkeys(parsed.unknown, "only OMERO's own importer (Java) knows it"))
    return "; ".join(f"{option}: {why}" for option, why in found.items())


_NOTES: Mapping[str, _Note] = {
    "importUsers": _import_users,
    "pathMode": _path_mode,
    "blacklist": _blacklist,
    "whitelist": _whitelist,
    "throttleImport": _throttle,
    "maxRetries": _max_retries,
    "importArgs": _arguments,
}
