"""What OMERO.web asks for at a login and for a page: the guest, the configuration, thumbnails."""

from __future__ import annotations

import io
from typing import Any

import pytest
from omero.rtypes import rint
from PIL import Image

import omero
from omero_fs_plugin.sandbox import accounts
from omero_fs_plugin.sandbox.factory import Verifier
from omero_fs_plugin.sandbox.services import VERSION


@pytest.mark.parametrize("password", ["guest", "anything"])
def test_the_guest_may_log_in(blitz: Any, password: str) -> None:
    assert Verifier(blitz.sandbox).checkPermissions("guest", password) == (True, "")


@pytest.mark.parametrize("name", ["amy", "root", "nobody"])
def test_no_other_may_without_the_password(blitz: Any, name: str) -> None:
    assert not Verifier(blitz.sandbox).checkPermissions(name, "guest")[0]
    assert not Verifier(blitz.sandbox).checkPermissions(name, "")[0]


def test_the_guest_learns_the_version_and_nothing_that_is_stored(blitz: Any) -> None:
    guest = blitz.login("guest")
    config = guest.getConfigService()
    assert config.getVersion() == config.getConfigValue("omero.version") == VERSION
    assert guest.getAdminService().getEventContext().groupId == accounts.GUEST_GROUP
    with pytest.raises(omero.SecurityViolation, match=r"No matching roles found in \[guest\]"):
        guest.getQueryService().findAll("Experimenter", None)
    with pytest.raises(omero.SecurityViolation):
        guest.getUpdateService().saveObject(omero.model.DatasetI())


def test_a_user_reads_only_what_clients_are_to_know_of_the_configuration(
    blitz: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {
        "omero.db.pass": "secret",
        "omero.mail.config": "true",
        "omero.client.ui.menu": "x",
        "omero.cluster.read_only.runtime.db": "false",
    }
    monkeypatch.setattr(blitz.sandbox, "properties", known)
    config = blitz.login(blitz.sudo("amy").uuid.val).getConfigService()
    assert config.getConfigValues(".*") == {k: v for k, v in known.items() if "pass" not in k}
    assert config.getConfigValue("omero.mail.config") == "true"
    with pytest.raises(omero.SecurityViolation):
        config.getConfigValue("omero.db.pass")
    assert blitz.login("root").getConfigService().getConfigValues(".*") == known


def _pixels(blitz: Any, user: str, group: str, size: tuple[int, int] = (400, 100)) -> int:
    store = blitz.sandbox.store
    own = {"owner": blitz.users[user], "group": blitz.groups[group]}
    with store.begin() as db:
        image = store.insert(db, "Image", name="a", series=0, **own)
        shape = dict(zip(("sizeX", "sizeY"), size, strict=True))
        return int(store.insert(db, "Pixels", image=image, **shape, **own))


def _thumbnails(blitz: Any, user: str) -> Any:
    return blitz.login(blitz.sudo(user).uuid.val).createThumbnailStore()


def test_a_thumbnail_is_a_picture_of_the_images_shape(blitz: Any) -> None:
    pixels = _pixels(blitz, "amy", "amy_group")
    store = _thumbnails(blitz, "amy")
    assert store.setPixelsId(pixels)
    assert not store.isInProgress()
    for given, size in ((None, (96, 24)), (rint(64), (64, 16))):
        picture = Image.open(io.BytesIO(store.getThumbnailByLongestSide(given)))
        assert (picture.format, picture.size) == ("JPEG", size)
    assert Image.open(io.BytesIO(store.getThumbnail(rint(30), rint(20)))).size == (30, 20)
    store.close()


def test_nobody_sees_the_thumbnail_of_what_one_may_not_see(blitz: Any) -> None:
    private = _pixels(blitz, "amy", "amy_group")
    shown = _pixels(blitz, "amy", "shown")
    store = _thumbnails(blitz, "zak")
    with pytest.raises(omero.ValidationException):
        store.setPixelsId(private, {"omero.group": "-1"})
    found = store.getThumbnailByLongestSideSet(rint(96), [private, shown], {"omero.group": "-1"})
    assert found[private] == b"" and found[shown][:2] == b"\xff\xd8"


@pytest.mark.parametrize("side", [0, -1, 100_000])
def test_a_size_that_no_thumbnail_has(blitz: Any, side: int) -> None:
    store = _thumbnails(blitz, "amy")
    store.setPixelsId(_pixels(blitz, "amy", "amy_group"))
    with pytest.raises(omero.ApiUsageException):
        store.getThumbnailByLongestSide(rint(side))


def test_the_pixels_come_first(blitz: Any) -> None:
    store = _thumbnails(blitz, "amy")
    with pytest.raises(omero.ApiUsageException, match="set the pixels"):
        store.getThumbnailByLongestSide(rint(96))
