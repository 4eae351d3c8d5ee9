"""docs/clients.rst: its tables are those of the Slice, its clients run, and they come back."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import Ice
import omero_FS_ice  # noqa: F401 - defines omero.grid.monitors
import pytest
from omero.grid import monitors as slice_

from tests import CHECKOUT

from .test_restart import Process

TEXT = (CHECKOUT / "docs" / "clients.rst").read_text(encoding="utf-8")


def code(language: str) -> str:
    """The block of code in this language."""
    block = TEXT.split(f".. code-block:: {language}\n\n", 1)[1]
    lines = []
    for line in block.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line.removeprefix("    "))
    return "\n".join(lines)


@pytest.mark.parametrize("kind", [slice_.EventInfo, slice_.FileStats])
def test_every_field_is_in_its_table_in_its_order(kind: type) -> None:
    part = TEXT.split(f"{kind.__name__}\n---", 1)[1].split("\n\n\n", 1)[0]
    fields = re.findall(r"^(\w+) +(string|long|float|EventType|FileType) ", part, re.M)
    made = kind()
    types = {str: "string", int: "long", float: "float"}
    expected = [
        (name, types.get(type(value), type(value).__name__)) for name, value in vars(made).items()
    ]
    assert sorted(fields) == sorted(expected)


@pytest.mark.parametrize("kind", [slice_.EventType, slice_.FileType])
def test_every_value_is_named(kind: type) -> None:
    for value in kind._enumerators.values():  # type: ignore[attr-defined]
        assert re.search(rf"{kind.__name__} .*\b{value}\b", TEXT), value


def test_every_exception_is_one_of_ice() -> None:
    names = re.findall(r"^``(\w+Exception)``", TEXT, re.M)
    assert len(names) == 7
    for name in names:
        assert issubclass(getattr(Ice, name), Ice.LocalException), name


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "data").mkdir()
    process = Process(tmp_path / "data")
    yield process
    process.end()


def test_the_client_in_python_comes_back(process: Process, tmp_path: Path) -> None:
    client, root = tmp_path / "client.py", tmp_path / "root"
    client.write_text(code("python"), encoding="utf-8")
    root.mkdir()
    with subprocess.Popen(
        [sys.executable, client, f"MonitorServer:{process.endpoint}", root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None and running.stdin is not None
        lines = iter(running.stdout.readline, "")
        assert next(lines) == f"watching {root}\n"
        (root / "a.tif").write_text("x")
        assert next(lines) == f"Create {root}/a.tif\n"
        process.end(signal.SIGKILL)
        # Lost, if it was killed in the middle of an answer.
        assert re.fullmatch(r"away Connection(Refused|Lost)Exception\n", next(lines))
        (root / "b.tif").write_text("x")
        process.start()
        told = {next(lines) for _ in range(4)}  # whichever of the two threads is first
        assert {"back\n", f"Create {root}/b.tif\n"} < told
        assert any(line.startswith("System restarted: ") for line in told)
        running.stdin.close()
        rest = running.stdout.read()
        assert running.wait(30) == 0, rest
        assert running.stderr is not None and "Traceback" not in running.stderr.read()


def test_the_client_in_python_says_why_it_is_refused(process: Process, tmp_path: Path) -> None:
    client = tmp_path / "client.py"
    client.write_text(code("python"), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, client, f"MonitorServer:{process.endpoint}", tmp_path / "none"],
        stdin=subprocess.PIPE,  # at its end the client would end too
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as refused:
        assert refused.wait(30) == 1
        assert refused.stderr is not None
        assert refused.stderr.read() == f"pathString '{tmp_path}/none': No such file or directory\n"


# What the client in Java uses of Ice for Java 3.6 and of OMERO's omero-blitz.jar, as the Slice
# compiler makes it.  Without these jars the compiler looks at the client against this.
STUBS = {
    "Ice/Communicator": """public interface Communicator {
        ObjectPrx stringToProxy(String text);
        ObjectAdapter createObjectAdapterWithEndpoints(String name, String endpoints); }""",
    "Ice/ObjectAdapter": "public interface ObjectAdapter { ObjectPrx addWithUUID(Object one);"
    " void activate(); }",
    "Ice/Object": "public interface Object { }",
    "Ice/ObjectPrx": "public interface ObjectPrx { }",
    "Ice/Current": "public class Current { }",
    "Ice/LocalException": "public abstract class LocalException extends RuntimeException { }",
    "Ice/UserException": "public abstract class UserException extends Exception { }",
    "Ice/Util": "public class Util { public static Communicator initialize(String[] args)"
    " { return null; } }",
    "omero/OmeroFSError": "public class OmeroFSError extends Ice.UserException"
    " { public String reason; }",
    "omero/grid/monitors/EventType": "public enum EventType { Create, Modify, Delete, System }",
    "omero/grid/monitors/MonitorType": "public enum MonitorType"
    " { Persistent, OneShot, Inactivity }",
    "omero/grid/monitors/PathMode": "public enum PathMode { Flat, Recurse, Follow }",
    "omero/grid/monitors/WatchEventType": "public enum WatchEventType"
    " { Creation, Modification, Deletion, All }",
    "omero/grid/monitors/EventInfo": "public class EventInfo { public String fileId;"
    " public EventType type; }",
    "omero/grid/monitors/_MonitorClientDisp": """public abstract class _MonitorClientDisp
        implements Ice.Object { public abstract void fsEventHappened(
        String id, EventInfo[] el, Ice.Current current); }""",
    "omero/grid/monitors/MonitorClientPrx": "public interface MonitorClientPrx"
    " extends Ice.ObjectPrx { }",
    "omero/grid/monitors/MonitorClientPrxHelper": """public class MonitorClientPrxHelper {
        public static MonitorClientPrx uncheckedCast(Ice.ObjectPrx one) { return null; } }""",
    "omero/grid/monitors/MonitorServerPrx": """public interface MonitorServerPrx
        extends Ice.ObjectPrx {
        void startMonitor(String id) throws omero.OmeroFSError;
        String createMonitor(MonitorType mType, WatchEventType[] eTypes, PathMode pMode,
            String pathString, String[] whitelist, String[] blacklist, float timeout,
            int blockSize, boolean ignoreSysFiles, boolean ignoreDirEvents,
            boolean platformCheck, MonitorClientPrx proxy) throws omero.OmeroFSError; }""",
    "omero/grid/monitors/MonitorServerPrxHelper": """public class MonitorServerPrxHelper {
        public static MonitorServerPrx uncheckedCast(Ice.ObjectPrx one) { return null; } }""",
}


@pytest.mark.skipif(shutil.which("javac") is None, reason="no javac here")
def test_the_client_in_java_compiles(tmp_path: Path) -> None:
    for name, text in STUBS.items():
        file = tmp_path / f"{name}.java"
        file.parent.mkdir(parents=True, exist_ok=True)
        package = name.rpartition("/")[0].replace("/", ".")
        file.write_text(f"package {package};\n{text}\n", encoding="utf-8")
    client = tmp_path / "WatchDirectory.java"
    client.write_text(code("java"), encoding="utf-8")
    done = subprocess.run(
        [
            "javac",
            "-Xlint:all,-serial",
            "-Werror",
            "-sourcepath",
            tmp_path,
            "-d",
            tmp_path / "out",
            client,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "WatchDirectory.class").is_file()
