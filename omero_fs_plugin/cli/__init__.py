"""The subcommands that this package adds to `omero fs`.

omero-py registers a Control class for `fs` itself.  Plugin files are read in no
fixed order, and the last registration wins.  So nothing is registered here.
`extend` waits until every plugin file was read, and then puts `FsMixin` over the
class that has `fs`.

Every call of `omero`, with any subcommand, runs this module.  So it imports only
modules that omero-py has imported already.  The module of a subcommand is imported
when that subcommand is parsed.  Each module has ::

    configure(sub)   adds its parser: sub.add_parser(NAME, help=...) and options
    run(ctx, args)   does the work; an FsError ends the command with its exit code
"""

from __future__ import annotations

import errno
import functools
import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

# _SubParsersAction is that of omero-py, which has its own copy of argparse.
from omero.cli import NonZeroReturnCode, Parser, _SubParsersAction

from omero_fs_plugin.errors import FsError
from omero_fs_plugin.names import printable

# name, what `omero fs -h` says of it, module
SUBCOMMANDS: tuple[tuple[str, str, str], ...] = (
    ("install", "put FSServer and DropBox into the grid of this OMERO.server", "install"),
    ("uninstall", "take FSServer and DropBox out of the grid again", "install"),
    ("check", "find what keeps files from being imported, and say what to do", "check"),
    ("config", "show every property, for which user it holds, and who set it", "config"),
    ("status", "show servers, monitors, and what became of every file", "status"),
    ("explain", "say what became of a file, a fileset or a directory, and why", "explain"),
    ("receipt", "say which files may be deleted, because OMERO has them whole", "receipt"),
    ("report", "report what was dropped, imported and refused in a period", "report"),
    ("audit", "compare disk, journal and OMERO for the whole site", "audit"),
    ("import", "hand files to DropBox now, without the quiet period", "import_"),
    ("forget", "set failed filesets aside that need not be imported", "forget"),
    ("reload", "tell the running servers what `omero config` says now", "reload"),
    ("users", "compare the users' directories with OMERO's users", "users"),
    ("watch", "show what happens below a directory, as FSServer sees it", "watch"),
    ("journal", "copy the journal into another database", "journal"),
    ("sandbox", "make a small stand-in for an OMERO server, to try things on", "sandbox"),
)

EXIT_CODES = """\
Exit codes of our own subcommands:
  0    done, or healthy
  1    not healthy, not all imported, not safe to delete, not the same, or an unexpected error
  2    wrong arguments, property, descriptor or installation
  3    the grid, or a server in it, cannot be reached
  4    the journal cannot be opened
  5    OMERO is down or unreachable
  6    OMERO, or this package, refuses the import
  7    no OMERO user of that name may import
  8    status and check: filesets have failed
  9    status and check: filesets are held up
  10   audit: nothing is wrong where it looked, but it could not look at everything
  130  interrupted
"""

# What argparse says of a subcommand that is not there.
_NO_CHOICE = re.compile(r"argument <subcommand>: invalid choice: '(.*?)'", re.DOTALL)

INTERRUPTED = 130  # as shells count: 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE


def extend(cli: Any) -> None:
    """Lets `cli` offer our subcommands when it has read every plugin file.

    It wraps `configure_plugins` of this instance, which omero-py calls after the last file.
    A second call does no harm; it happens if the plugin file is found in two directories.
    """
    configure_plugins = cli.configure_plugins

    def with_fs() -> None:
        registered = cli.controls.get("fs")
        if isinstance(registered, tuple) and not issubclass(registered[0], FsMixin):
            control, *rest = registered
            cli.controls["fs"] = (type("FsControl", (FsMixin, control), {}), *rest)
        configure_plugins()

    cli.configure_plugins = with_fs


class FsMixin:
    """Adds our subcommands after those of the Control below it."""

    ctx: Any

    def _configure(self, parser: Any) -> None:
        super()._configure(parser)  # type: ignore[misc]
        sub = next((a for a in parser._actions if isinstance(a, _SubParsersAction)), None)
        if sub is None:
            sub = parser.sub()
        sub_parser_class = sub._parser_class
        sub._parser_class = LateParser
        # omero-py names the program by the path of its executable, up to the first dash in it.
        parser.prog = program = "omero fs"
        try:
            for name, help_, module in SUBCOMMANDS:
                late = sub.add_parser(name, help=help_, description=help_, prog=f"{program} {name}")
                late.await_module(name, f"{__name__}.{module}", self.ctx)
        finally:
            sub._parser_class = sub_parser_class
        parser.epilog = f"{parser.epilog}\n\n{EXIT_CODES}" if parser.epilog else EXIT_CODES
        parser.error = functools.partial(_refuse, parser, sub.choices)


def _refuse(parser: Any, known: Iterable[str], message: str) -> None:
    """Ends the command with 2 and one line.  A name that nobody has gets the nearest one."""
    wrong = _NO_CHOICE.match(message)
    if wrong is not None:
        from omero_fs_plugin.config.kinds import nearest

        near = nearest(wrong[1], list(known))
        hint = f": did you mean {near}?" if near else ":"
        message = f"there is no subcommand {printable(wrong[1])}{hint} `{parser.prog} -h` lists all"
        parser.exit(2, f"{parser.prog}: {message}\n")
    parser.exit(2, f"{parser.prog}: {' '.join(message.split())}; see `{parser.prog} -h`\n")


class LateParser(Parser):  # type: ignore[misc]
    """A subcommand's parser that gets its options when it is first used."""

    _awaited: tuple[str, str, Any] | None = None
    _func: Callable[[Any], None] | None = None

    def await_module(self, name: str, module: str, ctx: Any) -> None:
        """Says which module has the options of subcommand `name`."""
        self._awaited = (name, module, ctx)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._awaited is not None:
            self._complete(*self._awaited)
            self._awaited = None
        parsed, rest = super().parse_known_args(args, namespace)
        if self._func is not None:
            # Not as a default, because the defaults of `fs` itself would win over it.
            parsed.func = self._func
        return parsed, rest

    def error(self, message: str) -> None:
        """Ends the command with 2 and one line."""
        _refuse(self, (), message)

    def _complete(self, name: str, module_name: str, ctx: Any) -> None:
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            ctx.dbg(traceback.format_exc())
            ctx.die(1, f"omero fs {name} cannot be loaded, its installation is broken: {error}")
        module.configure(_Sub(name, self))
        self._func = functools.partial(run, name, module, ctx)


class _Sub:
    """What a module's `configure` gets instead of the subparsers action.

    The parser is there already, so that `omero fs -h` lists it.  add_parser completes and
    returns it.  One module may configure several subcommands: for the names of the others
    it returns a parser that nobody uses.
    """

    def __init__(self, name: str, parser: LateParser) -> None:
        self._name = name
        self._parser = parser

    def add_parser(self, name: str, **options: Any) -> Any:
        options.pop("help", None)
        if name != self._name:
            return Parser(prog=name, **options)
        for key, value in options.items():
            setattr(self._parser, key, value)
        return self._parser


# What makes text bold, dim or coloured in our own tables, and hides nothing.
_STYLE = re.compile(r"(\x1b\[(?:[0-4]|[39][0-7]|39)?(?:;(?:[0-4]|[39][0-7]|39))*m)")


def _shown(text: object) -> str:
    """`text` as it goes out: our own line breaks and styles, and nothing else to act on."""
    lines = [_STYLE.split(line) for line in str(text).split("\n")]
    return "\n".join(
        "".join(part if at % 2 else printable(part) for at, part in enumerate(line))
        for line in lines
    )


class Shown:
    """The context of a subcommand, through which nothing goes out that a terminal would act on.

    Who makes a line of a name writes the name by `printable`, so that it breaks no line.  This is
    the second net, for all of it.
    """

    def __init__(self, ctx: Any) -> None:
        self.__dict__["_ctx"] = ctx

    def out(self, text: object, *more: Any, **options: Any) -> None:
        """As of omero-py's context."""
        self._ctx.out(_shown(text), *more, **options)

    def err(self, text: object, *more: Any, **options: Any) -> None:
        """As of omero-py's context."""
        self._ctx.err(_shown(text), *more, **options)

    def die(self, code: int, text: object, *more: Any, **options: Any) -> None:
        """As of omero-py's context: it raises NonZeroReturnCode."""
        self._ctx.die(code, _shown(text), *more, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._ctx, name, value)


def run(name: str, module: ModuleType, ctx: Any, args: Any) -> None:
    """Runs one subcommand.  Whatever goes wrong becomes one line and an exit code."""
    ctx = Shown(ctx)
    try:
        module.run(ctx, args)
    except NonZeroReturnCode:
        raise
    except FsError as error:
        ctx.dbg(traceback.format_exc())
        ctx.die(error.exit_code, _as_whom(ctx, _one_line(error)))
    except PermissionError as error:
        ctx.dbg(traceback.format_exc())
        where = f"{printable(str(error.filename))}: " if error.filename is not None else ""
        ctx.die(2, _as_whom(ctx, f"{where}{error.strerror}"))
    except KeyboardInterrupt:
        ctx.die(INTERRUPTED, "interrupted")
    except BrokenPipeError:
        # The reader has gone, as with `| head`.  Otherwise Python would complain
        # once more when it flushes stdout at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        ctx.rv = BROKEN_PIPE
    except Exception as error:
        ctx.dbg(traceback.format_exc())
        ctx.die(
            1,
            f"omero fs {name}: unexpected {type(error).__name__}: {_one_line(error)} "
            f"(this should not happen; `omero --debug=debug fs {name} ...` shows where)",
        )


def _as_whom(ctx: Any, text: str) -> str:
    """`text`, and as whom to run this if another user than OMERO.server's was not allowed to."""
    if os.strerror(errno.EACCES) not in text or "run this as" in text or ctx.dir is None:
        return text
    from omero_fs_plugin.site import site

    where = site(ctx)
    try:
        if where.is_run_by_owner():
            return text
        return f"{text}: run this as {where.owner()}, the user that OMERO.server runs as"
    except OSError:  # OMERODIR is no OMERO.server's
        return text


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
