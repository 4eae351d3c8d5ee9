"""What the servers go by: omero.fs.* properties read into frozen values.

`read` never gives up at a mistake: whatever is wrong is a `Problem`, all of
them are told at once, and only the entry that is wrong is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omero_fs_plugin.errors import ConfigurationError

from . import kinds, lists
from .properties import BY_NAME, FOREIGN, PREFIX, PROPERTIES, Property

DATA_DIR = "omero.data.dir"
DATA_DIR_DEFAULT = "/OMERO"  # etc/omero.properties of OMERO.server
MANAGED_DIR = "omero.managed.dir"
MANAGED_DIR_DEFAULT = "ManagedRepository"
JOURNAL_FILE = "omero-fs-journal.sqlite"
MONITORS_FILE = "omero-fs-monitors.sqlite"
EVERYONE = "default"  # in omero.fs.importUsers


@dataclass(frozen=True)
class Problem:
    """A value that cannot be honoured; its text is for admins, in one line."""

    key: str
    value: str
    wrong: str  # what is, and what it must be
    user: str = ""  # an entry of omero.fs.importUsers; empty: it concerns everyone

    def __str__(self) -> str:
        of = f" for {self.user}" if self.user else ""
        return f"{self.key} = {self.value!r}{of}: {self.wrong}"


@dataclass(frozen=True)
class Rule:
    """What holds for one entry of omero.fs.importUsers."""

    user: str  # OMERO user name, or EVERYONE: each has a subdirectory of `watch_dir`
    watch_dir: Path  # absolute
    path_mode: str
    event_types: tuple[str, ...]
    whitelist: tuple[str, ...]
    blacklist: tuple[str, ...]
    ignore_sys_files: bool
    ignore_dir_events: bool
    block_size: int
    timeout: float  # s
    quiet_period: float  # s; omero.fs.dirImportWait
    throttle_import: float  # s
    target: str  # template; empty: none
    group: str  # empty: the user's default group
    importer: str  # auto | java | native
    transfer: str  # upload, or a way in place
    readers: Path | None  # absolute
    import_args: tuple[str, ...]

    @property
    def name(self) -> str:
        """The rule in status and log."""
        return f"{self.user} in {self.watch_dir}"


@dataclass(frozen=True)
class Settings:
    """What DropBox goes by; made by `read`, never changed.

    `problems` without a user concern everyone: then there are no `rules`, and
    nothing is imported.  The entries of users in `held` are left out of
    `rules`.
    """

    rules: tuple[Rule, ...]
    data_dir: Path
    importers: int
    file_batch: int  # files gathered before they are looked at
    longest_wait: float  # s; a file that still changes then is warned of
    quarantine: Path | None  # absolute; failed files are moved below it
    duplicates: str  # skip | import
    rescan_interval: float  # s; 0: only when asked
    complete_timeout: float  # s
    bioformats_jars: tuple[str, ...]
    bioformats_timeout: float  # s for one file
    bioformats_memory: int  # MiB
    time_to_live: float  # s; 0: no end
    time_to_idle: float  # s
    host: str
    port: int
    max_retries: int
    retry_interval: float  # s
    platform_check: bool
    server_id: str
    client_id: str
    client_adapter: str
    journal: str  # as it was given; empty: the default
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    # Rules that a problem keeps from being used, with defaults where they are wrong.
    unusable: tuple[Rule, ...] = ()

    @property
    def journal_url(self) -> str:
        """As SQLAlchemy takes it."""
        return self.journal or f"sqlite:///{self.data_dir / JOURNAL_FILE}"

    @property
    def held(self) -> frozenset[str]:
        """Entries of omero.fs.importUsers that a problem keeps from being watched."""
        return frozenset(problem.user for problem in self.problems)

    def check(self) -> None:
        """Raises ConfigurationError with every problem, if there are any."""
        if self.problems:
            raise ConfigurationError("; ".join(map(str, self.problems)))


@dataclass(frozen=True)
class Monitoring:
    """What FSServer goes by; made by `read_monitoring`."""

    record: Path  # its monitors are kept here
    client_timeout: float  # s; a client away so long is given up; 0: never
    observer: str  # auto, inotify or polling
    poll_interval: float  # s
    file_server_roots: tuple[str, ...]  # absolute
    server_id: str
    file_server_id: str
    problems: tuple[Problem, ...] = ()


# Which field of Rule or Settings a property becomes.  importUsers and watchDir
# are read together, and defaultDropBoxDir is part of them.
_RULE_FIELDS = {
    "pathMode": "path_mode",
    "eventTypes": "event_types",
    "whitelist": "whitelist",
    "blacklist": "blacklist",
    "ignoreSysFiles": "ignore_sys_files",
    "ignoreDirEvents": "ignore_dir_events",
    "blockSize": "block_size",
    "timeout": "timeout",
    "dirImportWait": "quiet_period",
    "throttleImport": "throttle_import",
    "target": "target",
    "group": "group",
    "importer": "importer",
    "transfer": "transfer",
    "readers": "readers",
    "importArgs": "import_args",
}
FIELDS = {
    "importers": "importers",
    "fileBatch": "file_batch",
    "longestWait": "longest_wait",
    "quarantine": "quarantine",
    "duplicates": "duplicates",
    "rescanInterval": "rescan_interval",
    "completeTimeout": "complete_timeout",
    "bioformatsJars": "bioformats_jars",
    "bioformatsTimeout": "bioformats_timeout",
    "bioformatsMemory": "bioformats_memory",
    "timeToLive": "time_to_live",
    "timeToIdle": "time_to_idle",
    "host": "host",
    "port": "port",
    "maxRetries": "max_retries",
    "retryInterval": "retry_interval",
    "platformCheck": "platform_check",
    "serverIdString": "server_id",
    "clientIdString": "client_id",
    "clientAdapterName": "client_adapter",
    "journal": "journal",
}
_MONITORING_FIELDS = {
    "clientTimeout": "client_timeout",
    "observer": "observer",
    "pollInterval": "poll_interval",
    "fileServerRoots": "file_server_roots",
    "serverIdString": "server_id",
    "fileServerIdString": "file_server_id",
}


@dataclass
class _Reader:
    """Looks properties up, and collects what is wrong with them."""

    properties: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)

    def text(self, known: Property) -> str:
        return self.properties.get(known.key, "").strip()

    def entries(self, known: Property, users: int) -> list[str]:
        """The entry of each user; the default where there is none.

        One alone applies to all; one with a `;` behind it to the first.
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
            self.problems.append(
                Problem(known.key, text, f"{what} of omero.fs.importUsers; name the missing ones")
            )
        given = given[:users] + [""] * (users - len(given))
        return [entry or known.default for entry in given]

    def convert(self, known: Property, entry: str, user: str = "") -> Any:
        """The value of an entry; that of the default where it is wrong."""
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
                given = {entry for entry in lists.entries(text) if entry} or {known.default}
            except ValueError as error:
                self.problems.append(Problem(known.key, text, str(error)))
                return known.kind.read(known.default)
            if len(given) > 1:
                wrong = "has one value for all users, and cannot have one for each"
                self.problems.append(Problem(known.key, text, wrong))
                return known.kind.read(known.default)
            text = given.pop()
        return self.convert(known, text or known.default)


def read_monitoring(properties: Mapping[str, str]) -> Monitoring:
    """FSServer's settings, from Ice properties or from `omero config`.

    What is wrong has its default: nobody's monitors end for a mistake.
    """
    get = _Reader(properties)
    record = get.single(BY_NAME["monitors"])
    values = {of: get.single(BY_NAME[name]) for name, of in _MONITORING_FIELDS.items()}
    return Monitoring(
        record=record or _data_dir(properties) / MONITORS_FILE,
        problems=tuple(get.problems),
        **values,
    )


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
    held = {problem.user for problem in get.problems}
    usable = () if "" in held else tuple(rule for rule in rules if rule.user not in held)
    return Settings(
        rules=usable,
        unusable=tuple(rule for rule in rules if rule not in usable),
        data_dir=data_dir,
        quarantine=quarantine,
        problems=tuple(get.problems),
        warnings=tuple(_unknown(properties)),
        **values,
    )


def _data_dir(properties: Mapping[str, str]) -> Path:
    return Path(properties.get(DATA_DIR, "").strip() or DATA_DIR_DEFAULT)


def _rules(get: _Reader, default_dir: Path) -> list[Rule]:
    """A rule for each entry of omero.fs.importUsers, wrong ones with defaults in them."""
    known = BY_NAME["importUsers"]
    text = get.text(known)
    try:
        users = [lists.bare(entry) or known.default for entry in lists.entries(text)]
    except ValueError as error:
        get.problems.append(Problem(known.key, text, str(error)))
        return []
    for user in users:
        if "/" in user or user in (".", ".."):
            get.problems.append(Problem(known.key, text, f"{user!r} is no user's name"))
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
                **{of: row[name] for name, of in _RULE_FIELDS.items()},
            )
        )
    return rules


def _apart(get: _Reader, rules: list[Rule], managed: Path) -> list[Rule]:
    """Those that have a directory of their own, which OMERO's own files are no part of."""
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


def _unknown(properties: Mapping[str, str]) -> list[Problem]:
    known = {prop.key for prop in PROPERTIES}
    found = []
    for key in sorted(properties):
        if not key.startswith(PREFIX) or key in known or key.startswith(FOREIGN):
            continue
        near = kinds.nearest(key, known)
        hint = f"; did you mean {near}?" if near else ""
        found.append(Problem(key, properties[key], f"is no property of OMERO.fs{hint}"))
    return found


def effective(rule: Rule) -> dict[str, str]:
    """Property name -> the value that holds for this rule, as it would be written."""
    texts = {"watchDir": BY_NAME["watchDir"].kind.write(rule.watch_dir)}
    for name, of in _RULE_FIELDS.items():
        texts[name] = BY_NAME[name].kind.write(getattr(rule, of))
    return texts


_OF_SETTINGS = {of: name for name, of in FIELDS.items()}


def digest(properties: Mapping[str, str]) -> str:
    """What tells two sets of properties apart, as far as they concern us."""
    ours = sorted(
        (key, value.strip())
        for key, value in properties.items()
        if value.strip() and (key.startswith(PREFIX) or key in (DATA_DIR, MANAGED_DIR))
    )
    return hashlib.sha256(repr(ours).encode()).hexdigest()[:16]


def needs_restart(before: Settings, after: Settings) -> list[str]:
    """The properties whose change no reload brings into a running server."""
    changed = [
        _OF_SETTINGS[one.name]
        for one in fields(Settings)
        if one.name in _OF_SETTINGS and getattr(before, one.name) != getattr(after, one.name)
    ]
    found = [PREFIX + name for name in changed if BY_NAME[name].restart]
    return [*found, DATA_DIR] if before.data_dir != after.data_dir else found


def changed_monitoring(before: Monitoring, after: Monitoring) -> list[str]:
    """The properties of FSServer that differ; all are taken at its start."""
    names = {"record": "monitors", **{of: name for name, of in _MONITORING_FIELDS.items()}}
    return [
        PREFIX + name for of, name in names.items() if getattr(before, of) != getattr(after, of)
    ]
