from __future__ import annotations

import importlib.metadata
import importlib.util
import zipfile
from pathlib import Path

import pytest

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.grouping.bioformats import jars
from omero_fs_plugin.dropbox.importing.methods import Methods
from omero_fs_plugin.errors import ConfigurationError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def no_wheel(name: str) -> importlib.metadata.Distribution:
    raise importlib.metadata.PackageNotFoundError(name)


def test_configured_files_and_directories_come_first(tmp_path: Path) -> None:
    touch(tmp_path / "a.jar", tmp_path / "d" / "b.jar", tmp_path / "d" / "c.jar")
    touch(tmp_path / "omero" / "lib" / "client" / "bioformats_package.jar")
    found, source = jars.find_jars(
        [str(tmp_path / "a.jar"), str(tmp_path / "d")], str(tmp_path / "omero")
    )
    assert [Path(jar).name for jar in found] == ["a.jar", "b.jar", "c.jar"]
    assert source == "omero.fs.bioformatsJars"


@pytest.mark.parametrize(
    ("entry", "said"),
    [("gone.jar", "not there"), ("empty", "no jar in it")],
)
def test_what_is_configured_and_not_there(tmp_path: Path, entry: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=said) as raised:
        jars.find_jars([str(tmp_path / entry)], None)
    assert str(tmp_path / entry) in str(raised.value)


def test_a_relative_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.jar")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="not an absolute path"):
        jars.find_jars(["a.jar"], None)


@pytest.mark.parametrize(
    "names", [["bioformats_package.jar"], ["formats-api.jar", "formats-bsd.jar"]]
)
@pytest.mark.parametrize("place", ["client", "server"])
def test_those_of_the_server(tmp_path: Path, names: list[str], place: str) -> None:
    lib = tmp_path / "lib"
    touch(lib / "client" / "blitz.jar")  # without Bio-Formats it is passed over
    touch(*(lib / place / name for name in names), lib / place / "ome-common.jar")
    found, source = jars.find_jars((), str(tmp_path))
    assert {Path(jar).name for jar in found} >= {*names, "ome-common.jar"}
    assert source == str(lib / place)


def test_none_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", no_wheel)
    with pytest.raises(ConfigurationError, match=r"no Bio-Formats here.*bioformatsJars"):
        jars.find_jars((), str(tmp_path))


def test_the_jvm_of_java_home(tmp_path: Path) -> None:
    touch(tmp_path / "lib" / "server" / "libjvm.so")
    assert jars.find_jvm({"JAVA_HOME": str(tmp_path)}) == f"{tmp_path}/lib/server/libjvm.so"


def test_the_jvm_of_java_on_path(tmp_path: Path) -> None:
    java = tmp_path / "jdk" / "bin" / "java"
    touch(java, tmp_path / "jdk" / "lib" / "server" / "libjvm.so")
    java.chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(java)  # as Debian's alternatives
    found = jars.find_jvm({"PATH": str(tmp_path / "bin")})
    assert found == f"{tmp_path}/jdk/lib/server/libjvm.so"


def test_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "_DISTRIBUTIONS", (tmp_path,))
    with pytest.raises(ConfigurationError, match=r"no Java here.*JAVA_HOME"):
        jars.find_jvm({"PATH": str(tmp_path)})


def test_no_jpype(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.jar", tmp_path / "lib" / "server" / "libjvm.so")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"JPype1.*omero-fs-plugin\[bioformats\]"):
        jars.find([str(tmp_path / "a.jar")], environment={"JAVA_HOME": str(tmp_path)})


def test_the_readers_of_a_release_are_found_out_from_its_jars(tmp_path: Path) -> None:
    """One that is newer than our list of readers, and a jar of somebody else."""
    for name, classes in {
        "formats-gpl-9.jar": ["loci/formats/in/NewReader", "loci/formats/in/NewReader$1"],
        "own.jar": ["org/example/in/MyReader", "org/example/Readers"],
    }.items():
        with zipfile.ZipFile(tmp_path / name, "w") as jar:
            for one in classes:
                jar.writestr(f"{one}.class", b"")
    (tmp_path / "broken.jar").write_bytes(b"PK")
    found = jars.readers_there([str(tmp_path)], None)
    assert found == {"loci.formats.in.NewReader", "org.example.in.MyReader"}
    assert jars.readers_there(["none"], None) == frozenset()
    assert jars.readers_there([str(tmp_path / "none")], None) == frozenset()
    file = tmp_path / "readers.txt"
    file.write_text("NewReader\norg.example.in.MyReader\n", encoding="ascii")
    settings = read(
        {
            "omero.data.dir": str(tmp_path),
            "omero.fs.readers": str(file),
            "omero.fs.bioformatsJars": str(tmp_path),
        }
    )
    examined, methods = Methods(None, jars.readers_there).examine(settings)
    assert not examined.problems
    (method,) = methods.values()
    assert method.readers == ("loci.formats.in.NewReader", "org.example.in.MyReader")
    examined, _ = Methods(None).examine(settings)
    assert "has no reader NewReader" in str(examined.problems[0])
