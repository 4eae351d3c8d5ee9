"""Where images go: templates of projects, datasets and screens, and filling them in.

A template is the value of `omero.fs.target`, or of a sidecar's `target`::

    Project:name:{dir1}/Dataset:name:{dir2}
    Dataset:id:5        Dataset:5        Screen:name:{dir}
    Dataset:%name:one   regex:^.*/(?<Container1>.*?)

The forms without braces, and the meaning of `+ - % @` before `name`, are those of
the option -T of OMERO's importer, from its documentation of import targets.  A
template is parsed before anything is filled in.  So a directory's name is always
part of a name, and never of the template.

Rule: a container whose name cannot be filled in is left out.  Without a dataset
or a screen the images are orphaned.  No name ever has a placeholder in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from omero_fs_plugin.errors import ImportRefused

PROJECT, DATASET, SCREEN = "Project", "Dataset", "Screen"
KINDS = (PROJECT, DATASET, SCREEN)
# Before `name`: newest or new, oldest or new, the only one or new, always new.
NEWEST, OLDEST, ONLY, NEW = "+", "-", "%", "@"
REGEX = "regex"
CONTAINER = "Container1"  # the group of a regex that is the name
LONGEST_NAME = 255  # characters; the column in OMERO's database

_ESCAPE_OR_GROUP = re.compile(r"(\\.)|\(\?<(?=[A-Za-z])", re.DOTALL)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Source:
    """The facts about a file that fill in a template."""

    user: str  # the OMERO name
    root: str  # absolute; the user's directory
    file: str  # absolute; the file of the fileset that OMERO opens first
    day: date | None  # when that file was last changed; None: the time is no possible date

    @classmethod
    def of(cls, user: str, root: str, file: str, mtime_ns: int) -> Source:
        """A Source with the day of `mtime_ns` (ns since the epoch) in the server's time zone."""
        try:
            day = date.fromtimestamp(mtime_ns / 1e9)
        except (ValueError, OverflowError, OSError):  # a file may have any time
            day = None
        return cls(user, root, file, day)

    @property
    def directories(self) -> tuple[str, ...]:
        """The directories between the user's own and the file, outermost first."""
        place = PurePosixPath(self.file)
        if not place.is_relative_to(self.root):
            return ()  # handed over from elsewhere
        return place.relative_to(self.root).parts[:-1]

    def value(self, field: str) -> str | None:
        """What a placeholder stands for; None if the file does not lie deep enough."""
        above = self.directories
        if field == "user":
            return self.user
        if field == "date":
            return self.day.isoformat() if self.day else None
        if field == "path":
            return "/".join(above) or None
        number = int(field[3:] or 0) or len(above)
        return above[number - 1] if 0 < number <= len(above) else None


@dataclass(frozen=True)
class Container:
    """One container to find or make; by its id if that is not 0."""

    kind: str  # one of KINDS
    name: str = ""
    id: int = 0
    which: str = NEWEST  # NEWEST, OLDEST, ONLY or NEW

    def __str__(self) -> str:
        if self.id:
            return f"{self.kind}:{self.id}"
        return f"{self.kind} {self.name!r}"


@dataclass(frozen=True)
class Target:
    """A template filled in: where the images of one fileset go."""

    containers: tuple[Container, ...] = ()  # outermost first; empty: the images are orphaned
    left_out: str = ""  # why there are fewer than in the template; empty if there are not

    def check(self, *, plate: bool) -> None:
        """Raises ImportRefused unless a plate goes to a screen, and images to a dataset.

        If the target of images is a screen, OMERO leaves them without a container and does
        not say so.
        """
        if not self.containers:
            return
        last = self.containers[-1]
        if plate and last.kind != SCREEN:
            raise ImportRefused(
                f"a plate goes into a Screen, and the target is {last}: "
                "set a target of the kind Screen, or regex:",
                final=True,
            )
        if not plate and last.kind == SCREEN:
            raise ImportRefused(
                f"images go into a Dataset, and the target is {last}: "
                "only plates go into a Screen; set a target of the kind Dataset, or regex:",
                final=True,
            )


@dataclass(frozen=True)
class Part:
    """A piece of a name: literal text, or the name of a placeholder."""

    text: str
    field: bool = False

    def __str__(self) -> str:
        if self.field:
            return f"{{{self.text}}}"
        return re.sub(r"[{}/]", r"\g<0>\g<0>", self.text)


@dataclass(frozen=True)
class Step:
    """One container of a template, by its id or by a name to be filled in."""

    kind: str
    name: tuple[Part, ...] = ()
    id: int = 0
    which: str = NEWEST

    def __str__(self) -> str:
        if self.id:
            return f"{self.kind}:id:{self.id}"
        return f"{self.kind}:{_by(self.which)}:{''.join(map(str, self.name))}"

    def fill(self, source: Source) -> Container | str:
        """The container, or the placeholder that cannot be filled in.

        Raises ImportRefused for a name that is too long for OMERO.
        """
        if self.id:
            return Container(self.kind, id=self.id)
        texts = []
        for part in self.name:
            text = source.value(part.text) if part.field else part.text
            if text is None:
                return str(part)
            texts.append(text)
        name = clean("".join(texts))
        return container(self.kind, name, self.which) if name else str(self)


@dataclass(frozen=True)
class Template:
    """A parsed template; `str` gives its simplest form."""

    steps: tuple[Step, ...] = ()  # empty, and no pattern: the images are orphaned
    pattern: str = ""  # of a regex, as it was written
    which: str = NEWEST  # of a regex

    def __str__(self) -> str:
        if self.pattern:
            return f"{REGEX}:{_by(self.which)}:{self.pattern}"
        return "/".join(map(str, self.steps))

    def fill(self, source: Source, *, plate: bool) -> Target:
        """Where the images of `source` go.  A regex gives plates a screen.

        Raises ImportRefused for a name that is too long for OMERO.
        """
        if self.pattern:
            return self._match(source, SCREEN if plate else DATASET)
        containers, lacking = [], []
        for step in self.steps:
            filled = step.fill(source)
            if isinstance(filled, str):
                lacking.append(f"{step}: there is no {filled} for this file")
            else:
                containers.append(filled)
        if containers and containers[-1].kind == PROJECT:
            containers = []  # a project alone holds no images
        return Target(tuple(containers), "; ".join(lacking))

    def _match(self, source: Source, kind: str) -> Target:
        directory = str(PurePosixPath(source.file).parent)
        found = re.fullmatch(java_groups(self.pattern), directory)
        name = clean(found[CONTAINER] or "") if found else ""
        if not name:
            why = f"has no {CONTAINER} in" if found else "does not match"
            return Target(left_out=f"{self} {why} {directory}")
        return Target((container(kind, name, self.which),))


def container(kind: str, name: str, which: str) -> Container:
    """A container by its name.  Raises ImportRefused if the name is too long for OMERO."""
    if len(name) > LONGEST_NAME:
        raise ImportRefused(
            f"the name of a {kind} would have {len(name)} characters, and OMERO takes "
            f"{LONGEST_NAME}: {name[:40]}...",
            final=True,
        )
    return Container(kind, name, which=which)


def clean(name: str) -> str:
    """`name` as OMERO can keep and show it: no control characters, valid Unicode, no outer blanks.

    A name on disk need not be UTF-8.  Bytes that are not UTF-8 become U+FFFD.
    """
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _UNSAFE.sub("_", name).strip()


def java_groups(pattern: str) -> str:
    """`pattern` for Python, which writes (?P<Name>...) where Java has (?<Name>...)."""
    return _ESCAPE_OR_GROUP.sub(lambda found: found[1] or "(?P<", pattern)


def _by(which: str) -> str:
    return "name" if which == NEWEST else f"{which}name"
