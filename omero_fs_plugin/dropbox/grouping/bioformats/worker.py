"""Bio-Formats in a child: it is asked about one file, and says what belongs to it.

`process` starts it, as `child.main` serves it, because readers crash, hang and fill memory.  The
JVM and some readers print on stdout and stderr.  Nobody reads that, except the last lines of a
process that died.  What it is given is `{"jvm": path, "jars": [path], "options": [JVM option]}`;
it tells `{"version": version of Bio-Formats}`.  Requests are

1. `{"path": path, "readers": [class name] or null, "anew": bool}`: the fileset that opens with
   this file; what directories hold is remembered until `anew` is asked for.  The answer:
   `{"files": [path], "reader": class name, "plate": bool}`, or `{"unknown": why}` when no reader
   takes it, or `{"error": why}` when its reader failed
2. `{"check": [class name]}`: which of these readers do not exist.  The answer: `{"absent": [name]}`
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from omero_fs_plugin.dropbox.grouping.child.frames import Frame
from omero_fs_plugin.dropbox.grouping.child.pulse import Pulse

_BUFFER = 1 << 14  # bytes; 1 MiB unless set, with which a large TIFF takes seven times as long
_PACKAGE = "loci.formats.in."  # of a reader that is given by its simple name


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


def prepare(given: Frame) -> None:
    """JPype is looked for where it may be; then no other place can be looked into."""
    importlib.import_module("jpype")


def begin(given: Frame, pulse: Pulse) -> tuple[Callable[[Frame], Frame], Frame]:
    """As child.main has it.  Raises whatever JPype and Java do."""
    scratch = os.environ["TMPDIR"]
    places = [f"-Djava.io.tmpdir={scratch}", f"-Duser.home={scratch}"]
    reading = Reading(given["jvm"], given["jars"], [*given["options"], *places])

    def answer(request: Frame) -> Frame:
        if "check" in request:
            return {"absent": reading.absent(request["check"])}
        try:
            return reading.read(request["path"], request["readers"], anew=request["anew"])
        except (UnicodeDecodeError, UnicodeEncodeError) as error:
            # A name that Java has, and Python has not.
            return {"error": f"{type(error).__name__}: {error.reason}"}

    return answer, {"version": reading.version}
