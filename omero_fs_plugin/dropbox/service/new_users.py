"""Makes directories for OMERO users who have none: omero.fs.createUsers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.settings import EVERYONE, Rule, Settings
from omero_fs_plugin.dropbox.confine.roots import ROOTS
from omero_fs_plugin.dropbox.disks.lanes import Lanes
from omero_fs_plugin.dropbox.userdirs.directories import Finding, create, missing
from omero_fs_plugin.dropbox.userdirs.groups import has_groups, missing_with_groups
from omero_fs_plugin.errors import FsError
from omero_fs_plugin.names import printable

log = logging.getLogger(__name__)


class NewUsers:
    """Looks which active OMERO users have no directory, and makes it.

    Rule: a directory is made as `omero fs users --create` makes it, and only if the directory of
    all users is the one that DropBox has taken: what lies below a share that is not mounted
    stays as it is.  Nothing that is there is changed.
    """

    def __init__(self, omero: Omero, lanes: Lanes, settings: Callable[[], Settings]) -> None:
        self._omero = omero
        self._lanes = lanes
        self._settings = settings
        self.trouble: dict[str, str] = {}  # directory -> why it cannot be made, or be used

    def look(self) -> None:
        """Makes what is missing now.  While OMERO or the disk is away, nothing is made."""
        settings = self._settings()
        rules = [rule for rule in settings.rules if rule.user == EVERYONE]
        trouble: dict[str, str] = {}
        if settings.create_users and rules:
            try:
                users = self._omero.experimenters()
                groups = self._omero.memberships() if has_groups(rules) else {}
                for rule in rules:
                    make = partial(self._make, rule, settings.rules, users, groups)
                    for finding in self._lanes.ask(str(rule.watch_dir), make):
                        self._tell(finding, trouble)
            except (FsError, OSError) as error:
                log.debug("no directories are made for new users: %s", error)
                return
        self.trouble = trouble

    def _make(
        self,
        rule: Rule,
        rules: Sequence[Rule],
        users: Mapping[str, bool],
        groups: Mapping[str, frozenset[str]],
    ) -> Sequence[Finding]:
        root = str(rule.watch_dir)
        with self._lanes.calls.at(root):
            ROOTS.look(root)
            if ROOTS.trouble(root):
                return []  # status tells of it
            if has_groups([rule]):
                lacking = missing_with_groups(rule, rules, users, groups)
            else:
                lacking = missing(rule, rules, users)
            return create(lacking, users)

    def _tell(self, finding: Finding, trouble: dict[str, str]) -> None:
        path = printable(str(finding.directory))
        if finding.well:
            log.info("made %s for the OMERO user %s: %s", path, finding.user, finding.what)
            return
        trouble[path] = f"the directory of {finding.user}: {finding.what or finding.state.value}"
        if self.trouble.get(path) != trouble[path]:
            log.warning("%s: %s", path, trouble[path])
