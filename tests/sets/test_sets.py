"""The table of sets: every member of every kind, damaged in every way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.confined import Confined
from tests import bioformats

from .kinds import KINDS, SetKind
from .table import WITHOUT_JAVA, rows, shown

Named = tuple[str, BioFormats | Confined]


@pytest.fixture(scope="module", params=[WITHOUT_JAVA, "Bio-Formats"])
def grouper(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Named]:
    """One process for all kinds."""
    roots = [str(tmp_path_factory.getbasetemp())]
    if request.param == WITHOUT_JAVA:
        with Confined(roots=lambda: roots) as confined:
            yield WITHOUT_JAVA, confined
        return
    with BioFormats(bioformats.installation(), roots=lambda: roots) as made:
        yield f"Bio-Formats {made.version()}", made


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_set_is_imported_whole_or_not_at_all(
    grouper: Named, kind: SetKind, tmp_path: Path
) -> None:
    name, made = grouper
    tried = list(rows(made, name, tmp_path, [kind]))
    assert tried
    assert [shown(row) for row in tried if not row.right] == []


def test_the_table_has_every_kind_once() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 30
