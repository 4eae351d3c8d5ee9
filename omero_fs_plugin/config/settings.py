"""The settings that the servers use: frozen values, each with its omero.fs.* property."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.names import in_quotes

from .after_import import AfterImport
from .layout import OWNER, depth
from .outlets import NOWHERE, Outlets
from .path_map import PathMap
from .properties import BY_NAME
from .schedule import Priority, Window

DATA_DIR = "omero.data.dir"
DATA_DIR_DEFAULT = "/OMERO"  # etc/omero.properties of OMERO.server
MANAGED_DIR = "omero.managed.dir"
MANAGED_DIR_DEFAULT = "ManagedRepository"
JOURNAL_FILE = "omero-fs-journal.sqlite"
MONITORS_FILE = "omero-fs-monitors.sqlite"
EVERYONE = "default"  # in omero.fs.importUsers


@dataclass(frozen=True)
class Problem:
    """A wrong value.  Its text is one line for admins."""

    key: str
    value: str
    wrong: str  # what is wrong, and what it must be
    user: str = ""  # an entry of omero.fs.importUsers; empty: it concerns everyone

    def __str__(self) -> str:
        of = f" for {self.user}" if self.user else ""
        return f"{self.key} = {in_quotes(self.value)}{of}: {self.wrong}"


@dataclass(frozen=True)
class Rule:
    """The settings for one entry of omero.fs.importUsers."""

    user: str  # OMERO user name; or EVERYONE: each user has a subdirectory of `watch_dir`
    watch_dir: Path  # absolute
    node: str  # of IceGrid, whose FSServer watches; empty: the one without a node's name
    layout: str  # of EVERYONE: one of layout.LAYOUTS
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
    window: Window  # when imports begin
    target: str  # template; empty: none
    group: str  # empty: the user's default group
    importer: str  # auto | java | native
    transfer: str  # upload, or a way in place
    readers: Path | None  # absolute
    import_args: tuple[str, ...]
    after_import: AfterImport
    tidy_directories: bool

    @property
    def name(self) -> str:
        """How status and log name the rule."""
        return f"{self.user} in {self.watch_dir}"


def levels(rule: Rule) -> int:
    """How deep a user's files lie at least below the watched directory; 1: in it."""
    return depth(rule.layout) + 1 if rule.user == EVERYONE else 1


def is_by_owner(rule: Rule | None) -> bool:
    """Whether the owner of each file says whose it is."""
    return rule is not None and rule.user == EVERYONE and rule.layout == OWNER


@dataclass(frozen=True)
class Mail:
    """OMERO's own settings for mail, from omero.mail.* (OMERO's documentation of them)."""

    host: str = "localhost"
    port: int = 25
    sender: str = "omero@localhost"
    username: str = ""
    password: str = field(default="", repr=False)
    auth: bool = False  # log in with the user name and the password
    starttls: bool = False
    tls: bool = False  # from the first byte: transport.protocol is smtps
    timeout: float = 60.0  # s, for each answer of the server


@dataclass(frozen=True)
class Settings:
    """DropBox's settings, made by `parsing.read`; they never change.

    `problems` without a user concern everyone: if there is one, there are no
    `rules`, and nothing is imported.  The entries of users in `held` are left
    out of `rules`.
    """

    rules: tuple[Rule, ...]
    data_dir: Path
    managed_dir: Path  # of OMERO's managed repository
    importers: int  # of DropBox itself; 0: other machines import everything
    node_importers: int  # on each other machine; 0: as many
    create_users: bool  # directories for OMERO users who have none
    path_map: PathMap  # of importers and FSServers on other machines
    file_batch: int  # files gathered before they are looked at
    longest_wait: float  # s; a warning is given for a file that still changes after this
    quarantine: Path | None  # absolute; failed files are moved below it
    duplicates: str  # skip | import
    priority: Priority  # what is imported first
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
    notify: str  # none | user | admin | both
    notify_interval: float  # s
    notify_admins: tuple[str, ...]  # addresses; empty: those of OMERO's administrators
    notify_by: tuple[str, ...]  # mail, a web address, or the words of a command
    web_address: str  # of OMERO.web, without a slash at its end; empty: not known
    notes: str  # off | on
    publish_interval: float  # s; 0: no document is written
    metrics: Outlets  # where they are shown
    metrics_users: bool  # with the names of users
    nice: int  # below OMERO's priority, 0 to 19
    mail: Mail
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    # Rules that a problem keeps from being used.  Defaults replace their wrong values.
    unusable: tuple[Rule, ...] = ()

    @property
    def journal_url(self) -> str:
        """The URL of the journal, as SQLAlchemy takes it."""
        return self.journal or f"sqlite:///{self.data_dir / JOURNAL_FILE}"

    @property
    def importers_elsewhere(self) -> int:
        """How many importers each other machine has."""
        return self.node_importers or self.importers

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
    """FSServer's settings, made by `parsing.read_monitoring`."""

    record: Path  # the file that keeps its monitors
    client_timeout: float  # s; a client that is away so long is given up; 0: never
    observer: str  # auto, inotify or polling
    poll_interval: float  # s
    file_server_roots: tuple[str, ...]  # absolute
    monitor_roots: tuple[str, ...]  # absolute
    server_id: str
    file_server_id: str
    nice: int  # DropBox's
    metrics: Outlets = NOWHERE  # FSServer's own
    problems: tuple[Problem, ...] = ()


# Which field of Rule or Settings a property becomes.  importUsers and watchDir
# are read together, and defaultDropBoxDir is part of them.
RULE_FIELDS = {
    "node": "node",
    "layout": "layout",
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
    "window": "window",
    "target": "target",
    "group": "group",
    "importer": "importer",
    "transfer": "transfer",
    "readers": "readers",
    "importArgs": "import_args",
    "afterImport": "after_import",
    "tidyDirectories": "tidy_directories",
}
FIELDS = {
    "importers": "importers",
    "nodeImporters": "node_importers",
    "createUsers": "create_users",
    "pathMap": "path_map",
    "fileBatch": "file_batch",
    "longestWait": "longest_wait",
    "quarantine": "quarantine",
    "duplicates": "duplicates",
    "priority": "priority",
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
    "notify": "notify",
    "notifyInterval": "notify_interval",
    "notifyAdmins": "notify_admins",
    "notifyBy": "notify_by",
    "webAddress": "web_address",
    "notes": "notes",
    "publishInterval": "publish_interval",
    "metrics": "metrics",
    "metricsUsers": "metrics_users",
    "nice": "nice",
}
MONITORING_FIELDS = {
    "clientTimeout": "client_timeout",
    "observer": "observer",
    "pollInterval": "poll_interval",
    "fileServerRoots": "file_server_roots",
    "monitorRoots": "monitor_roots",
    "serverIdString": "server_id",
    "fileServerIdString": "file_server_id",
    "nice": "nice",
}


def effective(rule: Rule) -> dict[str, str]:
    """Property name -> the value of this rule, as it would be written."""
    texts = {"watchDir": BY_NAME["watchDir"].kind.write(rule.watch_dir)}
    for name, of in RULE_FIELDS.items():
        texts[name] = BY_NAME[name].kind.write(getattr(rule, of))
    return texts
