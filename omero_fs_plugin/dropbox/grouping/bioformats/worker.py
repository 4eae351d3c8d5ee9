"""The process that runs Bio-Formats: asked about one file, it says what belongs to it.

`process` starts it as a process of its own, because readers crash, hang and fill
memory.  It imports nothing of this package, and ends when its parent does.

Both sides send frames over a socket pair: four bytes of length, big-endian, and so
many bytes of JSON.  The JVM and some readers print on stdout and stderr.  Nobody reads
that, except the last lines of a process that died.

1. first frame in: `{"jvm": path, "jars": [path], "options": [JVM option]}`; out:
   `{"ready": version of Bio-Formats}` or `{"failed": why}`, and then the process ends
2. `{"path": path, "readers": [class name] or null, "anew": bool}` asks for the fileset that opens
   with this file.  The lists of directories are remembered until a request has `anew`.  Out:
   `{"files": [path], "reader": class name, "plate": bool}`, or `{"unknown": why}` if no reader
   takes it, or `{"error": why}` if its reader failed
3. `{"check": [class name]}` asks which of these readers do not exist.  Out: `{"absent": [name]}`
"""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

_HEAD = struct.Struct(">I")
LONGEST = 64 << 20  # bytes of a frame: a million files of a plate
_BUFFER = 1 << 14  # bytes; with the default, 1 MiB, a large TIFF takes seven times as long
_PACKAGE = "loci.formats.in."  # of a reader that is given by its simple name

Frame = dict[str, Any]


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    data = json.dumps(frame).encode()
    return _HEAD.pack(len(data)) + data


def decode(received: bytearray) -> Frame | None:
    """Takes the first whole frame from `received`; None as long as there is none.

    Raises ValueError for bytes that are not a frame.
    """
    if len(received) < _HEAD.size:
        return None
    (length,) = _HEAD.unpack_from(received)
    if length > LONGEST:
        raise ValueError(f"a frame of {length} bytes")
    end = _HEAD.size + length
    if len(received) < end:
        return None
    frame = json.loads(received[_HEAD.size : end])
    del received[:end]
    if not isinstance(frame, dict):
        raise ValueError("a frame that is not an object")
    return frame


class Reading:
    """Bio-Formats in this process.

    The rules are those of OMERO's importer.  Each file has a fresh reader, because a used one
    keeps state.  Files that are needed to initialise come first, because the server opens the
    first one.  Archives are not opened.  A fileset is a plate if its reader says that it is
    high-content screening.
    """

    def __init__(self, jvm: str, jars: list[str], options: list[str]) -> None:
        """Starts the JVM.  Raises whatever JPype and Java do."""
        import jpype

        jpype.startJVM(jvm, *options, classpath=jars, convertStrings=False)
        self._throwable = jpype.JException
        self._class = jpype.JClass
        formats = "loci.formats."
        jpype.JClass("loci.common.DebugTools").setRootLevel("OFF")
        self._image_reader = jpype.JClass(formats + "ImageReader")
        self._filler = jpype.JClass(formats + "ChannelFiller")
        self._separator = jpype.JClass(formats + "ChannelSeparator")
        self._options = jpype.JClass(formats + "in.DynamicMetadataOptions")
        self._minimum = jpype.JClass(formats + "in.MetadataLevel").MINIMUM
        self._interface = jpype.JClass(formats + "IFormatReader")
        self._class_list = jpype.JClass(formats + "ClassList")
        self._hcs = jpype.JClass(formats + "FormatTools").HCS_DOMAIN
        # Kinds of FormatException that no file which comes later can mend.
        self._final = tuple(
            jpype.JClass(formats + name)
            for name in (
                "UnknownFormatException",
                "MissingLibraryException",
                "UnsupportedCompressionException",
            )
        )
        self._default = self._image_reader.getDefaultReaderClasses()
        self._default.removeClass(jpype.JClass(formats + "in.ZipReader"))
        self._named: tuple[tuple[str, ...], Any] = ((), None)  # the last list asked for
        self.version = str(jpype.JClass(formats + "FormatTools").VERSION)
        self._image_reader(self._default).close()  # loads the classes now
        # A hundred readers open each file for a few bytes, and each would read a whole buffer.
        jpype.JClass("loci.common.NIOFileHandle").setDefaultBufferSize(_BUFFER)
        # For each file, readers list its directory and look at every file in it.  For a thousand
        # files these are a million looks.
        self._location = jpype.JClass("loci.common.Location")
        self._location.cacheDirectoryListings(True)

    def read(self, path: str, readers: list[str] | None, *, anew: bool = True) -> Frame:
        """The fileset that opens with `path`.  `anew`: list directories again."""
        try:
            if anew:
                self._location.clearDirectoryListingsCache()
            classes = self._default if readers is None else self._classes(tuple(readers))
            reader = self._separator(self._filler(self._image_reader(classes)))
            try:
                return self._used(reader, path)
            finally:
                reader.close()
        except self._throwable as error:
            words = f"{error.getClass().getSimpleName()}: {error.getMessage()}"
            return {"unknown" if isinstance(error, self._final) else "error": words}

    def _used(self, reader: Any, path: str) -> Frame:
        reader.setMetadataFiltered(True)
        reader.setFlattenedResolutions(False)
        reader.setMetadataOptions(self._options(self._minimum))
        reader.setId(path)
        infos = list(reader.getAdvancedUsedFiles(False) or ())
        infos.sort(key=lambda info: not info.usedToInitialize)  # stable: their order otherwise
        return {
            "files": list(dict.fromkeys(str(info.filename) for info in infos)),
            "reader": str(reader.unwrap().getClass().getCanonicalName()),
            "plate": any(domain == self._hcs for domain in reader.getDomains()),
        }

    def absent(self, names: list[str]) -> list[str]:
        """Those names that are not names of a reader here."""
        return [name for name in names if self._reader(name) is None]

    def _classes(self, names: tuple[str, ...]) -> Any:
        if self._named[0] != names or self._named[1] is None:
            classes = self._class_list(self._interface)
            for name in names:
                found = self._reader(name)
                if found is not None:
                    classes.addClass(found)
            self._named = (names, classes)
        return self._named[1]

    def _reader(self, name: str) -> Any:
        """The class of a reader by its simple or canonical name; None if there is none."""
        java = self._class("java.lang.Class")
        try:
            found = java.forName(name if "." in name else _PACKAGE + name)
        except self._throwable:  # there is no such class, or a class that it needs is not here
            return None
        wanted = java.forName("loci.formats.IFormatReader")
        return found if wanted.isAssignableFrom(found) else None


def _receive(connection: socket.socket, take: Callable[[Frame | None], None]) -> None:
    """Passes on frames.  The process ends with its parent, also in the midst of a reader."""
    received = bytearray()
    try:
        while data := connection.recv(1 << 16):
            received += data
            while (frame := decode(received)) is not None:
                take(frame)
    finally:
        os._exit(0)


def main(descriptor: int) -> None:
    """Serves the socket `descriptor` until its other end is closed."""
    connection = socket.socket(fileno=descriptor)
    requests: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(
        target=_receive, args=(connection, requests.put), name="requests", daemon=True
    ).start()
    first = requests.get()
    try:
        reading = Reading(first["jvm"], first["jars"], first["options"])
    except Exception as error:  # the parent must hear of any error
        connection.sendall(encode({"failed": f"{type(error).__name__}: {error}"}))
        raise
    connection.sendall(encode({"ready": reading.version}))
    while True:
        request = requests.get()
        if "check" in request:
            answer: Frame = {"absent": reading.absent(request["check"])}
        else:
            answer = reading.read(request["path"], request["readers"], anew=request["anew"])
        connection.sendall(encode(answer))


if __name__ == "__main__":
    main(int(sys.argv[1]))
