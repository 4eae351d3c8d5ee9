"""Lets setuptools compile the files of one extension on all cores.

Each Python of the build imports it.  `build_ext --parallel` only compiles whole extensions
side by side.
"""

import os
from concurrent.futures import ThreadPoolExecutor

# setuptools has put its own in the place of Python's.
from distutils.compilers.C import base

_CORES = len(os.sched_getaffinity(0))


def _compile(
    self,
    sources,
    output_dir=None,
    macros=None,
    include_dirs=None,
    debug=False,
    extra_preargs=None,
    extra_postargs=None,
    depends=None,
):
    """Like Compiler.compile, with one thread a core.  Raises the first CompileError."""
    macros, objects, postargs, preprocessor, build = self._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs
    )
    flags = self._get_cc_args(preprocessor, debug, extra_preargs)

    def one(item):
        made, (source, extension) = item
        self._compile(made, source, extension, flags, postargs, preprocessor)

    with ThreadPoolExecutor(_CORES) as pool:
        for _ in pool.map(one, build.items()):
            pass
    return objects


base.Compiler.compile = _compile
