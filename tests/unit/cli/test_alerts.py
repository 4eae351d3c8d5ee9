"""Which exit code tells of which trouble."""

from __future__ import annotations

import pytest

from omero_fs_plugin.cli import check, status
from omero_fs_plugin.cli.alerts import KINDS, code_of, kinds
from omero_fs_plugin.errors import ConfigurationError


@pytest.mark.parametrize("known", [KINDS, check.KINDS], ids=["status", "check"])
def test_each_kind_has_a_code_of_its_own(known: dict[str, int]) -> None:
    assert len(set(known.values())) == len(known) and 0 not in known.values()


def test_the_first_kind_in_the_order_of_looking_counts() -> None:
    assert code_of(["stuck", "down"]) == KINDS["down"]
    assert code_of(["failed"]) == 8 and code_of(["stuck"]) == 9 and code_of([]) == 0


def test_kinds_are_chosen_by_their_names() -> None:
    assert kinds("down, failed") == {"down", "failed"}
    assert kinds("none") == frozenset()


@pytest.mark.parametrize("text", ["", "dwon", "down,none", ","])
def test_another_word_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(ConfigurationError, match="config, down, journal"):
        kinds(text)


@pytest.mark.parametrize(("module", "known"), [(status, KINDS), (check, check.KINDS)])
def test_help_names_every_code_with_its_kind(module: object, known: dict[str, int]) -> None:
    text = module.HELP  # type: ignore[attr-defined]
    for kind, code in known.items():
        assert f"\n  {code}  {kind} " in text, kind
