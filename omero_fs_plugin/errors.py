"""The exceptions of OMERO.fs.

::

    FsError                     anything this package raises on purpose
    ├── ConfigurationError      a property, a descriptor or an installation is wrong
    │   └── DescriptorError     a grid descriptor cannot be understood; it was not touched
    ├── GridError               IceGrid, or a server that it should run, cannot be reached
    ├── JournalError            the journal cannot be opened, or refuses a transition
    │   └── RecordRefused       the journal is well, but refuses one write
    ├── ServerAwayError         OMERO is down or unreachable: wait and try again
    │   ├── ServerBusyError     OMERO has too much to do: wait, and ask for less at a time
    │   ├── ServerMisconfiguredError   nothing can be imported until somebody changes a setting
    │   └── UnclearError        OMERO fails for a reason that we do not know: wait too
    ├── ImportRefused           OMERO or this package will not import this fileset
    │   └── Unreadable          the server may not read a file: its rights may be mended
    └── UserError               no user of that name may import, or not into that group

Each carries one clear line: what, where, what to do.  It is caught where something can
be done: the command line prints the line and exits with `exit_code`, a server logs it
and records it in the journal.
"""

from __future__ import annotations


class FsError(Exception):
    """The base of all errors.  The command line ends with `exit_code`."""

    exit_code = 1


class ConfigurationError(FsError):
    """A property, a descriptor or an installation is wrong."""

    exit_code = 2


class DescriptorError(ConfigurationError):
    """A grid descriptor cannot be understood; it was left untouched."""


class GridError(FsError):
    """IceGrid, or a server that it should run, cannot be reached."""

    exit_code = 3


class JournalError(FsError):
    """The journal cannot be opened, or refuses a transition."""

    exit_code = 4


class RecordRefused(JournalError):
    """The journal is well but refuses one write.  Only that write is at fault."""


class ServerAwayError(FsError):
    """OMERO is down or unreachable; the same call may succeed later."""

    exit_code = 5


class NotDeletedError(ServerAwayError):
    """OMERO has answered, and did not delete something."""


class ServerBusyError(ServerAwayError):
    """OMERO has too much to do; the same call may succeed later.

    `back_off` is how long (s) OMERO asks us to wait; 0 if it does not say.
    """

    def __init__(self, text: str, *, back_off: float = 0.0) -> None:
        super().__init__(text)
        self.back_off = back_off


class ServerMisconfiguredError(ServerAwayError):
    """With OMERO's configuration, or ours, nothing can be imported; somebody must change it."""


class UnclearError(ServerAwayError):
    """OMERO fails for a reason that we do not know.  We wait, as if it were away."""


class ImportRefused(FsError):
    """This fileset will not be imported, and the text says why.

    `final`: it cannot help to try again.
    """

    exit_code = 6

    def __init__(self, text: str, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


class Unreadable(ImportRefused):
    """The server may not read the file at `path`: that may change, and no event tells of it."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path


class UserError(FsError):
    """No OMERO user of that name may import: the account is at fault, not the file."""

    exit_code = 7
