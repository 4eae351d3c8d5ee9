"""omero.fs.importArgs: the arguments of OMERO's importer, and what each means here.

The options are those that `omero import -h` and `--advanced-help` document,
with the spellings of OMERO 4.2 (`-report -send`).  Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from omero_fs_plugin.errors import ConfigurationError

from .transfer import Transfer

PROPERTY = "omero.fs.importArgs"

_SESSION = "DropBox opens the user's session itself"
_PRINTS = "it would print something and import nothing"
_OUTPUT = "DropBox reads what the importer prints, and logs to DropBox.log"
_WAITS = "DropBox waits for the end of every import"
_SHA1 = "DropBox needs the SHA1 of each file, so that it imports no file twice"
_TOLD = "`omero fs status` shows failures, and nothing leaves this site"
_NO_JAVA = "no Java runs here"
_SCANS = "DropBox names the files itself"
_MANY = "omero.fs.importers says how many imports run at once"
_SSL = "files go the way of the session"

# Option -> (does it take a value, why neither importer gets it).
_NOBODY = {
    **dict.fromkeys(("s", "server", "p", "port", "u", "user"), (True, _SESSION)),
    **dict.fromkeys(("w", "password", "k", "key", "g", "group", "sudo"), (True, _SESSION)),
    **dict.fromkeys(("C", "create"), (False, _SESSION)),
    **dict.fromkeys(("f", "h", "help", "javahelp", "java-help"), (False, _PRINTS)),
    "advanced-help": (False, _PRINTS),
    **dict.fromkeys(("file", "errs", "logprefix", "output"), (True, _OUTPUT)),
    **dict.fromkeys(("q", "quiet"), (False, _OUTPUT)),
    **dict.fromkeys(("auto_close", "close_completed", "wait_completed"), (False, _WAITS)),
    "minutes_wait": (True, _WAITS),
    **dict.fromkeys(("checksum-algorithm", "checksum_algorithm"), (True, _SHA1)),
    **dict.fromkeys(("bulk", "depth"), (True, _SCANS)),
    "clientdir": (True, "the importer's jars are those in lib/client of the OMERO.server"),
    "fetch-jars": (True, "nothing is downloaded"),
}
# Option -> (does it take a value, why native does not need it); Java gets it.
_JAVAS = {
    **dict.fromkeys(("report", "upload", "logs"), (False, _TOLD)),
    **dict.fromkeys(("email", "qa-baseurl"), (True, _TOLD)),
    **dict.fromkeys(("debug", "logback"), (True, _NO_JAVA)),
    **dict.fromkeys(("parallel-upload", "parallel-fileset"), (True, _MANY)),
    "encrypted": (True, _SSL),
}
# Option that only Java can do, all with a value.
_ONLY_JAVA = (
    *("l", "readers", "agent", "annotation-ns", "annotation-text", "annotation-link"),
    *("annotation_ns", "annotation_text", "annotation_link"),
)
_UNDERSTOOD = {
    **dict.fromkeys(("n", "name", "plate_name"), True),
    **dict.fromkeys(("x", "description", "plate_description"), True),
    **dict.fromkeys(("d", "r", "T", "target", "transfer", "exclude", "skip"), True),
    **dict.fromkeys(("no-thumbnails", "no_thumbnails", "no-stats-info"), False),
    **dict.fromkeys(("no-upgrade-check", "c"), False),
}
_TAKES_VALUE: dict[str, bool] = {
    **{name: takes for name, (takes, _) in (_NOBODY | _JAVAS).items()},
    **dict.fromkeys(_ONLY_JAVA, True),
    **_UNDERSTOOD,
}
# OMERO 4.2 wrote these with one dash; its `send` is today's `upload`.
_OLD = {"report": "report", "send": "upload", "logs": "logs", "upload": "upload", "email": "email"}
_LEVELS = ("ALL", "DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN")
_SKIPS = ("all", "checksum", "minmax", "thumbnails", "upgrade")


@dataclass(frozen=True)
class Arguments:
    """What omero.fs.importArgs says."""

    name: str = ""
    description: str = ""
    target: str = ""  # as `-T` takes it; `-d 5` is Dataset:id:5
    transfer: Transfer | None = None
    thumbnails: bool = True
    stats: bool = True
    exclude_imported_paths: bool = False  # --exclude clientpath
    ignored: tuple[tuple[str, str], ...] = ()  # option as written, why no importer gets it
    needless: tuple[tuple[str, str], ...] = ()  # option as written, why native does not need it
    unknown: tuple[str, ...] = ()  # options that only Java may know, as written
    for_java: tuple[str, ...] = field(default=())  # what Java gets besides the above


def parse(text: str) -> Arguments:
    """The arguments in the property's value, which is quoted as for a shell.

    Raises ConfigurationError for quotes that do not end, an option without its
    value, a wrong value, and two options that contradict each other.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(f"{PROPERTY}: {str(error).lower()}") from None
    values: dict[str, str] = {}
    skips: set[str] = set()
    ignored: dict[str, str] = {}
    needless: dict[str, str] = {}
    unknown: list[str] = []
    for_java: list[str] = []
    for written, option, value in _options(words):
        if option is None:
            if not written.startswith("-") and not (unknown and for_java[-1] == unknown[-1]):
                raise ConfigurationError(f"{PROPERTY}: {written}: {_SCANS}; only options go here")
            unknown.append(written)
            for_java.append(written)
        elif option in _NOBODY:
            ignored[written] = _NOBODY[option][1]
        elif option in _JAVAS:
            needless[written] = _JAVAS[option][1]
            for_java.append(_again(option, value))
        elif option in _ONLY_JAVA or (option == "exclude" and value != "clientpath"):
            unknown.append(written)
            for_java.append(_again(option, value))
        elif option == "skip":
            if value not in _SKIPS:
                raise ConfigurationError(
                    f"{PROPERTY}: --skip {value}: one of {', '.join(_SKIPS)} is wanted"
                )
            skips.add(value)
        elif option.startswith("no"):
            skips.add({"th": "thumbnails", "st": "minmax", "up": "upgrade"}[option[3:5]])
        elif option != "c":  # a fileset that fails never stops the others
            key, value = _understood(option, value)
            if values.setdefault(key, value) != value:
                raise ConfigurationError(f"{PROPERTY}: {written}: given twice, and differently")
    if "checksum" in skips:
        ignored["--skip checksum"] = _SHA1
    return Arguments(
        name=values.get("name", ""),
        description=values.get("description", ""),
        target=values.get("target", ""),
        transfer=Transfer(values["transfer"]) if "transfer" in values else None,
        thumbnails=not skips & {"all", "thumbnails"},
        stats=not skips & {"all", "minmax"},
        exclude_imported_paths="exclude" in values,
        ignored=tuple(ignored.items()),
        needless=tuple(needless.items()),
        unknown=tuple(unknown),
        for_java=tuple(for_java),
    )


def _options(words: list[str]) -> Iterator[tuple[str, str | None, str]]:
    """(as written without a value, option or None if it is not known, value)."""
    rest = iter(words)
    left = list(words)
    for word in rest:
        left.pop(0)
        if word == "--":  # `omero import -- --debug=ALL`: what follows is Java's
            continue
        option, written, value = _split(word)
        if option is None:
            yield word, None, ""
            continue
        takes = _TAKES_VALUE[option]
        if option == "debug" and value is None and (not left or left[0] not in _LEVELS):
            takes = False
        if takes and value is None:
            if not left:
                raise ConfigurationError(f"{PROPERTY}: {written}: a value is wanted after it")
            value = next(rest)
            left.pop(0)
        elif not takes and value is not None:
            raise ConfigurationError(f"{PROPERTY}: {word}: {written} takes no value")
        yield written, option, value or ""


def _split(word: str) -> tuple[str | None, str, str | None]:
    """(the option's name, as written, the value in the same word)."""
    if word.startswith("--"):
        # omero-py keeps the "---file" form for old scripts.
        name, equals, value = word.lstrip("-").partition("=")
        known = [name] if name in _TAKES_VALUE or name == "send" else _abbreviated(name)
        if len(known) != 1 or len(name) == 1:
            return None, word, None
        return _OLD.get(known[0], known[0]), f"--{name}", value if equals else None
    name, equals, value = word[1:].partition("=")
    if word.startswith("-") and name in _OLD:
        return _OLD[name], f"-{name}", value if equals else None
    if word.startswith("-") and word[1:2] in _TAKES_VALUE:
        return word[1], word[:2], word[2:] or None
    return None, word, None


def _abbreviated(name: str) -> list[str]:
    return [known for known in _TAKES_VALUE if len(known) > 1 and known.startswith(name)]


def _understood(option: str, value: str) -> tuple[str, str]:
    """(what it sets, its value in one form)."""
    if option in ("d", "r"):
        kind = "Dataset" if option == "d" else "Screen"
        number = value.removeprefix(f"{kind}:")
        if not number.isdigit():
            raise ConfigurationError(f"{PROPERTY}: -{option} {value}: the id of a {kind} is wanted")
        return "target", f"{kind}:id:{number}"
    if option == "transfer":
        if value not in {transfer.value for transfer in Transfer}:
            known = ", ".join(transfer.value for transfer in Transfer)
            raise ConfigurationError(f"{PROPERTY}: --transfer {value}: one of {known} is wanted")
        return "transfer", value
    keys = {"n": "name", "plate_name": "name", "x": "description", "T": "target"}
    return {**keys, "plate_description": "description"}.get(option, option), value


def _again(option: str, value: str) -> str:
    """The option as one word for the importer."""
    if not _TAKES_VALUE[option]:
        return f"--{option}"
    if option == "debug":  # the importer needs no level, but omero-py's command does
        return f"--debug={value or 'DEBUG'}"
    return f"-{option}{value}" if len(option) == 1 else f"--{option}={value}"
