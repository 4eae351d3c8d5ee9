"""Parses a template of targets.  ``targets`` has its parts, and fills it in."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable

from omero_fs_plugin.errors import ConfigurationError

from .targets import (
    CONTAINER,
    DATASET,
    KINDS,
    NEW,
    NEWEST,
    PROJECT,
    REGEX,
    SCREEN,
    Part,
    Step,
    Template,
    java_groups,
)

FIELDS = ("dir", "dir1", "dir2", "dir3", "path", "user", "date")

_FORMS = "Project:name:NAME/Dataset:name:NAME, Dataset:id:NUMBER, Screen:name:NAME or regex:PATTERN"
_FIELD = re.compile(r"dir[1-9]\d?|dir|path|user|date")
_BY = re.compile(r"([-+%@]?)(\w+):")


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` if one of `known` is spelt much like `word`; otherwise empty."""
    spelt = {k.lower(): k for k in known}
    found = difflib.get_close_matches(word.strip().lower(), spelt, n=1, cutoff=0.6)
    return f"; did you mean {spelt[found[0]]}?" if found else ""


def parse(text: str) -> Template:
    """The template of `text`.  An empty one leaves images orphaned.

    Raises ConfigurationError with one line: the template, the place in it (counted from 1),
    what is allowed there, and the nearest right spelling.
    """
    text = text.strip()
    return _Parser(text).template() if text else Template()


def parse_option(text: str) -> Template:
    """The template of a value of -T, as OMERO's own importer takes it.

    Braces and slashes have no meaning there, and there are no projects.

    Raises ConfigurationError as `parse` does.
    """
    text = text.strip()
    return _Parser(text, plain=True).template() if text else Template()


class _Parser:
    """Parses one template from left to right.  A `plain` template has only OMERO's own forms."""

    def __init__(self, text: str, *, plain: bool = False) -> None:
        self.text = text
        self.at = 0
        self.plain = plain

    def error(self, what: str, at: int | None = None) -> ConfigurationError:
        place = (self.at if at is None else at) + 1
        return ConfigurationError(f"{self.text!r}, at character {place}: {what}")

    def template(self) -> Template:
        if self.text.partition(":")[0] == REGEX:
            return self.regex()
        starts, steps = [0], [self.step()]
        while self.at < len(self.text):
            self.at += 1  # the slash
            starts.append(self.at)
            steps.append(self.step())
        kinds = [step.kind for step in steps]
        if kinds not in ([DATASET], [SCREEN], [PROJECT, DATASET]):
            raise self.error(
                f"{'/'.join(kinds)} holds no images: a Dataset, a Screen, or a Dataset in a "
                "Project does, as in Project:name:NAME/Dataset:name:NAME",
                starts[-1] if len(steps) > 1 else len(self.text),
            )
        if len(steps) > 1 and steps[0].which == NEW:
            raise self.error("@ (always a new one) is for the Dataset, not for its Project", 0)
        return Template(tuple(steps))

    def step(self) -> Step:
        start = self.at
        end = min((i for i in map(self.find, ":/") if i >= 0), default=len(self.text))
        kind = self.text[start:end].strip()
        if kind not in KINDS:
            slash = " (a slash in a name is written //)" if start else ""
            raise self.error(
                f"{kind!r} is not a container: allowed is {_FORMS}{slash}"
                + nearest(kind, (*KINDS, REGEX) if not start else KINDS)
            )
        if self.text[end : end + 1] != ":":
            raise self.error(f"{kind} is followed by :name:NAME or :id:NUMBER", end)
        self.at = end + 1
        which, by = self.by(kind)
        if by == "id":
            return Step(kind, id=self.number(kind))
        return Step(kind, self.name(), which=which or NEWEST)

    def by(self, kind: str) -> tuple[str, str]:
        """What comes before `name`, and whether it is `name` or `id`; `id` is the default."""
        found = _BY.match(self.text, self.at)
        if not found:
            return "", "id"
        which, word = found.groups()
        if word not in ("id", "name"):
            raise self.error(
                f"{word!r}: allowed after {kind}: is id, name, +name, -name, %name or @name"
                + nearest(word, ("id", "name"))
            )
        if which and word == "id":
            raise self.error(f"{which!r} goes with name, not with id")
        self.at = found.end()
        return which, word

    def number(self, kind: str) -> int:
        slash = -1 if self.plain else self.find("/")
        end = len(self.text) if slash < 0 else slash
        given = self.text[self.at : end].strip()
        if not (given.isascii() and given.isdigit() and 0 < int(given) < 2**63):
            raise self.error(
                f"{given!r} is not an id, a whole number from 1; a name is written "
                f"{kind}:name:{given}"
            )
        self.at = end
        return int(given)

    def name(self) -> tuple[Part, ...]:
        start, parts, literal = self.at, list[Part](), ""
        if self.plain:
            self.at, literal = len(self.text), self.text[start:]
        while self.at < len(self.text):
            here = self.text[self.at]
            if here in "{}/" and self.text[self.at + 1 : self.at + 2] == here:
                literal += here
                self.at += 2
            elif here == "/":
                break
            elif here == "{":
                parts += [Part(literal), self.field()]
                literal = ""
            elif here == "}":
                raise self.error("a brace that closes nothing; in a name it is written }}")
            else:
                literal += here
                self.at += 1
        parts.append(Part(literal))
        # Blanks around a name do not belong to it, here as on disk.
        if not parts[0].field:
            parts[0] = Part(parts[0].text.lstrip())
        if not parts[-1].field:
            parts[-1] = Part(parts[-1].text.rstrip())
        named = tuple(part for part in parts if part.text)
        if not named:
            raise self.error("a name is missing here", start)
        return named

    def field(self) -> Part:
        end = self.find("}")
        if end < 0:
            raise self.error("a brace that is not closed; in a name it is written {{")
        word = self.text[self.at + 1 : end]
        if not _FIELD.fullmatch(word):
            raise self.error(
                f"there is no {{{word}}}: allowed is {{dir1}}, {{dir2}} and so on, {{dir}}, "
                f"{{path}}, {{user}}, {{date}}{nearest(word, FIELDS)}"
            )
        self.at = end + 1
        return Part(word, field=True)

    def regex(self) -> Template:
        start = self.at = len(REGEX) + 1
        which, found = NEWEST, _BY.match(self.text, start)
        if found:  # a colon after anything but a word is part of the pattern
            if found[2] != "name":
                raise self.error(
                    f"{found[2]!r}: allowed after {REGEX}: is name, +name, -name, %name or @name"
                    + nearest(found[2], ("name",))
                )
            which = found[1] or NEWEST
            self.at = found.end()
        pattern = self.text[self.at :]
        try:
            compiled = _compiled(pattern)
        except (re.error, FutureWarning, RecursionError, OverflowError) as error:
            place = self.at + (getattr(error, "pos", None) or 0)
            raise self.error(
                f"Python does not understand the regular expression: {error}",
                min(place, len(self.text)),
            ) from error
        if CONTAINER not in compiled.groupindex:
            raise self.error(
                f"the regular expression needs a group (?<{CONTAINER}>...) for the name"
                + "".join(nearest(name, (CONTAINER,)) for name in compiled.groupindex)
            )
        return Template(pattern=pattern, which=which)

    def find(self, what: str) -> int:
        return self.text.find(what, self.at)


def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        # Java's [a-z&&[^b]] means something else in Python.
        warnings.simplefilter("error", FutureWarning)
        return re.compile(java_groups(pattern))
