"""The properties: wrong values, unknown names, and the files that values name."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial

from omero_fs_plugin.config.properties import BY_NAME, PREFIX
from omero_fs_plugin.config.settings import Problem, Rule
from omero_fs_plugin.deployment.sources import TEMPLATES, Origin, in_templates

from . import Line, Subject, error, ok, warning

ABOUT = "properties"
POOL, POOL_DEFAULT = "omero.db.poolsize", 10  # OMERO's own


def values(subject: Subject) -> Iterator[Line]:
    """Each wrong value, and each name that no property has."""
    problems = [*subject.settings.problems, *subject.monitoring.problems]
    for text, problem in {str(problem): problem for problem in problems}.items():
        yield error(ABOUT, text, _correct(subject, problem))
    for unknown in subject.settings.warnings:
        if not unknown.key.startswith(PREFIX):
            continue  # OMERO's own: see checks.mail
        yield warning(ABOUT, str(unknown), f"remove it: `omero config set {unknown.key}`")
    if not problems:
        number = sum(1 for key in subject.sources.origins if key.startswith(PREFIX))
        yield ok(
            ABOUT, f"{number} of {len(BY_NAME)} omero.fs properties are set, and all are right"
        )


def _correct(subject: Subject, problem: Problem) -> str:
    again = f"`omero config set -- {problem.key} VALUE`"
    if subject.sources.origins.get(problem.key) is Origin.TEMPLATES:
        return f"it is in templates.xml; this wins over it: {again}"
    return f"{again}; then `omero fs reload`, if the servers run"


def connections(subject: Subject) -> Iterator[Line]:
    """Whether OMERO's pool of connections to its database has room for our importers and others."""
    importers = subject.settings.importers
    written = subject.sources.properties.get(POOL, "").strip()
    pool = int(written) if written.isdigit() else POOL_DEFAULT
    what = f"omero.fs.importers is {importers}, and {POOL} {pool}"
    if importers > pool // 2:
        yield warning(
            ABOUT,
            f"{what}: each import takes one of these connections, and a server without free ones "
            "hangs",
            f"`omero config set {POOL} {2 * importers}`, and as many more in the database; "
            f"or `omero config set omero.fs.importers {max(1, pool // 2)}`; then "
            "`omero admin restart`",
        )
    else:
        yield ok(ABOUT, what)


def edited(subject: Subject) -> Iterator[Line]:
    """Finds what an admin wrote into the templates.xml that the next start writes anew."""
    behind = in_templates(subject.omerodir, TEMPLATES[1:])
    if not behind:
        return
    for key, value in in_templates(subject.omerodir).items():
        if value != behind.get(key):
            yield warning(
                ABOUT,
                f"{key} = {value!r} is in {TEMPLATES[0]}, and the next `omero admin start` "
                "writes that file anew",
                f"`omero config set -- {key} {shlex.quote(value)}`",
            )


def method(subject: Subject, rule: Rule) -> Iterator[Line]:
    """Looks at what a rule's values name: readers, importer, its arguments, target."""
    from omero_fs_plugin.dropbox.grouping.bioformats.jars import readers_there
    from omero_fs_plugin.dropbox.importing.methods import make_method

    about = f"imports for {rule.user}"
    more = partial(readers_there, subject.settings.bioformats_jars, str(subject.omerodir))
    problems, found = make_method(rule, str(subject.omerodir), more)
    for problem in problems:
        yield error(about, str(problem), _correct(subject, problem))
    if found is None:
        return
    for option, why in found.choice.arguments.ignored:
        what = f"{option} in omero.fs.importArgs is passed over: {why}"
        yield warning(about, what, "leave it out there")
    named = f", {len(found.readers)} readers of {rule.readers}" if found.readers else ""
    orphaned = ""
    if found.template is None:
        orphaned = "; omero.fs.target is not set, so images are in no dataset (orphaned)"
    what = f"{found.choice.importer} importer ({found.choice.why}){named}{orphaned}"
    yield ok(about, what)
