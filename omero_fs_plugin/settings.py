"""Every omero.fs.* property: its kind, unit, default and meaning, in one table.

`read` turns the properties a server was started with into a frozen
`Settings`.  The grid fragment's defaults are checked against this table by a
test.  Names, defaults and meanings are those of OMERO's documentation of
OMERO.fs; a property that this release does not act on yet says so, and a
value it cannot honour is an error, never a silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigurationError

PREFIX = "omero.fs."


@dataclass(frozen=True)
class Property:
    """One omero.fs.* property."""

    name: str  # without the prefix
    kind: str  # text | number | count | flag | path | list
    default: str
    meaning: str
    unit: str = ""

    @property
    def key(self) -> str:
        """The full name, as in `omero config set`."""
        return PREFIX + self.name


PROPERTIES: tuple[Property, ...] = (
    Property("importUsers", "text", "default", "whose files are imported; `default`: every user"),
    Property("watchDir", "path", "", "the directory to watch; empty: defaultDropBoxDir"),
    Property("defaultDropBoxDir", "path", "DropBox", "the DropBox below omero.data.dir"),
    Property("eventTypes", "list", "Creation,Modification", "what the monitor is told of"),
    Property("pathMode", "text", "Follow", "Flat, Recurse or Follow"),
    Property("whitelist", "list", "", "only these extensions or names; empty: all"),
    Property("blacklist", "list", "", "directories, files or extensions to pass over"),
    Property("timeout", "number", "0.0", "for one-shot monitors; DropBox has none", "s"),
    Property("blockSize", "count", "0", "most events in one notification; 0: all there are"),
    Property("ignoreSysFiles", "flag", "True", "pass over dot files and copy tools' own files"),
    Property("ignoreDirEvents", "flag", "True", "tell of files only"),
    Property("dirImportWait", "number", "60", "the quiet period before a file is imported", "s"),
    Property("fileBatch", "count", "10", "files gathered before they are looked at"),
    Property("throttleImport", "number", "0", "time between the starts of two imports", "s"),
    Property("readers", "path", "", "a file of reader classes; empty: all readers"),
    Property("importArgs", "text", "", "further arguments of the importer"),
    Property("timeToLive", "number", "0", "longest life of a user's session; 0: no end", "s"),
    Property("timeToIdle", "number", "600", "longest idle time of a user's session", "s"),
    Property("host", "text", "localhost", "where the OMERO router listens"),
    Property("port", "text", "4064", "the router's ssl port"),
    Property("maxRetries", "count", "5", "tries of one call to OMERO before it counts as away"),
    Property("retryInterval", "number", "3", "time between two such tries", "s"),
    Property("platformCheck", "flag", "True", "refuse to watch where no monitor can work"),
    Property("serverIdString", "text", "MonitorServer", "well-known object of the monitor"),
    Property("fileServerIdString", "text", "FileServer", "well-known object of the file server"),
    Property("clientIdString", "text", "DropBox", "identity under which DropBox is notified"),
    Property("clientAdapterName", "text", "omerofs.DropBox", "DropBox's object adapter"),
    Property("importers", "count", "2", "imports under way at the same time"),
    Property("longestWait", "number", "3600", "a file still changing after this is warned of", "s"),
    Property("quarantine", "path", "", "where failed files are moved to; empty: they stay"),
    Property("duplicates", "text", "skip", "skip or import content that the user has in OMERO"),
    Property("rescanInterval", "number", "3600", "time between two looks at the whole tree", "s"),
    Property("observer", "text", "auto", "auto, inotify or polling: how FSServer hears of changes"),
    Property("pollInterval", "number", "10", "time between two looks at what is polled", "s"),
    Property("fileServerRoots", "list", "", "directories that FileServer may show as well"),
    Property("monitors", "path", "", "FSServer's record of its monitors; empty: in omero.data.dir"),
    Property(
        "clientTimeout", "number", "604800", "a client away so long is given up; 0: never", "s"
    ),
    Property("journal", "text", "", "database URL of the journal; empty: SQLite in omero.data.dir"),
)

BY_NAME: Mapping[str, Property] = {p.name: p for p in PROPERTIES}

DATA_DIR = "omero.data.dir"
DATA_DIR_DEFAULT = "/OMERO"  # etc/omero.properties of OMERO.server
JOURNAL_FILE = "omero-fs-journal.sqlite"
MONITORS_FILE = "omero-fs-monitors.sqlite"


@dataclass(frozen=True)
class Settings:
    """What the servers go by; made by `read`, never changed."""

    data_dir: Path
    watch_dir: Path  # absolute; one subdirectory for each OMERO user
    quiet_period: float  # s; omero.fs.dirImportWait
    importers: int
    file_batch: int  # files gathered before they are looked at
    throttle_import: float  # s
    longest_wait: float  # s; a file that still changes then is warned of
    quarantine: Path | None  # absolute; failed files are moved below it
    import_duplicates: bool
    rescan_interval: float  # s
    time_to_live: float  # s; 0: no end
    time_to_idle: float  # s
    host: str
    port: int
    max_retries: int
    retry_interval: float  # s
    block_size: int
    ignore_sys_files: bool
    ignore_dir_events: bool
    platform_check: bool
    path_mode: str
    event_types: tuple[str, ...]
    whitelist: tuple[str, ...]
    blacklist: tuple[str, ...]
    server_id: str
    file_server_id: str
    client_id: str
    client_adapter: str
    journal_url: str  # as SQLAlchemy takes it

    @property
    def journal_file(self) -> Path:
        """Where the default journal lies."""
        return self.data_dir / JOURNAL_FILE


@dataclass(frozen=True)
class Monitoring:
    """What FSServer itself goes by; made by `read_monitoring`."""

    record: Path  # its monitors are kept here
    client_timeout: float  # s; a client away so long is given up; 0: never
    observer: str  # auto, inotify or polling
    poll_interval: float  # s
    file_server_roots: tuple[str, ...]  # absolute


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise ValueError("True or False")
    return lowered == "true"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number of seconds, 0 or more") from None
    if not 0 <= value < 10**9:
        raise ValueError("a number of seconds, 0 or more")
    return value


def _interval(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86400:
        raise ValueError("a number of seconds from 0.1 to 86400")
    return value


def _count(lowest: int, highest: int = 10**9) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = lowest - 1
        if not lowest <= value <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return value

    return convert


def _choice(*allowed: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in allowed:
            raise ValueError(" or ".join(allowed))
        return text

    return convert


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _directories(text: str) -> tuple[str, ...]:
    items = _items(text)
    if not all(Path(item).is_absolute() and ".." not in Path(item).parts for item in items):
        raise ValueError("absolute paths without '..', with commas between")
    return items


def _events(text: str) -> tuple[str, ...]:
    allowed = ("Creation", "Modification", "Deletion", "All")
    items = _items(text)
    if not items or not set(items) <= set(allowed):
        raise ValueError("one or more of " + ", ".join(allowed) + ", with commas between")
    return items


class _Reader:
    """Looks properties up and collects every error before any is raised."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self.properties = properties
        self.errors: list[str] = []

    def text(self, name: str) -> str:
        given = self.properties.get(PREFIX + name, "").strip()
        return given or BY_NAME[name].default

    def value(self, name: str, convert: Callable[[str], object]) -> object:
        text = self.text(name)
        try:
            return convert(text)
        except ValueError as allowed:
            self.errors.append(f"{PREFIX}{name} = {text!r}: must be {allowed}")
            return convert(BY_NAME[name].default)


def read_monitoring(properties: Mapping[str, str]) -> Monitoring:
    """FSServer's own settings: a mistake in DropBox's must not keep it from running.

    Raises ConfigurationError as `read`.
    """
    get = _Reader(properties)
    data_dir = Path(properties.get(DATA_DIR, "").strip() or DATA_DIR_DEFAULT)
    given = get.text("monitors")
    if given and not Path(given).is_absolute():
        get.errors.append(f"{PREFIX}monitors = {given!r}: must be an absolute path")
    monitoring = Monitoring(
        record=Path(given) if given else data_dir / MONITORS_FILE,
        client_timeout=get.value("clientTimeout", _seconds),  # type: ignore[arg-type]
        observer=get.value("observer", _choice("auto", "inotify", "polling")),  # type: ignore[arg-type]
        poll_interval=get.value("pollInterval", _interval),  # type: ignore[arg-type]
        file_server_roots=get.value("fileServerRoots", _directories),  # type: ignore[arg-type]
    )
    if get.errors:
        raise ConfigurationError("; ".join(get.errors))
    return monitoring


def read(properties: Mapping[str, str]) -> Settings:
    """Settings from Ice properties or from `omero config`.

    A missing or empty value takes the default.

    Raises ConfigurationError naming every property that cannot be honoured,
    its value and what is allowed.
    """
    get = _Reader(properties)
    for name in ("importUsers", "watchDir", "dirImportWait", "readers", "importArgs"):
        if ";" in get.text(name):
            get.errors.append(
                f"{PREFIX}{name} = {get.text(name)!r}: one value for all users; "
                "lists of users separated by ';' are not honoured by this release"
            )
    if get.text("importUsers") != "default":
        get.errors.append(
            f"{PREFIX}importUsers = {get.text('importUsers')!r}: must be default in this release"
        )
    for name in ("readers", "importArgs"):
        if get.text(name):
            get.errors.append(f"{PREFIX}{name} is set, and this release imports natively only")
    data_dir = Path(properties.get(DATA_DIR, "").strip() or DATA_DIR_DEFAULT)
    watch = get.text("watchDir")
    if watch and not Path(watch).is_absolute():
        get.errors.append(f"{PREFIX}watchDir = {watch!r}: must be an absolute path")
    quarantine = get.text("quarantine")
    if quarantine and not Path(quarantine).is_absolute():
        get.errors.append(f"{PREFIX}quarantine = {quarantine!r}: must be an absolute path")
    watch_dir = Path(watch) if watch else data_dir / get.text("defaultDropBoxDir")
    if quarantine and Path(quarantine).is_relative_to(watch_dir):
        get.errors.append(f"{PREFIX}quarantine = {quarantine!r}: must lie outside {watch_dir}")
    settings = Settings(
        data_dir=data_dir,
        watch_dir=watch_dir,
        quiet_period=get.value("dirImportWait", _seconds),  # type: ignore[arg-type]
        importers=get.value("importers", _count(1, 64)),  # type: ignore[arg-type]
        file_batch=get.value("fileBatch", _count(1)),  # type: ignore[arg-type]
        throttle_import=get.value("throttleImport", _seconds),  # type: ignore[arg-type]
        longest_wait=get.value("longestWait", _seconds),  # type: ignore[arg-type]
        quarantine=Path(quarantine) if quarantine else None,
        import_duplicates=get.value("duplicates", _choice("skip", "import")) == "import",
        rescan_interval=get.value("rescanInterval", _seconds),  # type: ignore[arg-type]
        time_to_live=get.value("timeToLive", _seconds),  # type: ignore[arg-type]
        time_to_idle=get.value("timeToIdle", _seconds),  # type: ignore[arg-type]
        host=get.text("host"),
        port=get.value("port", _count(1, 65535)),  # type: ignore[arg-type]
        max_retries=get.value("maxRetries", _count(1, 1000)),  # type: ignore[arg-type]
        retry_interval=get.value("retryInterval", _seconds),  # type: ignore[arg-type]
        block_size=get.value("blockSize", _count(0)),  # type: ignore[arg-type]
        ignore_sys_files=get.value("ignoreSysFiles", _flag),  # type: ignore[arg-type]
        ignore_dir_events=get.value("ignoreDirEvents", _flag),  # type: ignore[arg-type]
        platform_check=get.value("platformCheck", _flag),  # type: ignore[arg-type]
        path_mode=get.value("pathMode", _choice("Flat", "Recurse", "Follow")),  # type: ignore[arg-type]
        event_types=get.value("eventTypes", _events),  # type: ignore[arg-type]
        whitelist=_items(get.text("whitelist")),
        blacklist=_items(get.text("blacklist")),
        server_id=get.text("serverIdString"),
        file_server_id=get.text("fileServerIdString"),
        client_id=get.text("clientIdString"),
        client_adapter=get.text("clientAdapterName"),
        journal_url=get.text("journal") or f"sqlite:///{data_dir / JOURNAL_FILE}",
    )
    if get.errors:
        raise ConfigurationError("; ".join(get.errors))
    return settings
