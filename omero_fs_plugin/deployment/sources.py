"""Where the value of a property comes from, before any server is asked.

The servers start with the defaults of the table, then the values of
``<properties id="DropBox">`` in templates.xml, then those of `omero config`.  If
a property has several values, the last one holds.  In a list of users each
entry has its own source, because an empty entry has the default.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omero_fs_plugin.config import lists
from omero_fs_plugin.config.parsing import read, read_monitoring
from omero_fs_plugin.config.properties import BY_NAME, PREFIX, Property
from omero_fs_plugin.config.settings import (
    DATA_DIR,
    EVERYONE,
    MANAGED_DIR,
    Monitoring,
    Problem,
    Settings,
    effective,
)
from omero_fs_plugin.errors import ConfigurationError

# Every `omero admin start` writes the first of them anew from the second.
TEMPLATES = (Path("etc/grid/templates.xml"), Path("etc/templates/grid/templates.xml"))
DEFAULT_XML = Path("etc/grid/default.xml")
DEFAULT_TEMPLATE = Path("etc/templates/grid/default.xml")

_OUR_TEMPLATE = b"FSServerTemplate"
# What stands for a port in the template of default.xml: the property, and OMERO's default.
_PORTS = {
    "@omero.ports.prefix@": ("omero.ports.prefix", ""),
    "@omero.ports.ssl@": ("omero.ports.ssl", "4064"),
}
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class Origin(enum.Enum):
    """Who set a value.  Its text is for people."""

    DEFAULT = "default"
    TEMPLATES = "templates.xml"
    CONFIG = "omero config"


@dataclass(frozen=True)
class Cell:
    """One value, for one entry of omero.fs.importUsers or for everyone."""

    value: str  # as it would be written; if it is wrong, as it was
    origin: Origin
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """The values for one entry of omero.fs.importUsers."""

    user: str
    origin: Origin
    cells: Mapping[str, Cell]  # property name -> value; those with an entry for each user


@dataclass(frozen=True)
class Sources:
    """The properties that a server is started with, and who set each."""

    properties: Mapping[str, str]
    origins: Mapping[str, Origin]  # of properties that are set, also if set to the default

    @property
    def settings(self) -> Settings:
        """DropBox's settings."""
        return read(self.properties)

    @property
    def monitoring(self) -> Monitoring:
        """FSServer's settings."""
        return read_monitoring(self.properties)

    def rows(self) -> list[Row]:
        """The entries of omero.fs.importUsers in their order, wrong ones too."""
        settings = self.settings
        users = self._users()
        rules = iter(settings.rules)
        rows = []
        for number, user in enumerate(users):
            held = "" in settings.held or user in settings.held
            values = {} if held else effective(next(rules))
            cells = {}
            for known in BY_NAME.values():
                if known.each:
                    entry, origin = self._entry(known, number, len(users))
                    cells[known.name] = Cell(
                        values.get(known.name, entry),
                        origin,
                        _wrong(settings.problems, known, user, entry),
                    )
            rows.append(Row(user, self._origin("importUsers"), cells))
        return rows

    def for_everyone(self, of: str) -> dict[str, Cell]:
        """Name -> value of the properties of one server that are the same for all users."""
        problems = (*self.settings.problems, *self.monitoring.problems)
        cells = {}
        for known in BY_NAME.values():
            if known.each or known.of != of:
                continue
            text = self._text(known)
            wrong = _wrong(problems, known)
            shown = text if wrong else _shown(known, text)
            origin = self._origin(known.name) if text else Origin.DEFAULT
            cells[known.name] = Cell(shown, origin, wrong)
        return cells

    def printed(self) -> dict[str, str]:
        """Properties with the same meaning as these: all of ours, with their defaults.

        If they are read again, they give the same settings, with the same problems.
        """
        settings, rows = self.settings, self.rows()
        texts = {
            key: self.properties[key] for key in (DATA_DIR, MANAGED_DIR) if key in self.properties
        }
        whole = {problem.key for problem in settings.problems if not problem.user}
        for of in ("DropBox", "FSServer"):
            for name, cell in self.for_everyone(of).items():
                texts[BY_NAME[name].key] = cell.value
        for known in BY_NAME.values():
            if known.key in whole and known.each:
                texts[known.key] = self._text(known)
            elif known.each:
                # Empty is the default, unless that is something else.
                empty = '""' if known.default else ""
                column = [row.cells[known.name].value or empty for row in rows]
                texts[known.key] = lists.joined(column, lists.USERS)
        return texts

    def _text(self, known: Property) -> str:
        return self.properties.get(known.key, "").strip()

    def _users(self) -> list[str]:
        known = BY_NAME["importUsers"]
        text = self._text(known)
        try:
            return [lists.bare(entry) or known.default for entry in lists.entries(text)]
        except ValueError:
            return [text]

    def _entry(self, known: Property, number: int, users: int) -> tuple[str, Origin]:
        """The value for that user, and who set it."""
        text = self._text(known)
        try:
            every = lists.split(text, lists.USERS, known.kind.quotes)
        except ValueError:
            return text, self._origin(known.name)
        entry = every[0] if len(every) == 1 else "".join(every[number : number + 1])
        if not entry:
            return known.default, Origin.DEFAULT
        return entry, self._origin(known.name)

    def _origin(self, name: str) -> Origin:
        return self.origins.get(BY_NAME[name].key, Origin.DEFAULT)


def _shown(known: Property, text: str) -> str:
    """A correct value for everyone, in its usual form."""
    if known.kind.name == "text":  # which may have a `;` in it
        return text or known.default
    text = next((entry for entry in lists.entries(text) if entry), "")
    return known.kind.write(known.kind.read(text or known.default))


def _wrong(problems: Iterable[Problem], known: Property, user: str = "", entry: str = "") -> str:
    """What is wrong with a value.  If a user has several entries, only with this entry."""
    found = [p for p in problems if p.key == known.key and p.user in ("", user)]
    of_it = [p for p in found if not p.user or not entry or _same(known, p.value, entry)]
    return "; ".join(dict.fromkeys(problem.wrong for problem in of_it))


def _same(known: Property, told: str, entry: str) -> bool:
    """Whether a problem is about this entry.  It may name the directory as it is watched."""
    if known.name == "watchDir":
        return told == entry or Path(told) == Path(lists.bare(entry))
    return told == entry


def look(omerodir: Path) -> Sources:
    """The properties that are set in this OMERODIR.

    Raises ConfigurationError if templates.xml or config.xml cannot be read.
    """
    from .installation import configured

    config = configured(omerodir)
    properties = in_templates(omerodir)
    ours = _fragment()
    origins = {
        key: Origin.TEMPLATES
        for key, value in properties.items()
        if _differs(key, value, ours.get(key))
    }
    for key, value in variables(omerodir, config).items():
        properties = {k: v.replace(f"${{{key}}}", value) for k, v in properties.items()}
    # The other ${...} get their values only when the server is started.
    properties = {k: v for k, v in properties.items() if not _VARIABLE.search(v)}
    origins = {key: origin for key, origin in origins.items() if key in properties}
    origins.update(dict.fromkeys(config, Origin.CONFIG))
    return Sources({**properties, **config}, origins)


def _differs(key: str, value: str, ours: str | None) -> bool:
    """Whether an admin has written this value.  An admin may also write the default."""
    if ours is not None:
        return value != ours
    known = BY_NAME.get(key.removeprefix(PREFIX))
    return known is None or value.strip() not in ("", known.default)


def in_templates(omerodir: Path, names: Iterable[Path] = TEMPLATES) -> dict[str, str]:
    """omero.fs.* of ``<properties id="DropBox">``, from the first file with our servers in it.

    Empty as long as none has them: those of a stock OMERO.server do not count.
    """
    from . import descriptor

    for name in names:
        data = _bytes(omerodir / name)
        if _OUR_TEMPLATE in data:
            found = descriptor.properties(data, "DropBox")
            return {key: value for key, value in found.items() if key.startswith(PREFIX)}
    return {}


def variables(omerodir: Path, config: Mapping[str, str] | None = None) -> dict[str, str]:
    """The values of ``${NAME}`` in the descriptors, if default.xml has them.

    Before the first start there is only a template of default.xml.  `omero admin start` writes the
    file with the ports of `config` (what `omero config get` shows), and so does this.
    """
    from .document import Document

    data = _bytes(omerodir / DEFAULT_XML)
    path = omerodir / (DEFAULT_XML if data else DEFAULT_TEMPLATE)
    data = data or _bytes(path)
    if not data:
        return {}
    root = Document(data, str(path)).root
    found = {one.get("name"): one.get("value", "") for one in root.iter("variable")}
    given = config or {}
    for mark, (key, default) in _PORTS.items():
        found = {
            n: v.replace(mark, given.get(key, "").strip() or default) for n, v in found.items()
        }
    return {name: value for name, value in found.items() if "@omero." not in value}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}; "
            "run this as the user that OMERO.server runs as"
        ) from error


def _fragment() -> dict[str, str]:
    from . import descriptor
    from .installation import fragment_path

    return descriptor.properties(fragment_path().read_bytes(), "DropBox")


def rows_of(rows: list[Row], name: str) -> list[Row]:
    """The rows for the OMERO user `name`: the user's own, or those for everyone.

    Raises ConfigurationError if nothing is imported for `name`.
    """
    own = [row for row in rows if row.user == name]
    found = own or [row for row in rows if row.user == EVERYONE]
    if not found:
        listed = ", ".join(row.user for row in rows)
        raise ConfigurationError(
            f"nothing is imported for {name}: omero.fs.importUsers lists {listed}; "
            f"name {name} there too, or {EVERYONE}"
        )
    return found
