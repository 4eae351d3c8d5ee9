"""One suite over both importers: what the protocol promises, on a real sandbox server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from omero.model import DatasetI
from omero.rtypes import rstring

from omero_fs_plugin.dropbox.importing.importers import FileChanged, FileGone, Stopped, UnderWay
from omero_fs_plugin.dropbox.importing.importers.protocol import Figures, Imported, Task, Wishes
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.errors import ImportRefused, ServerAwayError, ServerMisconfiguredError

from .importing import Importing, Notes, run

KINDS = ("native", "java")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_filesets_become_images_and_the_one_that_is_none_is_told(
    world: Importing, kind: str
) -> None:
    notes = Notes(world)
    one, two, bad = (
        world.drop("a b/one.tif", 1),
        world.drop('it\'s "two"\\.tif', 2),
        world.root / "c",
    )
    other = world.root / "two.txt"
    other.write_text("beside it")
    bad.write_text("no image")
    sets = [world.fileset(one), world.fileset(two, other), world.fileset(bad)]
    size = sum(met.stat.size for fileset in sets for met in fileset.files)
    importer = world.importer(kind)
    first, second, third = run(importer, *map(notes.task, sets))
    assert isinstance(first, Imported) and isinstance(second, Imported)
    assert (world.in_omero(one), world.in_omero(two)) == ([first.images], [second.images])
    assert len(first.images) == len(second.images) == 1
    assert notes.images_then == {str(path): [] for path in (one, two, bad)}, "told before"
    assert (first.sha1s, second.sha1s) == (notes.sha1s[str(one)], notes.sha1s[str(two)])
    assert [len(first.sha1s), len(second.sha1s)] == [1, 2]
    assert isinstance(third, ImportRefused)
    assert "c" in str(third) and world.key not in str(third) and "\n" not in str(third)
    assert world.in_omero(bad) == [], "nothing is left of it"
    figures = importer.progress()
    assert figures.done == figures.total
    assert figures.total == (size if kind == "java" else bad.stat().st_size)
    assert all(path.exists() for path in (one, two, other, bad))


def test_what_is_wished_for(world: Importing, kind: str) -> None:
    dataset = DatasetI()
    dataset.name = rstring("mine")
    dataset = world.session.services.getUpdateService().saveAndReturnObject(dataset)
    path = world.drop("deep/down/here/and/there/a.tif")
    wishes = Wishes("", '"my" image; 1', "of -x\nand more", DatasetI(dataset.id, False))
    (done,) = run(world.importer(kind), Notes(world).task(world.fileset(path), wishes))
    assert isinstance(done, Imported)
    rows = world.ask(
        "select i.name, i.description from Dataset d join d.imageLinks l join l.child i"
    )
    assert rows == [['"my" image; 1', "of -x\nand more"]]


def test_a_file_that_changed_is_not_imported(world: Importing, kind: str) -> None:
    notes = Notes(world)
    path, gone = world.drop("a.tif"), world.drop("b.tif", 2)
    sets = world.fileset(path), world.fileset(gone)
    with path.open("ab") as more:
        more.write(b"!")
    gone.unlink()
    outcomes = run(world.importer(kind), *map(notes.task, sets))
    assert [type(outcome) for outcome in outcomes] == [FileChanged, FileGone]
    assert notes.sha1s == {}
    assert world.in_omero(path) == world.in_omero(gone) == []


def test_a_link_and_a_file_elsewhere_are_refused(
    world: Importing, kind: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.tif"
    secret.write_bytes(world.drop("a.tif").read_bytes())
    link = world.root / "link.tif"
    link.symlink_to(secret)
    sets = world.fileset(link), world.fileset(world.drop("b.tif"), secret)
    outcomes = run(world.importer(kind), *map(Notes(world).task, sets))
    assert [type(outcome) for outcome in outcomes] == [ImportRefused, ImportRefused]
    assert "symbolic link" in str(outcomes[0]) and "not below" in str(outcomes[1])
    assert all(isinstance(o, ImportRefused) and o.final for o in outcomes)
    assert world.ask("select f.id from Fileset f") == []


def test_what_verified_raises_is_the_outcome_and_omero_is_told_nothing(
    world: Importing, kind: str
) -> None:
    def verified(sha1s: Sequence[str]) -> None:
        raise UnderWay("the same content is being imported")

    path = world.drop("a.tif")
    (outcome,) = run(world.importer(kind), Task(world.fileset(path), verified))
    assert isinstance(outcome, UnderWay)
    assert world.in_omero(path) == []


def test_stopped_before_omero_was_told(world: Importing, kind: str) -> None:
    path = world.drop("a.tif")
    task = Notes(world).task(world.fileset(path))
    ((_, outcome),) = world.importer(kind).run([task], lambda: True)
    assert isinstance(outcome, Stopped)
    assert world.in_omero(path) == []


def test_a_server_that_is_away_is_nobodys_fault(world: Importing, kind: str) -> None:
    task = Notes(world).task(world.fileset(world.drop("a.tif")))
    world.stop_server()
    with pytest.raises(ServerAwayError):
        run(world.importer(kind), task)


TRANSFERS = [
    (kind, transfer)
    for kind in KINDS
    for transfer in Transfer
    # The Java importer's own are not ours to try: one, for what is ours to remove.
    if kind == "native" or transfer is Transfer.CP_RM
]


@pytest.mark.parametrize(("kind", "transfer"), TRANSFERS, ids=lambda v: getattr(v, "value", v))
def test_transfers(world: Importing, kind: str, transfer: Transfer) -> None:
    first, second = world.drop("a.tif"), world.root / "b.txt"
    second.write_text("beside it")
    contents = [first.read_bytes(), second.read_bytes()]
    inodes = [path.stat().st_ino for path in (first, second)]
    fileset = world.fileset(first, second)
    importer = world.importer(kind, transfer)
    (done,) = run(importer, Notes(world).task(fileset))
    assert isinstance(done, Imported), done
    assert first.exists() and second.exists(), "not before the journal knows of the images"
    places = world.stored()
    assert [place.name for place in places] == ["a.tif", "b.txt"]
    assert [place.read_bytes() for place in places] == contents
    assert [place.is_symlink() for place in places] == [transfer is Transfer.LN_S] * 2
    assert [p.stat().st_ino in inodes for p in places] == [
        transfer.links or transfer is Transfer.LN_S
    ] * 2
    noted = world.ask(
        "select a.ns, a.textValue from Fileset f join f.annotationLinks l join l.child a"
    )
    annotation = (transfer if kind == "native" else transfer.keeping).annotation
    namespace = "openmicroscopy.org/omero/import/fileTransfer"
    assert noted == ([[namespace, annotation]] if annotation else [])
    importer.done(fileset, done.sha1s)
    assert [first.exists(), second.exists()] == [not transfer.removes] * 2
    if transfer is not Transfer.LN_S:
        assert [place.read_bytes() for place in places] == contents
    assert importer.progress() == Figures(sum(map(len, contents)), sum(map(len, contents)))


@pytest.mark.parametrize("change", ["written to", "exchanged", "same length and time", "chmod"])
@pytest.mark.parametrize("transfer", [Transfer.UPLOAD_RM, Transfer.CP_RM, Transfer.LN_RM])
def test_only_what_was_imported_is_removed(
    world: Importing, transfer: Transfer, change: str
) -> None:
    path = world.drop("a.tif")
    fileset = world.fileset(path)
    importer = world.importer("native", transfer)
    (done,) = run(importer, Notes(world).task(fileset))
    assert isinstance(done, Imported)
    before = path.stat()
    if change == "written to":
        with path.open("ab") as more:
            more.write(b"!")
    elif change == "exchanged":
        (path.parent / "new").write_bytes(b"?" * before.st_size)
        (path.parent / "new").replace(path)
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    elif change == "same length and time":
        with path.open("r+b") as same:
            same.write(b"?")
        os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    else:
        path.chmod(0o600)
    importer.done(fileset, done.sha1s)
    # A hard link's other name is in the repository: nothing is lost whatever became of it.
    kept = change != "chmod" and (change != "same length and time" or not transfer.links)
    assert path.exists() == kept


def test_names_that_omero_does_not_take_as_they_are(world: Importing, kind: str) -> None:
    """Each is imported once, under the name that both importers give it."""
    names = ["con.tif", "COM1.tif", "$a.tif", "a\\b.tif", "aux/x.tif", "d./e.tif"]
    paths = [world.drop(name, number) for number, name in enumerate(names)]
    notes = Notes(world)
    outcomes = run(world.importer(kind), *(notes.task(world.fileset(path)) for path in paths))
    for path, outcome in zip(paths, outcomes, strict=True):
        assert isinstance(outcome, Imported), f"{path}: {outcome}"
        assert world.in_omero(path) == [outcome.images], path


@pytest.fixture
def make_world(
    tmp_path: Path, seeded_once: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Importing]]:
    """Makes a world whose OMERO has properties of its own."""
    made: list[Importing] = []

    def make(**server: str) -> Importing:
        made.append(Importing(tmp_path, seeded_once, monkeypatch, **server))
        return made[-1]

    yield make
    for world in made:
        world.close()


def test_a_server_with_more_rules_gets_its_names_from_the_native_importer(
    make_world: Callable[..., Importing],
) -> None:
    rules = "Windows required,Windows optional,UNIX required,UNIX optional"
    world = make_world(fs__repo__path_rules=rules)
    path = world.drop(".a/b .tif")
    (outcome,) = run(world.importer("native"), Notes(world).task(world.fileset(path)))
    assert isinstance(outcome, Imported), outcome
    assert world.in_omero(path) == [outcome.images]


def test_a_server_that_likes_another_checksum_best_is_told_ours(
    make_world: Callable[..., Importing], kind: str
) -> None:
    """The Java importer took what the server likes best, and DropBox knew none of the hashes."""
    world = make_world(checksum__supported="MD5-128, SHA1-160")
    path = world.drop("a.tif")
    (outcome,) = run(world.importer(kind), Notes(world).task(world.fileset(path)))
    assert isinstance(outcome, Imported), outcome
    ((found,),) = world.ask("select o.hash from Fileset f join f.usedFiles e join e.originalFile o")
    assert found == hashlib.sha1(path.read_bytes()).hexdigest() == outcome.sha1s[0]


def test_a_server_without_ours_is_misconfigured_and_nothing_is_begun(
    make_world: Callable[..., Importing], kind: str
) -> None:
    world = make_world(checksum__supported="CRC-32")
    path = world.drop("a.tif")
    with pytest.raises(ServerMisconfiguredError, match=r"SHA1-160.*omero\.checksum\.supported"):
        run(world.importer(kind), Notes(world).task(world.fileset(path)))
    assert world.in_omero(path) == [] and world.stored() == []
