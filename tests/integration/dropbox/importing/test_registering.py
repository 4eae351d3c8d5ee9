"""Stores that are registered where they lie: what OMERO gets, and what a kill leaves.

The second importer of stores, for a server that has a source of pixels and no reader.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omero.all
import pytest
from omero.model import DatasetI, ScreenI
from omero.rtypes import rstring, unwrap

import omero
from omero_fs_plugin.blitz.copies import transfers_of
from omero_fs_plugin.blitz.sessions import Omero
from omero_fs_plugin.config.readers import PIXEL_BUFFER
from omero_fs_plugin.dropbox.confine.trees import tree_stat
from omero_fs_plugin.dropbox.importing import activity
from omero_fs_plugin.dropbox.importing.attempts import Attempt
from omero_fs_plugin.dropbox.importing.importers import FileChanged, Stopped, UnderWay, registering
from omero_fs_plugin.dropbox.importing.importers.native import NativeImporter, NativeOptions
from omero_fs_plugin.dropbox.importing.importers.protocol import Imported, Outcome, Task, Wishes
from omero_fs_plugin.dropbox.importing.importers.registering import Registration
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.dropbox.importing.stores import unfolded
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.records import Fileset, Found
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.errors import ImportRefused, ServerAwayError
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.stores import digest
from tests.stores import KINDS, Store, image

from .attempts import Killed, no_patience
from .stored import Stored
from .test_attempts import _killing


class Registering(Stored):
    """A world for stores that are to be registered."""

    reader = PIXEL_BUFFER

    def marks(self, store: Store) -> list[tuple[int, ...]]:
        """The images of each mark that OMERO has of the store."""
        return self.in_omero(store.path)

    def ask(self, text: str) -> list[list[Any]]:
        session = self.omero.session_for(self.omero.user("amy"))
        rows = session.services.getQueryService().projection(text, None)
        return [[unwrap(value) for value in row] for row in rows]

    def run(
        self,
        store: Store,
        wishes: Wishes | None = None,
        *,
        transfer: Transfer = Transfer.UPLOAD,
        verified: Any = lambda sha1s: None,
        stopping: bool = False,
    ) -> Outcome:
        """The outcome of the importer alone, of the store as it is now."""
        stat = tree_stat(str(self.root), str(store.path))
        assert stat is not None
        row = Fileset(
            1, "amy", str(self.root), str(store.path), State.IMPORTING, "", "", 1, 0, False, None,
            (), 0, 0, (Found(str(store.path), stat),), (None,), reader=PIXEL_BUFFER,
        )  # fmt: skip
        session = self.omero.session_for(self.omero.user("amy"))
        options = NativeOptions(transfer, path_rules=self.omero.path_rules)
        self.importer = NativeImporter(session, options)
        task = Task(unfolded(row), verified, wishes or Wishes())
        ((_, outcome),) = self.importer.run([task], lambda: stopping)
        return outcome


@pytest.fixture
def site(tmp_path: Path, seeded_once: Path) -> Iterator[Registering]:
    world = Registering(tmp_path, seeded_once)
    yield world
    world.close()


_IMAGES = (
    "select i.name, p.sizeX, p.sizeY, p.sizeZ, p.sizeC, p.sizeT, t.value, x.lsid, x.entityType, "
    "x.entityId from Image i join i.pixels p join p.pixelsType t join i.details.externalInfo x "
    "order by i.id"
)
_FILES = "from FilesetEntry e join e.originalFile o"
_NGFF = "com.glencoesoftware.ngff:multiscales", 3


@pytest.mark.parametrize("zarr", [2, 3])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("image", {"": "a.zarr"}),
        ("labelled", {"": "a.zarr"}),
        ("collection", {"/0": "a.zarr [0]", "/1": "a.zarr [1]"}),
        ("plate", {f"/{well}/{n}": f"P [{well}/{n}]" for well in ("A/1", "B/2") for n in (0, 1)}),
    ],
)
def test_each_kind_becomes_its_images(
    site: Registering, kind: str, zarr: int, expected: dict[str, str]
) -> None:
    store = KINDS[kind](site.root / "a.zarr", zarr)
    store.write()
    outcome = site.run(store)
    assert isinstance(outcome, Imported)
    assert site.marks(store) == [outcome.images], "one mark, to which all images belong"
    assert site.ask(_IMAGES) == [
        [name, 8, 8, 1, 1, 1, "uint8", f"{store.top}{path}", *_NGFF]
        for path, name in expected.items()
    ]
    assert len(outcome.sha1s) == len(store.files), "each file of the store was read"
    figures = site.importer.progress()
    assert figures.done == figures.total == sum(map(len, store.files.values()))


def test_the_mark_says_what_it_stands_for(site: Registering) -> None:
    store = image(site.root / "a.zarr", 3, levels=2)
    store.write()
    outcome = site.run(store)
    assert isinstance(outcome, Imported)
    (found,) = site.omero.filesets(site.omero.user("amy"), str(store.path)[1:])
    assert (found.paths, found.images) == ((str(store.path)[1:],), outcome.images)
    assert found.sizes == (sum(map(len, store.files.values())),)
    session = site.omero.session_for(site.omero.user("amy"))
    assert activity.is_by_dropbox(session, found.id)
    assert transfers_of(session.services, [found.id]) == {found.id: "Registered"}
    assert site.ask(f"select o.repo, o.name {_FILES}") == [[None, "a.zarr"]]


def test_a_plate_in_its_screen_with_its_wells(site: Registering) -> None:
    screen = _save(site, ScreenI(), "mine")
    store = KINDS["plate"](site.root / "a.zarr")
    store.write()
    wishes = Wishes("", "the plate", "of tests", ScreenI(screen, False))
    outcome = site.run(store, wishes)
    assert isinstance(outcome, Imported)
    assert site.ask(
        "select s.name, p.name, p.description, p.rows, p.columns, p.rowNamingConvention "
        "from Screen s join s.plateLinks l join l.child p"
    ) == [["mine", "the plate", "of tests", 2, 2, "letter"]]
    assert site.ask(
        "select w.row, w.column, i.name from Well w join w.wellSamples s join s.image i order by "
        "s.id"
    ) == [
        [row, row, f"the plate [{well}/{field}]"]
        for row, well in ((0, "A/1"), (1, "B/2"))
        for field in (0, 1)
    ]


def test_images_in_their_dataset_under_the_name_that_is_wished(site: Registering) -> None:
    dataset = _save(site, DatasetI(), "mine")
    store = image(site.root / "a.zarr")
    store.write()
    outcome = site.run(store, Wishes("", "my image", "of mine", DatasetI(dataset, False)))
    assert isinstance(outcome, Imported)
    assert site.ask(
        "select i.name, i.description from Dataset d join d.imageLinks l join l.child i"
    ) == [["my image", "of mine"]]


def test_channels_windows_and_the_sizes_of_pixels(site: Registering) -> None:
    store = described(site.root / "a.zarr")
    store.write()
    assert isinstance(site.run(store), Imported)
    assert site.ask(
        "select i.name, p.sizeC, p.sizeZ, t.value from Image i join i.pixels p join p.pixelsType t"
    ) == [["the cells", 2, 3, "uint16"]]
    assert site.ask(
        "select l.name, c.red, c.green, c.blue, s.globalMin, s.globalMax from Channel c "
        "join c.logicalChannel l left outer join c.statsInfo s order by c.id"
    ) == [["DAPI", 0, 0, 255, 0.0, 4095.0], ["GFP", 0, 255, 0, None, None]]
    assert site.ask(
        "select m.value, r.defaultZ, b.inputStart, b.inputEnd, b.active, f.value "
        "from RenderingDef r join r.model m join r.waveRendering b join b.family f order by b.id"
    ) == [["rgb", 1, 10.0, 900.0, True, "linear"], ["rgb", 1, 20.0, 800.0, False, "linear"]]
    services = site.omero.session_for(site.omero.user("amy")).services
    pixels = services.getQueryService().findByQuery("select p from Pixels p", None)
    sizes = [pixels.physicalSizeX, pixels.physicalSizeY]
    assert [(s.getValue(), str(s.getUnit())) for s in sizes] == [(0.25, "MICROMETER")] * 2
    assert pixels.physicalSizeZ is None, "its axis has no unit"


def described(top: Path) -> Store:
    """An image whose metadata says all that OMERO has room for."""
    store = Store(top)
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    scale = [{"type": "scale", "scale": [1, 1, 0.25, 0.25]}]
    channels = [
        {
            "label": "DAPI",
            "color": "0000FF",
            "active": True,
            "window": {"start": 10, "end": 900, "min": 0, "max": 4095},
        },
        {"label": "GFP", "color": "00ff00", "active": False, "window": {"start": 20, "end": 800}},
    ]
    store.group(
        multiscales=[
            {
                "name": "the cells",
                "axes": axes,
                "datasets": [{"path": "0", "coordinateTransformations": scale}],
            }
        ],
        omero={"channels": channels, "rdefs": {"defaultZ": 1, "model": "color"}},
    )
    store.files["0/.zarray"] = (
        b'{"zarr_format": 2, "shape": [2, 3, 8, 8], "chunks": [1, 1, 8, 8], "dtype": ">u2", '
        b'"compressor": null, "fill_value": 0, "order": "C", "filters": null}'
    )
    store.files["0/0.0.0.0"] = bytes(128)
    return store


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("0/.zarray", b'{"shape": [8, 8], "dtype": "|b1", "chunks": [4, 4]}', "data type |b1"),
        ("0/.zarray", b'{"shape": [8], "dtype": "|u1", "chunks": [4]}', "axes"),
        ("0/.zarray", b'{"shape": [8, 0], "dtype": "|u1", "chunks": [4, 4]}', "a shape"),
        ("0/.zarray", b"{", "no JSON"),
        (".zattrs", b'{"multiscales": []}', "not understood"),
        (".zattrs", b'{"multiscales": [{"datasets": [{"path": "../0"}]}]}', "outside"),
        (".zattrs", b'{"plate": {"wells": []}}', "no image"),
    ],
    ids=["type", "axes", "shape", "JSON", "empty", "outside", "plate"],
)
def test_what_omero_could_not_show_is_refused_and_nothing_is_left(
    site: Registering, name: str, text: bytes, why: str
) -> None:
    store = image(site.root / "a.zarr")
    store.files[name] = text
    store.write()
    outcome = site.run(store)
    assert isinstance(outcome, ImportRefused) and outcome.final
    assert why in str(outcome)
    assert site.ask("select f.id from Fileset f") == []


def test_nothing_is_removed_even_if_the_transfer_says_so(site: Registering) -> None:
    store = image(site.root / "a.zarr")
    store.write()
    outcome = site.run(store, transfer=Transfer.UPLOAD_RM)
    assert isinstance(outcome, Imported)
    site.queue_store(store)
    assert site.importer.done(site.row_of(store), list(outcome.sha1s)) == ""
    assert all((store.top / name).is_file() for name in store.files)


def test_what_verified_raises_and_a_stop_leave_nothing(site: Registering) -> None:
    def verified(sha1s: Any) -> None:
        raise UnderWay("the same content is being imported")

    store = image(site.root / "a.zarr")
    store.write()
    assert isinstance(site.run(store, verified=verified), UnderWay)
    assert isinstance(site.run(store, stopping=True), Stopped)
    assert site.ask("select f.id from Fileset f") == []


def test_a_chunk_that_changes_meanwhile_is_seen(site: Registering) -> None:
    store = image(site.root / "a.zarr")
    store.write()

    def verified(sha1s: Any) -> None:
        raise AssertionError("it was read as it is no more")

    real = registering.sha1_of

    def late(root: str, met: Found, stopping: Any) -> str:
        (store.top / "0/1.1").write_bytes(b"another")
        return real(root, met, stopping)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registering, "sha1_of", late)
        assert isinstance(site.run(store, verified=verified), FileChanged)
    assert site.ask("select f.id from Fileset f") == []


def test_a_server_that_refuses_the_images_is_left_without_a_mark(
    site: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a dataset that was deleted meanwhile: all of it is refused, the images too."""
    store = KINDS["collection"](site.root / "a.zarr")
    store.write()
    outcome = site.run(store, Wishes(target=DatasetI(4711, False)))
    assert isinstance(outcome, ImportRefused)
    assert site.ask("select f.id from Fileset f") == []
    assert site.ask("select i.id from Image i") == []


def test_omero_on_another_machine_is_told(
    site: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = image(site.root / "a.zarr")
    store.write()
    monkeypatch.setattr(registering.Path, "is_dir", lambda self: False)
    outcome = site.run(store)
    assert isinstance(outcome, ImportRefused)
    assert "OMERO's machine" in str(outcome)


_STEPS: list[tuple[type, str]] = [
    (Attempt, "_earlier"),
    (Registration, "_check_place"),
    (Registration, "_sha1"),
    (Journal, "note_verified"),
    (Registration, "_mark"),
    (Registration, "_images"),
    (Registration, "_of_mark"),
    (Omero, "filesets_of_images"),
    (Journal, "imported"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["image", "plate"])
@pytest.mark.parametrize(
    ("owner", "name"), _STEPS, ids=lambda value: getattr(value, "__name__", value)
)
def test_killed_at_any_step_it_is_registered_once(
    site: Registering,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    kind: str,
    after: bool,
) -> None:
    no_patience(monkeypatch)
    # One stream, in this thread: a thread of its own would report the kill as an error.
    store = KINDS[kind](site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    _killing(monkeypatch, owner, name, after=after)
    with pytest.raises(Killed):
        site.attempt()
    left = site.marks(store)
    site.restart()
    if site.journal.queued_users():
        assert site.attempt() is State.IMPORTED
    row = site.row_of(store)
    assert row.state is State.IMPORTED
    assert site.marks(store) == [row.images], f"one mark, with images; after the kill: {left}"
    assert len(site.ask("select i.id from Image i")) == len(row.images)
    assert len(site.ask("select p.id from Plate p")) == (kind == "plate")
    assert site.ask(f"select count(o.id) {_FILES}") == [[1]]


def test_a_mark_without_images_is_waited_for_before_it_is_deleted(
    site: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMERO may still carry out the call that makes the images."""
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    _killing(monkeypatch, Registration, "_images", after=False)
    with pytest.raises(Killed):
        site.attempt()
    assert site.marks(store) == [()]
    site.restart()
    assert site.attempt() is State.QUEUED
    assert "OMERO may still be importing it" in site.row_of(store).reason
    assert site.marks(store) == [()]
    no_patience(monkeypatch)
    assert site.attempt() is State.IMPORTED
    assert site.marks(store) == [site.row_of(store).images]


def test_images_that_come_late_find_their_mark_or_fail(
    site: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that makes the images is carried out after the next attempt has ended."""
    no_patience(monkeypatch)
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    late: list[Any] = []
    real = Registration._images

    def cut_off(self: Registration, *arguments: Any) -> Any:
        monkeypatch.setattr(Registration, "_images", real)
        late.append(lambda: real(self, *arguments))
        raise Killed("_images")

    monkeypatch.setattr(Registration, "_images", cut_off)
    with pytest.raises(Killed):
        site.attempt()
    site.restart()
    assert site.attempt() is State.IMPORTED
    images = site.row_of(store).images
    with pytest.raises(ImportRefused, match="No row with the given identifier"):
        late[0]()
    assert site.marks(store) == [images]
    assert len(site.ask("select i.id from Image i")) == 1


def test_an_answer_that_never_came_is_asked_for(
    site: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMERO made the images, and DropBox saw only that the connection was lost."""
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    real = Registration._of_mark

    def lost(self: Registration, *arguments: Any) -> Any:
        monkeypatch.setattr(Registration, "_of_mark", real)
        raise ServerAwayError("lost")

    monkeypatch.setattr(Registration, "_of_mark", lost)
    with pytest.raises(ServerAwayError):
        site.attempt()
    site.restart()
    assert site.attempt() is State.IMPORTED
    assert site.marks(store) == [site.row_of(store).images]


@pytest.mark.parametrize("change", ["removed", "another chunk"])
def test_what_was_registered_is_known_by_its_digest(
    site: Registering, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Also if the store is not what it was, by the time that we look."""
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    _killing(monkeypatch, Registration, "_images", after=True)
    with pytest.raises(Killed):
        site.attempt()
    if change == "removed":
        shutil.move(store.top, site.root.parent / "elsewhere")
    else:
        (store.top / "0/9.9").write_bytes(b"more")
    site.restart()
    assert site.attempt() is State.IMPORTED
    assert site.marks(store) == [site.row_of(store).images]


@pytest.mark.parametrize("recovers", [False, True])
def test_a_lost_journal_registers_nothing_twice(
    site: Registering, tmp_path: Path, recovers: bool
) -> None:
    store = image(site.root / "a.zarr", 3, levels=2)
    store.write()
    site.queue_store(store)
    site.attempt()
    before = site.row_of(store)
    site.journal.close()
    site.journal = Journal(f"sqlite:///{tmp_path}/new.sqlite")
    if recovers:
        site.recover()
        (known,) = site.journal.select()
        assert (known.path, known.sha1s) == (str(store.path), before.sha1s)
    site.queue_store(store)
    site.attempt()
    assert site.marks(store) == [before.images]


def test_the_same_store_is_registered_once_and_one_with_another_chunk_anew(
    site: Registering,
) -> None:
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    assert site.attempt() is State.IMPORTED
    first = site.row_of(store).images
    (store.top / "0/0.0").write_bytes(bytes(16))
    site.queue_store(store)
    assert site.attempt() is State.IMPORTED
    second = site.row_of(store).images
    assert sorted(site.marks(store)) == sorted([first, second])
    assert {lsid for (*_, lsid, _, _) in site.ask(_IMAGES)} == {str(store.top)}


def test_the_digest_in_omero_is_that_of_the_journal(site: Registering) -> None:
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    site.attempt()
    whole = {
        name: hashlib.sha1(content, usedforsecurity=False).hexdigest()
        for name, content in store.files.items()
    }
    assert site.row_of(store).sha1s == (digest(whole),)
    (found,) = site.omero.filesets(site.omero.user("amy"), str(store.path)[1:])
    assert found.hashes == (digest(whole),)


def _save(site: Registering, value: Any, name: str) -> int:
    value.name = rstring(name)
    session = site.omero.session_for(site.omero.user("amy"))
    saved = session.services.getUpdateService().saveAndReturnObject(value)
    return int(unwrap(saved.id))


def test_a_user_who_may_only_read_the_group_registers_in_no_dataset_of_it(
    site: Registering,
) -> None:
    """OMERO refuses the link, and the images with it, for they are one transaction."""
    with site.sandbox.store.begin() as db:
        store_of = site.sandbox.store
        amy = store_of.first(db, "Experimenter", omeName="amy")
        zak = store_of.first(db, "Experimenter", omeName="zak")
        assert amy and zak
        (group,) = (
            link["parent"]
            for link in store_of.rows(db, "GroupExperimenterMap", child=amy["id"])
            if link["parent"] != accounts.USER_GROUP
        )
        store_of.update(db, "ExperimenterGroup", group, _permissions="rwr---")
        dataset = store_of.insert(db, "Dataset", owner=zak["id"], group=group, name="zak's")
    store = image(site.root / "a.zarr")
    store.write()
    site.queue_store(store)
    with pytest.raises(Exception, match="group permissions forbid it"):
        site.run(store, Wishes(target=DatasetI(dataset, False)))
    assert site.ask("select i.id from Image i") == []
    assert site.marks(store) == []
    assert isinstance(site.run(store), Imported)


def test_an_unfinished_object_is_refused_by_the_sandbox_as_by_omero(site: Registering) -> None:
    services = site.omero.session_for(site.omero.user("amy")).services
    half = omero.model.ExternalInfoI()
    half.entityType = rstring("x")
    with pytest.raises(omero.ValidationException, match="entityId"):
        services.getUpdateService().saveAndReturnObject(half)


def test_who_renames_an_image_leaves_its_path_as_it_is(site: Registering) -> None:
    store = image(site.root / "a.zarr")
    store.write()
    outcome = site.run(store)
    assert isinstance(outcome, Imported)
    services = site.omero.session_for(site.omero.user("amy")).services
    found = services.getQueryService().get("Image", outcome.images[0])
    found.name = rstring("another")
    services.getUpdateService().saveObject(found)
    whole = services.getQueryService().findByQuery(
        "select i from Image i left outer join fetch i.details.externalInfo", None
    )
    assert unwrap(whole.details.externalInfo.lsid) == str(store.top), "as OMERO.web asks for it"
    ((name, *_, lsid, _, _),) = site.ask(_IMAGES)
    assert (name, lsid) == ("another", str(store.top))


def test_odd_names_in_the_metadata_are_names_that_omero_can_have(site: Registering) -> None:
    store = image(site.root / "a.zarr")
    said = (
        store.files[".zattrs"].decode().replace('"axes"', '"name": "a\\u0000b\\ud800c", "axes"', 1)
    )
    store.files[".zattrs"] = said.encode()
    store.write()
    assert isinstance(site.run(store), Imported)
    assert [row[0] for row in site.ask(_IMAGES)] == ["ab?c"]


def test_a_path_too_long_for_omero_is_refused_with_its_reason(site: Registering) -> None:
    """An ExternalInfo has room for 255 characters in the databases that OMERO makes."""
    store = image(site.root / ("a" * 120) / ("b" * 120) / "a.zarr")
    store.write()
    outcome = site.run(store)
    assert isinstance(outcome, ImportRefused)
    assert "value too long" in str(outcome)
    assert site.ask("select f.id from Fileset f") == []


@pytest.mark.parametrize(
    "text", [b" " * (17 << 20), b"[" + b"[]," * 500_000 + b"[]]"], ids=["bytes", "values"]
)
def test_metadata_that_would_take_the_memory_is_refused(site: Registering, text: bytes) -> None:
    store = image(site.root / "a.zarr")
    store.files["0/.zarray"] = text
    store.write()
    outcome = site.run(store)
    assert isinstance(outcome, ImportRefused) and outcome.final
    assert "too much metadata" in str(outcome)
