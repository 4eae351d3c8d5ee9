"""Adds the subcommands of omero-fs-plugin to `omero fs`.

Every call of `omero` executes this file, with `register` given, so it stays
tiny.  It has a name of its own, as omero-py has an fs.py in this directory
already, and there is no __init__.py beside it, as the directory is omero-py's.
"""

try:
    cli = register.__self__  # type: ignore[name-defined]
except NameError:
    pass  # imported, not executed by `omero`: there is no CLI to extend
else:
    from omero_fs_plugin.cli import extend

    extend(cli)
