"""The properties: values that cannot be, names that are none, what the values name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigurationError
from ..properties import BY_NAME, PREFIX
from ..settings import Problem, Rule
from ..sources import TEMPLATES, Origin, in_templates
from . import Line, Subject, error, ok, warning

ABOUT = "properties"


def values(subject: Subject) -> Iterator[Line]:
    """Each value that cannot be honoured, and each name that is no property."""
    problems = [*subject.settings.problems, *subject.monitoring.problems]
    for text, problem in {str(problem): problem for problem in problems}.items():
        yield error(ABOUT, text, _correct(subject, problem))
    for unknown in subject.settings.warnings:
        yield warning(ABOUT, str(unknown), f"remove it: omero config set {unknown.key}")
    if not problems:
        number = sum(1 for key in subject.sources.origins if key.startswith(PREFIX))
        yield ok(
            ABOUT, f"{number} of {len(BY_NAME)} omero.fs properties are set, and all are right"
        )


def _correct(subject: Subject, problem: Problem) -> str:
    again = f"omero config set -- {problem.key} VALUE"
    if subject.sources.origins.get(problem.key) is Origin.TEMPLATES:
        return f"it stands in templates.xml; what wins over that: {again}"
    return f"{again}; then omero fs reload, if the servers run"


def edited(subject: Subject) -> Iterator[Line]:
    """What an admin wrote into the templates.xml that the next start writes anew."""
    behind = in_templates(subject.omerodir, TEMPLATES[1:])
    if not behind:
        return
    for key, value in in_templates(subject.omerodir).items():
        if value != behind.get(key):
            yield warning(
                ABOUT,
                f"{key} = {value!r} stands in {TEMPLATES[0]}, which the next "
                "`omero admin start` writes anew",
                f"omero config set -- {key} {shlex.quote(value)}",
            )


def readers(rule: Rule) -> Iterator[Line]:
    """The file that omero.fs.readers names."""
    from ..dropbox.readers import read_readers

    file: Path | None = rule.readers
    if file is None:
        return
    about = f"readers of {rule.user}"
    try:
        found = read_readers(file)
    except ConfigurationError as wrong:
        what, _, remedy = str(wrong).rpartition("; " if "; " in str(wrong) else ": ")
        yield error(about, what, remedy)
    else:
        yield ok(about, f"{file} names {len(found)} readers")


def import_args(rule: Rule) -> Iterator[Line]:
    """What the importers make of omero.fs.importArgs."""
    from ..dropbox.importers.arguments import parse

    about = f"importArgs of {rule.user}"
    if not rule.import_args:
        return
    try:
        arguments = parse(shlex.join(rule.import_args))
    except ConfigurationError as wrong:
        yield error(about, str(wrong), "omero config set -- omero.fs.importArgs '...'")
        return
    for option, why in arguments.ignored:
        yield warning(
            about, f"{option} is passed over: {why}", "leave it out of omero.fs.importArgs"
        )
    for option in arguments.unknown:
        yield warning(
            about,
            f"{option} is nothing that the native importer knows",
            "leave it out, or see that OMERO's Java importer is there: lib/client and java",
        )
    if not (arguments.ignored or arguments.unknown):
        yield ok(about, shlex.join(rule.import_args))
