"""Directories of a layout with groups, beside OMERO's users and groups, on a real file system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.config.settings import Rule
from omero_fs_plugin.dropbox.userdirs.directories import Finding, State, compare, create
from omero_fs_plugin.dropbox.userdirs.groups import missing_with_groups, with_groups
from tests.rules import settings_of

USERS = {"amy": True, "zak": True, "gone": False, "root": True}
GROUPS = {
    "amy": frozenset({"lab", "core"}),
    "zak": frozenset({"lab"}),
    "gone": frozenset({"lab"}),
    "root": frozenset({"lab"}),
}


def at_once(path: str, question: Callable[[Any], Any]) -> Any:
    return question(None)


def rules_of(top: Path, layout: str) -> tuple[Rule, ...]:
    return settings_of(watchDir=str(top), layout=layout).rules


def found(top: Path, layout: str) -> list[tuple[str, str]]:
    rules = rules_of(top, layout)
    assert compare(rules, USERS) == []
    findings = with_groups(rules, USERS, GROUPS, at_once)
    return [(str(one.directory.relative_to(top)), one.state.value) for one in findings]


@pytest.mark.parametrize(
    ("layout", "directories"),
    [
        ("{group}/{user}", ["core", "core/amy", "lab", "lab/amy", "lab/zak"]),
        ("{user}/{group}", ["amy", "amy/core", "amy/lab", "zak", "zak/lab"]),
    ],
)
def test_each_user_has_one_for_each_own_group(
    tmp_path: Path, layout: str, directories: list[str]
) -> None:
    assert sorted(path for path, _ in found(tmp_path, layout)) == directories
    lacking = missing_with_groups(rules_of(tmp_path, layout)[0], rules_of(tmp_path, layout), *OF)
    made = create(lacking, USERS)
    assert {one.state for one in made} == {State.MADE}
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == directories
    assert {state for _, state in found(tmp_path, layout)} == {"ok"}


OF = (USERS, GROUPS)


def told(findings: list[Finding]) -> dict[str, str]:
    return {one.directory.name: one.what for one in findings if one.state is State.UNKNOWN}


def test_what_fits_no_user_or_group_is_told(tmp_path: Path) -> None:
    for name in ("lab/amy", "lab/zac", "core/zak", "lap/amy", ".hidden/amy"):
        (tmp_path / name).mkdir(parents=True)
    findings = with_groups(rules_of(tmp_path, "{group}/{user}"), *OF, at_once)
    assert told(findings) == {
        "zac": "there is no OMERO user named zac; did you mean zak?: nothing in it is imported",
        "zak": "zak is not a member of the group core: nothing in it is imported",
        "lap": "no user of OMERO is a member of a group named lap; did you mean lab?: nothing in "
        "it is imported",
    }


def test_a_group_that_only_looks_the_same_is_told(tmp_path: Path) -> None:
    (tmp_path / "Mu\u0308ller/amy").mkdir(parents=True)
    users, groups = {"amy": True}, {"amy": frozenset({"Müller"})}
    findings = with_groups(rules_of(tmp_path, "{group}/{user}"), users, groups, at_once)
    (told,) = [one.what for one in findings if one.state is State.UNKNOWN]
    assert "; Müller has the same letters, with an accent that is written in another way" in told


def test_a_users_directory_may_have_other_groups(tmp_path: Path) -> None:
    for name in ("amy/lap", "zak/core", "nobody/lab"):
        (tmp_path / name).mkdir(parents=True)
    findings = with_groups(rules_of(tmp_path, "{user}/{group}"), *OF, at_once)
    assert told(findings).keys() == {"lap", "core", "nobody"}


def test_below_a_directory_that_is_not_there_nothing_is_missing(tmp_path: Path) -> None:
    rules = rules_of(tmp_path / "away", "{group}/{user}")
    assert missing_with_groups(rules[0], rules, *OF) == []
    (finding,) = with_groups(rules, *OF, at_once)
    assert finding.state is State.MISSING and finding.directory == tmp_path / "away"
