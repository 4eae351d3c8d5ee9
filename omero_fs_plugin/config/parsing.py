"""Properties parsed into settings, from Ice or from `omero config`.

`read` does not stop at a mistake.  Each mistake is a `Problem`, all problems
are reported at once, and only the wrong entry is left out.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import kinds, lists
from .mail import read_mail
from .nodes import object_on
from .properties import BY_NAME, FOREIGN, PREFIX, PROPERTIES, Property
from .settings import (
    DATA_DIR,
    DATA_DIR_DEFAULT,
    EVERYONE,
    FIELDS,
    MANAGED_DIR,
    MANAGED_DIR_DEFAULT,
    MONITORING_FIELDS,
    MONITORS_FILE,
    RULE_FIELDS,
    Monitoring,
    Problem,
    Rule,
    Settings,
)


@dataclass
class _Reader:
    """Looks properties up, and collects their problems."""

    properties: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def text(self, known: Property) -> str:
        return self.properties.get(known.key, "").strip()

    def entries(self, known: Property, users: int) -> list[str]:
        """The entry of each user; the default for a user without one.

        A single entry is for all users.  If a `;` follows it, it is only for the first user.
        """
        text = self.text(known)
        try:
            every = lists.split(text, lists.USERS, known.kind.quotes)
            given = lists.entries(text, known.kind.quotes)
        except ValueError as error:
            self.problems.append(Problem(known.key, text, str(error)))
            return [known.default] * users
        if len(every) == 1:
            given = every * users
        elif len(given) > users:
            what = f"has {len(given)} values for {users} users"
            if users == 1:
                what = f"has {len(given)} values for 1 user"
            what += " of omero.fs.importUsers; name the missing ones"
            if users == 1:
                what += f", or, if it is one value: {_as_one(known, text, given)}"
            self.problems.append(Problem(known.key, text, what))
        given = given[:users] + [""] * (users - len(given))
        return [entry or known.default for entry in given]

    def convert(self, known: Property, entry: str, user: str = "") -> Any:
        """The value of an entry; the default for a wrong entry."""
        try:
            return known.kind.read(entry)
        except ValueError as error:
            self.problems.append(Problem(known.key, entry, f"must be {error}", user))
            return known.kind.read(known.default)

    def single(self, known: Property) -> Any:
        """The value of a property that is the same for all users."""
        text = self.text(known)
        if known.kind.name != "text":  # which may have a `;` in it
            try:
                given = {entry for entry in lists.entries(text, known.kind.quotes) if entry} or {
                    known.default
                }
            except ValueError as error:
                self.problems.append(Problem(known.key, text, str(error)))
                return known.kind.read(known.default)
            if len(given) > 1:
                wrong = "has one value for all users, and cannot have one for each"
                self.problems.append(Problem(known.key, text, wrong))
                return known.kind.read(known.default)
            text = given.pop()
        return self.convert(known, text or known.default)


def _as_one(known: Property, text: str, given: list[str]) -> str:
    """The command that sets a value which has a `;` in it as the one value of one user."""
    arguments = known.kind.quotes != lists.QUOTE
    # Between arguments a `;` has no meaning; elsewhere, quotes make it a part of the value.
    one = " ".join(entry for entry in given if entry) if arguments else lists.quoted(text)
    dashes = "-- " if one.startswith("-") else ""
    return f"`omero config set {dashes}{known.key} {shlex.quote(one)}`"


def read_monitoring(properties: Mapping[str, str], node: str = "") -> Monitoring:
    """FSServer's settings, from Ice properties or from `omero config`.

    `node`: as in a rule's omero.fs.node.  A wrong value is replaced by its default, because no
    monitor may end due to a mistake.
    """
    get = _Reader(properties)
    record = get.single(BY_NAME["monitors"])
    values = {of: get.single(BY_NAME[name]) for name, of in MONITORING_FIELDS.items()}
    return Monitoring(
        metrics=get.single(BY_NAME["metrics"]).for_fsserver(node),
        # Two FSServers may see one omero.data.dir.
        record=_of_node(record or _data_dir(properties) / MONITORS_FILE, node),
        problems=tuple(get.problems),
        **values
        | {
            "server_id": object_on(values["server_id"], node),
            "file_server_id": object_on(values["file_server_id"], node),
        },
    )


def _of_node(file: Path, node: str) -> Path:
    return file.with_name(f"{file.stem}-{node}{file.suffix}") if node else file


def read(properties: Mapping[str, str]) -> Settings:
    """DropBox's settings, from Ice properties or from `omero config`.

    A missing or empty value takes the default.  Raises nothing: see
    `Settings.problems`, and `Settings.check`.
    """
    get = _Reader(properties)
    data_dir = _data_dir(properties)
    values = {of: get.single(BY_NAME[name]) for name, of in FIELDS.items()}
    quarantine = values.pop("quarantine")
    default_dir = data_dir / get.single(BY_NAME["defaultDropBoxDir"])
    rules = _rules(get, default_dir)
    managed = Path(properties.get(MANAGED_DIR, "").strip() or data_dir / MANAGED_DIR_DEFAULT)
    rules = _apart(get, rules, managed)
    if quarantine is not None:
        for rule in rules:
            if quarantine.is_relative_to(rule.watch_dir):
                wrong = f"must lie outside {rule.watch_dir}, which is watched"
                get.problems.append(Problem(PREFIX + "quarantine", str(quarantine), wrong))
                break
    _check_moves(get, rules, managed)
    _check_importers(get, values)
    mail, doubtful = read_mail(properties)
    held = {problem.user for problem in get.problems}
    usable = [rule for rule in rules if not ("" in held or rule.user in held)]
    return Settings(
        rules=tuple(usable),
        unusable=tuple(rule for rule in rules if "" in held or rule.user in held),
        data_dir=data_dir,
        managed_dir=managed,
        quarantine=quarantine,
        problems=tuple(get.problems),
        mail=mail,
        warnings=(*_unknown(properties), *(doubtful if values["notify"] != "none" else ())),
        **values,
    )


def _data_dir(properties: Mapping[str, str]) -> Path:
    return Path(properties.get(DATA_DIR, "").strip() or DATA_DIR_DEFAULT)


def _rules(get: _Reader, default_dir: Path) -> list[Rule]:
    """A rule for each entry of omero.fs.importUsers.  Defaults replace wrong values."""
    known = BY_NAME["importUsers"]
    text = get.text(known)
    try:
        users = [lists.bare(entry) or known.default for entry in lists.entries(text)]
    except ValueError as error:
        get.problems.append(Problem(known.key, text, str(error)))
        return []
    for user in users:
        if "/" in user or user in (".", ".."):
            get.problems.append(Problem(known.key, text, f"{user!r} is not a user's name"))
            return []
    columns = {name: get.entries(prop, len(users)) for name, prop in BY_NAME.items() if prop.each}
    rules = []
    for number, user in enumerate(users):
        row = {
            name: get.convert(BY_NAME[name], column[number], user)
            for name, column in columns.items()
        }
        given = row.pop("watchDir")
        below = default_dir if user == EVERYONE else default_dir / user
        rules.append(
            Rule(
                user=user,
                watch_dir=given or below,
                **{of: row[name] for name, of in RULE_FIELDS.items()},
            )
        )
    return rules


def _apart(get: _Reader, rules: list[Rule], managed: Path) -> list[Rule]:
    """Checks that each rule has a directory of its own, apart from OMERO's own files."""
    key = BY_NAME["watchDir"].key
    taken: dict[Path, Rule] = {}
    for rule in rules:
        directory = rule.watch_dir
        other = taken.setdefault(directory, rule)
        if other is not rule:
            wrong = f"is watched for {other.user} already; each needs a directory of its own"
            get.problems.append(Problem(key, str(directory), wrong, rule.user))
        if managed.is_relative_to(directory) or directory.is_relative_to(managed):
            wrong = f"must lie apart from OMERO's own {managed}"
            get.problems.append(Problem(key, str(directory), wrong, rule.user))
    return rules


def _check_importers(get: _Reader, values: Mapping[str, Any]) -> None:
    """Checks that there is somebody who may import."""
    if values["importers"]:
        return
    key = BY_NAME["importers"].key
    if not values["journal"].startswith("postgresql"):
        wrong = "leaves all to other machines, which need omero.fs.journal in PostgreSQL"
    elif not values["node_importers"]:
        wrong = f"leaves all to other machines: set {BY_NAME['nodeImporters'].key} to their number"
    else:
        return
    get.problems.append(Problem(key, "0", wrong))


def _check_moves(get: _Reader, rules: list[Rule], managed: Path) -> None:
    """Checks that what is moved away is not imported again, and not moved into OMERO's files."""
    key = BY_NAME["afterImport"].key
    for rule in rules:
        to = rule.after_import.directory
        if to is None:
            continue
        watched = [one.watch_dir for one in rules if to.is_relative_to(one.watch_dir)]
        if watched:
            wrong = f"must lie outside {watched[0]}, which is watched"
        elif to.is_relative_to(managed) or managed.is_relative_to(to):
            wrong = f"must lie apart from OMERO's own {managed}"
        else:
            continue
        get.problems.append(Problem(key, f"move:{to}", wrong, rule.user))


def _unknown(properties: Mapping[str, str]) -> list[Problem]:
    known = {prop.key for prop in PROPERTIES}
    found = []
    for key in sorted(properties):
        if not key.startswith(PREFIX) or key in known or key.startswith(FOREIGN):
            continue
        near = kinds.nearest(key, known)
        hint = f"; did you mean {near}?" if near else ""
        found.append(Problem(key, properties[key], f"is not a property of OMERO.fs{hint}"))
    return found
