"""What is proved of a file: every checksum OMERO may have, and every fate in the journal."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.blitz.copies import Copy
from omero_fs_plugin.dropbox.journal.seen import Seen
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.receipts.proof import Known, Proof, Prover
from omero_fs_plugin.errors import UserError
from tests.unit.dropbox.test_situation import seen

DATA = b"some pixels"
SUMS = {
    "SHA1-160": hashlib.sha1(DATA).hexdigest(),
    "MD5-128": hashlib.md5(DATA).hexdigest(),
    "CRC-32": f"{zlib.crc32(DATA):08x}",
    "Adler-32": f"{zlib.adler32(DATA):08x}",
}


@dataclass
class Omero:
    """What OMERO has."""

    copies: list[Copy]
    damage: dict[int, str] = field(default_factory=dict)
    images: dict[int, tuple[int, ...]] = field(default_factory=lambda: {7: (8,)})
    refused: bool = False  # the user may not log in any more
    verified: list[int] = field(default_factory=list)

    def copies_of(self, filesets: Collection[int]) -> list[Copy]:
        return [copy for copy in self.copies if copy.fileset in filesets]

    def filesets_of_images(self, images: Iterable[int]) -> dict[int, tuple[int, ...]]:
        wanted = set(images)
        return {one: ids for one, ids in self.images.items() if wanted & set(ids)}

    def user(self, name: str) -> str:
        if self.refused:
            raise UserError(f"{name} is inactive")
        return name

    def session_for(self, user: str) -> Omero:
        return self

    def damaged(self, files: Iterable[Copy]) -> dict[int, str]:
        self.verified += [copy.id for copy in files]
        return self.damage

    def close(self) -> None:
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.tif"
    file.write_bytes(DATA)
    return file


def copy(path: Path, hasher: str = "SHA1-160", **more: Any) -> Copy:
    known = Copy(1, 7, str(path)[1:], len(DATA), SUMS.get(hasher, "0f"), hasher, "")
    return replace(known, **more)


def imported(path: Path, **more: Any) -> Seen:
    return seen(State.IMPORTED, files=(str(path),), images=(8,), server_fileset=7, **more)


def prove(path: Path, omero: Omero, known: Known | None = None) -> Proof:
    (found,) = Prover(omero).prove({str(path): known or Known(imported(path))})  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("hasher", SUMS)
def test_each_checksum_that_omero_may_have(path: Path, hasher: str) -> None:
    omero = Omero([copy(path, hasher)])
    found = prove(path, omero)
    assert (found.why_not, found.sha1, found.size) == ("", SUMS["SHA1-160"], len(DATA))
    assert omero.verified == [1], "OMERO has read its copy"
    path.write_bytes(DATA[:-1] + b"?")
    assert "changed after the import" in prove(path, omero).why_not


def test_a_checksum_that_nobody_here_can_compute_proves_nothing(path: Path) -> None:
    found = prove(path, Omero([copy(path, "Murmur3-128")]))
    assert "OMERO's checksum is Murmur3-128" in found.why_not


def test_a_size_alone_proves_nothing(path: Path) -> None:
    found = prove(path, Omero([copy(path, "File-Size-64", hash=f"{len(DATA):016x}")]))
    assert not found.safe


def test_a_copy_without_a_checksum_proves_nothing(path: Path) -> None:
    assert not prove(path, Omero([copy(path, hash="")])).safe


def test_one_damaged_copy_of_a_set_is_all_of_the_set(path: Path) -> None:
    omero = Omero([copy(path), copy(path, id=2, hash="00")], damage={2: "it differs"})
    assert prove(path, omero).why_not == "it differs (OriginalFile:2)"


@pytest.mark.parametrize("transfer", ["Symlink", "Hardlink"])
def test_in_place_is_told_only_of_what_agrees(path: Path, transfer: str) -> None:
    omero = Omero([copy(path, transfer=transfer)])
    found = prove(path, omero)
    assert found.in_place and not found.safe
    omero.damage = {1: "it differs"}
    found = prove(path, omero)
    assert not found.in_place and "it differs" in found.why_not


@pytest.mark.parametrize("transfer", ["Copy", "CopyMove", "Move"])
def test_a_copy_made_by_a_transfer_is_a_copy(path: Path, transfer: str) -> None:
    assert prove(path, Omero([copy(path, transfer=transfer)])).safe


def test_images_that_are_gone(path: Path) -> None:
    assert "no images" in prove(path, Omero([copy(path)], images={})).why_not


def test_a_user_who_may_not_log_in_leaves_it_open(path: Path) -> None:
    assert "cannot be verified" in prove(path, Omero([copy(path)], refused=True)).why_not


@pytest.mark.parametrize("state", [one for one in State if one is not State.IMPORTED])
def test_what_is_not_imported_is_not_safe(path: Path, state: State) -> None:
    one = seen(state, files=(str(path),), reason="because")
    found = prove(path, Omero([copy(path)]), Known(one))
    assert not found.safe and "because" in found.why_not


@pytest.mark.parametrize("state", State)
def test_a_copy_is_as_safe_as_its_twin(path: Path, state: State) -> None:
    one = seen(State.SKIPPED, files=(str(path),), duplicate_of=2)
    twin = replace(imported(path), state=state)
    found = prove(path, Omero([copy(path)]), Known(one, twin))
    assert found.safe == (state is State.IMPORTED)


def test_what_is_imported_and_on_its_way_again_is_not_safe(path: Path) -> None:
    found = prove(path, Omero([copy(path)]), Known(imported(path), on_its_way=True))
    assert found.why_not == "a fileset with it is still on its way"


def test_a_file_that_changes_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fstat
    calls: list[int] = []

    def fstat(descriptor: int) -> os.stat_result:
        calls.append(descriptor)
        if len(calls) == 2:
            with path.open("ab") as file:
                file.write(b"more")
        return real(descriptor)

    monkeypatch.setattr("omero_fs_plugin.dropbox.receipts.proof.os.fstat", fstat)
    assert "changed while it was read" in prove(path, Omero([copy(path)])).why_not


def test_a_directory_in_its_place_is_closed_again(path: Path) -> None:
    one = copy(path)
    path.unlink()
    path.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert "it cannot be read" in prove(path, Omero([one])).why_not
    assert len(list(Path("/proc/self/fd").iterdir())) == before
