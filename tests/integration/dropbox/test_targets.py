"""Targets and sidecars in DropBox as a whole: where images end up, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omero.rtypes import unwrap

from omero_fs_plugin.blitz.users import ALL_GROUPS
from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole


def rows(whole: Whole, hql: str) -> list[tuple[object, ...]]:
    """What OMERO answers root."""
    services = whole._omero._connect()
    found = services.getQueryService().projection(hql, None, ALL_GROUPS)
    return [tuple(unwrap(value) for value in row) for row in found]


def datasets(whole: Whole) -> list[tuple[object, ...]]:
    """(name of the dataset, image) of every image in one."""
    return sorted(
        rows(whole, "select d.name, i.id from DatasetImageLink l join l.parent d join l.child i")
    )


def test_a_template_makes_the_containers_once(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(target="Project:name:{dir1}/Dataset:name:{dir2}")
    paths = [whole.drop(f"screen/day {day}/{n}.tif") for day in (1, 2) for n in range(3)]
    loose = whole.drop("loose.tif")
    whole.until_known(*paths, loose)
    whole.until_settled()
    assert [name for name, _ in datasets(whole)] == ["day 1"] * 3 + ["day 2"] * 3
    links = "select p.name, d.name from ProjectDatasetLink l join l.parent p join l.child d"
    assert sorted(rows(whole, links)) == [("screen", "day 1"), ("screen", "day 2")]
    whole.assert_once(*paths, loose)


def test_a_target_of_the_wrong_kind_fails_before_the_upload(
    make_whole: Callable[..., Whole],
) -> None:
    whole = make_whole(target="Screen:name:plates")
    path = whole.drop("a.tif")
    whole.until_known(path, states=(State.FAILED,))
    assert "Screen" in whole.row(path).reason
    assert whole.in_omero(path) == []


def test_a_wrong_template_is_told_and_stops_its_rule(make_whole: Callable[..., Whole]) -> None:
    whole = make_whole(target="Datset:name:x")
    whole.until_state("misconfigured")
    assert "did you mean Dataset?" in whole.dropbox.figures()["reason"]


def test_a_sidecar_says_where_and_what(whole: Whole) -> None:
    directory = whole.watch_dir / "amy" / "day"
    directory.mkdir()
    (directory / "omero-fs.toml").write_text(
        'target = "Dataset:name:of the sidecar"\ntags = ["mitosis"]\n'
        'description = "fixed"\n[key_value]\nStain = "DAPI"\n',
        encoding="utf-8",
    )
    paths = [whole.drop(f"day/{n}.tif") for n in range(3)]
    whole.until_known(*paths)
    whole.until("all is said", lambda: not whole.journal.unfinished())
    images = sorted(image for path in paths for found in whole.in_omero(path) for image in found)
    assert datasets(whole) == [("of the sidecar", image) for image in images]
    tagged = "select i.id, a.textValue from ImageAnnotationLink l join l.parent i join l.child a"
    tags = [row for row in rows(whole, tagged) if row[1] == "mitosis"]
    assert sorted(tags) == [(image, "mitosis") for image in images]
    assert not any("omero-fs.toml" in row.path for row in whole.journal.select())


def test_a_wrong_sidecar_holds_its_directory_until_it_is_mended(whole: Whole) -> None:
    directory = whole.watch_dir / "amy" / "day"
    directory.mkdir()
    sidecar = directory / "omero-fs.toml"
    sidecar.write_text('targt = "Dataset:id:1"\n', encoding="utf-8")
    other = whole.drop("other.tif")
    path = whole.drop("day/a.tif")
    whole.until_known(other)

    def reason() -> str:
        return next((row.reason for row in whole.journal.select() if row.path == str(path)), "")

    whole.until("it says what is wrong", lambda: "did you mean target?" in reason())
    assert str(sidecar) in reason()
    assert whole.row(path).state is State.WAITING
    sidecar.write_text('name = "mended"\n', encoding="utf-8")
    whole.until_known(path)
    ((name,),) = rows(whole, f"select i.name from Image i where i.id = {whole.row(path).images[0]}")
    assert name == "mended"


@pytest.mark.parametrize("transfer", ["ln_s", "upload_rm"])
def test_in_place_and_removed(make_whole: Callable[..., Whole], transfer: str) -> None:
    whole = make_whole(transfer=transfer)
    path = whole.drop("a.tif")
    content = path.read_bytes()
    whole.until_known(path)
    repository = whole.blitz.data / "ManagedRepository"
    (stored,) = (Path(found) for found in repository.rglob("a.tif"))
    assert stored.read_bytes() == content
    if transfer == "ln_s":
        assert stored.is_symlink()
        assert path.exists()
    else:
        whole.until("the source is removed", lambda: not path.exists())
        whole.dropbox.rescanner.ask()
        whole.until_settled()
        assert whole.journal.counts()[State.IMPORTED] == 1
