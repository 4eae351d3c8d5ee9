"""Every call to a disk in DropBox's source is made as a call to a root, or is listed with a reason.

A call that hangs and is none of a root holds up whoever made it, and nothing tells of it.
``tests/integration/dropbox/test_calls_to_disks.py`` has the same of a DropBox at work.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import omero_fs_plugin.dropbox

TOP = Path(omero_fs_plugin.dropbox.__file__).parent

# What asks a disk.  To close a directory, or a file that was only read, is none.
OF_OS = re.compile(
    "open|l?stat|fstat|scandir|listdir|readlink|access|f?statvfs|mkdir|makedirs|rename|replace|link"
    "|symlink|unlink|remove|rmdir|f?chmod|chown|utime|truncate|p?read|p?write|fsync|fdatasync|walk"
    "|listxattr|getxattr|sendfile|copy_file_range"
)
OF_OS_PATH = re.compile("l?exists|realpath|isdir|isfile|islink|getsize|samefile")
OF_PATH = re.compile(
    "lstat|is_file|is_dir|is_symlink|is_mount|mkdir|unlink|rename|(read|write)_(text|bytes)|open"
    "|iterdir|r?glob|touch|resolve|readlink|rmdir|(hard|sym)link_to|chmod|exists|samefile"
)
# These have methods with such names, and are no paths: SQL, and functions that were handed in.
NO_PATHS = (
    "CALLS",
    "ROOTS",
    "select",
    "self._outside",
    "outside",
    "self._journal",
    "self._settler",
)

CALLER = "whoever calls it is in a call to the root"
CHILD = "a process of its own reads there, and is given up if it hangs"
LISTED = "it lists for `rounds`, which waits for no directory, and for commands"
OURS = "a disk without which the server itself does not run: its program, its own files, /proc"
OMEROS = "OMERO's repository, which OMERO writes to at the same time"
PIPES = "pipes to a process of ours, and no file"
COMMAND = "only commands use it, and nobody else waits for them"

# Module -> why calls are made there outside of a call to a root.
LISTED_MODULES = {
    "afterwards/shelf.py": CALLER,
    "audit/audit.py": CALLER,
    "audit/directories.py": CALLER,
    "audit/looks.py": CALLER,
    "audit/quarantine.py": CALLER,
    "audit/record.py": COMMAND,
    "audit/strays.py": CALLER,
    "confine/__init__.py": CALLER,
    "confine/roots.py": CALLER,
    "confine/trees.py": CALLER,
    "grouping/bioformats/jars.py": OURS,
    "grouping/bioformats/process.py": OURS,
    "grouping/bioformats/serving.py": OURS,
    "grouping/child/bounds.py": CHILD,
    "grouping/child/landlock.py": CHILD,
    "grouping/child/process.py": OURS,
    "grouping/child/pulse.py": OURS,
    "grouping/completeness.py": CHILD,
    "grouping/native/grouper.py": CHILD,
    "grouping/native/neighbours.py": CHILD,
    "grouping/native/ome_sets.py": CHILD,
    "grouping/served.py": CHILD,
    "grouping/userfiles.py": CHILD,
    "grouping/zarr_files.py": CHILD,
    "importing/apart/job.py": PIPES,
    "importing/importers/choice.py": OURS,
    "importing/importers/in_place.py": OMEROS,
    "importing/importers/java_child.py": OURS,
    "importing/importers/java_process.py": OURS,
    "importing/importers/proof.py": OMEROS,
    "importing/importers/registering.py": OMEROS,
    "importing/importers/sources.py": CALLER,
    "importing/carrying.py": CALLER,
    "importing/comparing.py": CALLER,
    "importing/copying.py": CALLER,
    "importing/moving.py": CALLER,
    "importing/quarantine.py": CALLER,
    "importing/removing.py": CALLER,
    "importing/stores.py": CALLER,
    "journal/database.py": OURS,
    "journal/engines.py": OURS,
    "journal/elapsed.py": OURS,
    "journal/plain.py": OURS,
    "journal/lease.py": OURS,
    "letters/notes.py": CALLER,
    "processes/program.py": OURS,
    "receipts/proof.py": COMMAND,
    "service/elsewhere.py": OMEROS,
    "settling/writers.py": OURS,
    "userdirs/directories.py": CALLER,
    "watching/rescan.py": LISTED,
}


def calls(source: str) -> Iterator[tuple[int, str]]:
    """(line, what is called) of each call to a disk that stands in no call to a root."""
    return _below(ast.parse(source), within=False)


def _below(node: ast.AST, *, within: bool) -> Iterator[tuple[int, str]]:
    for child in ast.iter_child_nodes(node):
        inside = within or (
            isinstance(child, ast.With) and any(_is_a_root(one.context_expr) for one in child.items)
        )
        if isinstance(child, ast.FunctionDef):
            inside = False  # it may be called elsewhere
        if isinstance(child, ast.Call) and not inside and (what := _asks(child.func)):
            yield child.lineno, what
        yield from _below(child, within=inside)


def _is_a_root(entered: ast.expr) -> bool:
    return isinstance(entered, ast.Call) and ast.unparse(entered.func).endswith(
        ("CALLS.at", "CALLS.trial", "calls.at", "calls.trial")
    )


def _asks(called: ast.expr) -> str:
    if isinstance(called, ast.Name):
        return "open" if called.id == "open" else ""
    if not isinstance(called, ast.Attribute):
        return ""
    of, name = ast.unparse(called.value), called.attr
    known = {"os": OF_OS, "os.path": OF_OS_PATH}.get(of, OF_PATH)
    asks = of == "shutil" or (known.fullmatch(name) and not of.startswith(NO_PATHS))
    return f"{of}.{name}" if asks else ""


def test_what_is_found() -> None:
    source = """
def one(path):
    os.stat(path)
    with CALLS.at(root), suppress(OSError):
        os.open(path)
        def later():
            path.unlink()
    open(path)
    shutil.copy(path, other)
    os.path.exists(path)
    select(one).exists()
"""
    assert [what for _, what in calls(source)] == [
        *("os.stat", "path.unlink", "open", "shutil.copy", "os.path.exists")
    ]


def test_every_call_to_a_disk_is_that_of_a_root_or_has_a_reason() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted(TOP.rglob("*.py")):
        for line, what in calls(path.read_text(encoding="utf-8")):
            found.setdefault(path.relative_to(TOP).as_posix(), []).append(f"{line}: {what}")
    unlisted = {module: there for module, there in found.items() if module not in LISTED_MODULES}
    assert unlisted == {}, "in `with CALLS.at(root)`, or into LISTED_MODULES with a reason"
    assert LISTED_MODULES.keys() - found.keys() == set(), "they need no reason any more"
