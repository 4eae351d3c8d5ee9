"""What `omero fs sandbox create` refuses, and that it leaves nothing half made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from omero.config import ConfigXml

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.sandbox import create, ports


@pytest.fixture(autouse=True)
def _not_root(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(ports, "PLACE", tmp_path_factory.mktemp("ports") / "reservations")


def test_root_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ConfigurationError, match="not made by root"):
        create.create(tmp_path / "s")


@pytest.mark.parametrize("name", ["../amy", "a/b", "root", "guest", "", ".."])
def test_user_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="--user"):
        create.create(tmp_path / "s", users=[name])
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("full", "not empty"),
        ("file", "not empty"),
        ("missing/s", "is not there"),
        ("with space", "plain path"),
        ("a$b", "plain path"),
    ],
)
def test_places(tmp_path: Path, place: str, says: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=says):
        create.create(tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("options", [{"prefix": 0}, {"prefix": 7}, {"root_password": ""}])
def test_options(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="--"):
        create.create(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("there", [True, False], ids=["empty directory", "no directory"])
def test_a_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    target = tmp_path / "s"
    if there:
        target.mkdir()

    def fail(directory: Path) -> None:
        assert (directory / "etc/templates/grid/default.xml").is_file()
        raise ConfigurationError("no openssl")

    monkeypatch.setattr(create, "_certificates", fail)
    with pytest.raises(ConfigurationError, match="no openssl"):
        create.create(target)
    assert list(tmp_path.rglob("*")) == ([target] if there else [])
    assert str(target) not in "".join(file.read_text() for file in ports.PLACE.iterdir())


def test_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create, "_certificates", lambda directory: None)
    made = create.create(tmp_path / "s", users=["eve", "amy"], prefix=5).directory
    dropboxes = sorted(p.name for p in (made / "data/DropBox").iterdir())
    assert dropboxes == ["amy", "eve", "zak"]
    config = (made / "etc/grid/config.xml").read_text()
    assert str(made / "data") in config
    for wrapper in ("omero", "icegridnode"):
        assert os.access(made / "bin" / wrapper, os.X_OK)
    assert "@PYTHON_BIN@" not in (made / "bin/omero").read_text()
    assert "FSServerTemplate" in (made / "etc/templates/grid/templates.xml").read_text()
    assert "sandbox" in (made / "etc/omero.properties").read_text()
    with pytest.raises(ConfigurationError, match="not empty"):
        create.create(made)


def test_its_configuration_has_the_ports_that_it_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 7th has another last but one digit."""
    monkeypatch.setattr(create, "_certificates", lambda directory: None)
    monkeypatch.setattr(ports, "_is_free", lambda port: True)
    routers = set()
    for number in range(7):
        made = create.create(tmp_path / f"s{number}", with_fs=False)
        config = ConfigXml(str(made.directory / "etc/grid/config.xml"), read_only=True).as_map()
        prefix = config["omero.ports.prefix"]
        assert int(prefix + config.get("omero.ports.ssl", "4064")) == made.ports.router
        assert made.ports.numbers == tuple(
            int(prefix + config.get(f"omero.ports.{name}", usual))
            for name, usual in {"registry": "4061", "tcp": "4063", "ssl": "4064"}.items()
        )
        routers.add(made.ports.router)
    assert len(routers) == 7
