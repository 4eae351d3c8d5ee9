"""install and uninstall on the files of an OMERODIR."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from omero_fs_plugin.deployment.installation import install, installed, uninstall
from omero_fs_plugin.errors import ConfigurationError, DescriptorError
from tests import DATA

SAMPLES = DATA / "grid"


@pytest.fixture
def omerodir(tmp_path: Path) -> Path:
    """What `install` looks at of an OMERO.server."""
    directory = tmp_path / "OMERO"
    shutil.copytree(SAMPLES, directory / "etc" / "templates" / "grid")
    (directory / "etc" / "templates" / "grid" / "windefault.xml").write_text("<icegrid/>")
    (directory / "etc" / "grid").mkdir()
    return directory


def files(omerodir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(omerodir)): path.read_bytes()
        for path in omerodir.rglob("*")
        if path.is_file()
    }


def template(omerodir: Path, name: str = "templates.xml") -> Path:
    return omerodir / "etc" / "templates" / "grid" / name


def config_set(omerodir: Path, name: str, value: str) -> None:
    (omerodir / "etc" / "grid" / "config.xml").write_text(
        '<icegrid><properties id="__ACTIVE__"><property name="omero.config.profile"'
        ' value="default"/></properties><properties id="default">'
        f'<property name="omero.config.version" value="5.1.0"/>'
        f'<property name="{name}" value="{value}"/></properties></icegrid>'
    )


def test_there_and_back(omerodir: Path) -> None:
    before = files(omerodir)
    assert not installed(omerodir)

    install(omerodir)
    assert installed(omerodir)
    changed = {name for name, data in files(omerodir).items() if before.get(name) != data}
    assert changed == {
        f"etc/templates/grid/{name}{end}"
        for name in ("templates.xml", "default.xml")
        for end in ("", ".omero-fs-orig")
    }
    assert (
        template(omerodir, "default.xml.omero-fs-orig").read_bytes()
        == (before["etc/templates/grid/default.xml"])
    )

    uninstall(omerodir)
    assert files(omerodir) == before


def test_the_second_run_writes_nothing(omerodir: Path) -> None:
    install(omerodir)
    before = _written(omerodir)

    lines = install(omerodir)

    assert _written(omerodir) == before
    assert all("already" in line for line in lines)


def _written(omerodir: Path) -> dict[Path, tuple[int, int]]:
    """Which files there are, and when each was written.  A read moves atime: it does not count."""
    found = {path: path.stat() for path in template(omerodir).parent.iterdir()}
    return {path: (stat.st_ino, stat.st_ctime_ns) for path, stat in found.items()}


def test_uninstall_where_nothing_is_installed(omerodir: Path) -> None:
    before = files(omerodir)

    lines = uninstall(omerodir)

    assert files(omerodir) == before
    assert all("not in it" in line for line in lines)


def test_an_edit_after_install_is_kept(omerodir: Path) -> None:
    install(omerodir)
    path = template(omerodir)
    path.write_bytes(path.read_bytes().replace(b"MEMORY:blitz", b"MEMORY:blitz -Xmx9g"))

    lines = uninstall(omerodir)

    assert path.read_bytes() == (SAMPLES / "templates.xml").read_bytes().replace(
        b"MEMORY:blitz", b"MEMORY:blitz -Xmx9g"
    )
    assert any(f"{path}: " in line and "edits are kept" in line for line in lines)
    assert template(omerodir, "templates.xml.omero-fs-orig").exists()
    assert not template(omerodir, "default.xml.omero-fs-orig").exists()


def test_what_an_editor_only_wrote_differently_is_restored(omerodir: Path) -> None:
    install(omerodir)
    path = template(omerodir, "default.xml")
    path.write_bytes(
        path.read_bytes().replace(b'name="PYTHON"        value', b"name='PYTHON' value")
    )

    uninstall(omerodir)

    assert path.read_bytes() == (SAMPLES / "default.xml").read_bytes()


def test_mode_and_symbolic_links_stay(omerodir: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.xml"
    template(omerodir).replace(real)
    template(omerodir).symlink_to(real)
    real.chmod(0o640)

    install(omerodir)

    assert template(omerodir).readlink() == real
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert b"FSServerTemplate" in real.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_stays(omerodir: Path) -> None:
    os.chown(template(omerodir), 12345, 54321)

    install(omerodir)

    for name in ("templates.xml", "templates.xml.omero-fs-orig"):
        owner = template(omerodir, name).stat()
        assert (owner.st_uid, owner.st_gid) == (12345, 54321)


def test_one_bad_descriptor_leaves_both_alone(omerodir: Path) -> None:
    template(omerodir, "default.xml").write_text("<icegrid><application/>")
    before = files(omerodir)

    with pytest.raises(DescriptorError, match=str(template(omerodir, "default.xml"))):
        install(omerodir)

    assert files(omerodir) == before


def test_both_files_or_none(omerodir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rename fails: the first is taken back."""
    before = files(omerodir)
    rename = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target.name == "default.xml" and b"omero-fs" in self.read_bytes():
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(ConfigurationError, match=r"default\.xml: No space left on device"):
        install(omerodir)

    assert files(omerodir) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_without_the_right_to_write(omerodir: Path) -> None:
    template(omerodir).parent.chmod(0o555)
    before = files(omerodir)

    with pytest.raises(ConfigurationError, match=r"Permission denied; run this as the user"):
        install(omerodir)

    template(omerodir).parent.chmod(0o755)
    assert files(omerodir) == before


def test_not_an_omerodir(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set the environment variable OMERODIR"):
        install(tmp_path)


def test_the_old_layout_is_refused_with_the_reason(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES, tmp_path / "etc" / "grid")
    before = files(tmp_path)

    with pytest.raises(ConfigurationError, match=r"old layout.* no etc/templates/grid"):
        install(tmp_path)

    assert files(tmp_path) == before


def test_a_missing_descriptor_is_named(omerodir: Path) -> None:
    template(omerodir, "default.xml").unlink()

    with pytest.raises(ConfigurationError, match=r"default\.xml: No such file"):
        install(omerodir)


def test_nodedescriptors_are_spoken_of(omerodir: Path) -> None:
    config_set(omerodir, "omero.server.nodedescriptors", "master:Blitz-0,MonitorServer,DropBox")

    lines = install(omerodir)
    assert (
        '  omero config set omero.server.nodedescriptors "master:Blitz-0,FSServer,DropBox"' in lines
    )

    config_set(omerodir, "omero.server.nodedescriptors", "master:Blitz-0,FSServer,DropBox")
    assert not any("omero.server.nodedescriptors" in line for line in install(omerodir))
    assert any("MonitorServer,FileServer,DropBox" in line for line in uninstall(omerodir))


def test_properties_set_by_hand_are_not_lost_in_silence(omerodir: Path) -> None:
    path = template(omerodir)
    path.write_bytes(
        path.read_bytes().replace(b'dirImportWait"  value="60"', b'dirImportWait"  value="5"')
    )

    (line,) = [line for line in install(omerodir) if "omero.fs." in line]

    assert "omero config set -- omero.fs.dirImportWait '5'" in line
