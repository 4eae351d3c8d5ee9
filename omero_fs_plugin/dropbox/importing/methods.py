"""How the files of a rule are imported: readers, importer, target and group, made ready.

A property may name something outside of itself, such as a file of readers or jars.
That is looked at here, so that people hear of a mistake when the configuration is
taken, not when a file comes.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from omero_fs_plugin.config.properties import PREFIX
from omero_fs_plugin.config.readers import read_readers
from omero_fs_plugin.config.settings import Problem, Rule, Settings
from omero_fs_plugin.dropbox.targets.targets import Template
from omero_fs_plugin.dropbox.targets.templates import parse, parse_option
from omero_fs_plugin.errors import ConfigurationError

from .importers.choice import Choice, choose

# The reader classes in the jars of omero.fs.bioformatsJars and of an OMERODIR.
ReadersThere = Callable[[Sequence[str], str | None], Collection[str]]


def _none_there(configured: Sequence[str], omerodir: str | None) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Method:
    """How the filesets of one rule are imported."""

    choice: Choice
    template: Template | None = None  # where images go; None: nowhere
    group: str = ""  # empty: the user's default
    readers: tuple[str, ...] | None = None  # None: all


def plain(omerodir: str | None) -> Method:
    """The Method of files that no rule covers: every setting has its default."""
    return Method(choose("auto", "", omerodir=omerodir))


class Methods:
    """The Method of each rule in force.  Thread-safe: `apply` exchanges them at once."""

    def __init__(self, omerodir: str | None, readers_there: ReadersThere = _none_there) -> None:
        self._omerodir = omerodir
        self._readers_there = readers_there
        self._plain = plain(omerodir)
        self._of: dict[Rule, Method] = {}
        self._former: dict[Rule, Method] = {}

    def of(self, rule: Rule | None) -> Method:
        """The Method of a rule, even of one before the last change.  None: `plain`."""
        if rule is None:
            return self._plain
        # An import under way may have begun under a rule that is gone by now.
        return self._of.get(rule) or self._former.get(rule) or self._plain

    def readers(self, rule: Rule | None) -> Sequence[str] | None:
        """The reader classes of a rule, as a Grouper takes them."""
        return self.of(rule).readers

    def examine(self, settings: Settings) -> tuple[Settings, dict[Rule, Method]]:
        """`settings` with the problems that are found here, and the Method of each good rule."""
        found: dict[Rule, Method] = {}
        problems: list[Problem] = []
        more = partial(self._readers_there, settings.bioformats_jars, self._omerodir)
        for rule in settings.rules:
            wrong, method = make_method(rule, self._omerodir, more)
            problems += wrong
            if method is not None:
                found[rule] = method
        for rule in settings.unusable:  # so that people hear of all problems at once
            problems += make_method(rule, self._omerodir, more)[0]
        held = {problem.user for problem in problems}
        rules = tuple(rule for rule in settings.rules if rule.user not in held)
        examined = replace(settings, rules=rules, problems=(*settings.problems, *problems))
        return examined, {rule: method for rule, method in found.items() if rule in rules}

    def apply(self, methods: dict[Rule, Method]) -> None:
        """Puts these into force."""
        self._former, self._of = self._of, methods


def make_method(
    rule: Rule, omerodir: str | None, more: Callable[[], Collection[str]] = tuple
) -> tuple[list[Problem], Method | None]:
    """What is wrong with what a rule names; if nothing is, its Method too.

    `more`: see `read_readers`.
    """
    problems: list[Problem] = []

    def wrong(name: str, value: object, error: ConfigurationError) -> None:
        key = PREFIX + name
        text = str(error).removeprefix(f"{key}: ")
        problems.append(Problem(key, str(value), text, rule.user))

    readers = template = choice = None
    if rule.readers is not None:
        try:
            readers = read_readers(str(rule.readers), more=more)
        except ConfigurationError as error:
            wrong("readers", rule.readers, error)
    arguments = shlex.join(rule.import_args)
    try:
        choice = choose(rule.importer, arguments, transfer=rule.transfer, omerodir=omerodir)
    except ConfigurationError as error:
        name = "importer" if str(error).startswith(f"{PREFIX}importer") else "importArgs"
        wrong(name, rule.importer if name == "importer" else arguments, error)
    if choice is not None and choice.unknown:
        unknown = ConfigurationError(
            f"{', '.join(choice.unknown)}: known to OMERO's own importer alone, and {choice.why}"
        )
        wrong("importArgs", arguments, unknown)
    try:
        if rule.target:
            template = parse(rule.target)
    except ConfigurationError as error:
        wrong("target", rule.target, error)
    try:
        if choice is not None and choice.arguments.target and not rule.target:
            template = parse_option(choice.arguments.target)
    except ConfigurationError as error:
        wrong("importArgs", arguments, error)
    if problems or choice is None:
        return problems, None
    return [], Method(choice, template, rule.group, readers)
