"""Build of omero-fs-plugin.

Two things a declarative build cannot say: the file the ``omero`` command
executes lies in ``omero/plugins``, a directory that belongs to omero-py and
must stay without ``__init__.py``; and ``grid/``, which admins read at the top
level, travels in the wheel as data of the package.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
WEB = ["omero-web>=5.30,<6"]
DOCS = ["sphinx>=7.2", "furo"]


def version() -> str:
    """The one place that states the version is the package itself."""
    text = (HERE / "omero_fs_plugin" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found, "omero_fs_plugin/__init__.py has no __version__"
    return found.group(1)


class BuildWithGrid(build_py):
    """Puts ``grid/*.xml`` beside the modules, as ``omero_fs_plugin/grid``."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # the fragment is read from the checkout itself
        target = Path(self.build_lib) / "omero_fs_plugin" / "grid"
        self.mkpath(str(target))
        for fragment in sorted((HERE / "grid").glob("*.xml")):
            self.copy_file(str(fragment), str(target / fragment.name))


setup(
    name="omero-fs-plugin",
    version=version(),
    description="OMERO.fs: file-system monitoring and automatic import for OMERO",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="GPL-2.0-or-later",
    python_requires=">=3.10,<3.14",
    # Said outright, this makes an editable install one plain line in a .pth
    # file.  `omero` looks for plugins in the directories of sys.path, and would
    # find none behind the import hook that setuptools installs otherwise.
    package_dir={"": "."},
    packages=find_packages(include=["omero_fs_plugin", "omero_fs_plugin.*", "omero_fs_web"]),
    py_modules=["omero.plugins.omero_fs"],
    package_data={
        "omero_fs_plugin": ["py.typed", "sandbox/templates/**"],
        "omero_fs_web": ["py.typed", "templates/**", "static/**"],
    },
    cmdclass={"build_py": BuildWithGrid},
    install_requires=[
        "omero-py>=5.20",
        "zeroc-ice>=3.6.5,<3.7",
        "watchdog>=6",
        "lxml>=5",
        "SQLAlchemy>=2,<3",
        "rich>=13",
        # tomllib came with Python 3.11.
        'tomli>=2; python_version < "3.11"',
    ],
    extras_require={
        # What `omero fs sandbox` needs beside the above.
        "sandbox": ["omero-certificates>=0.3", "tifffile", "pydicom>=3", "pillow"],
        # Grouping files with Bio-Formats, whose jars and Java are found elsewhere.
        "bioformats": ["JPype1>=1.5"],
        # The journal on a PostgreSQL server.
        "postgresql": ["psycopg[binary]>=3.1"],
        # Metrics for Prometheus.
        "metrics": ["prometheus-client>=0.17"],
        # The page `My drops` of OMERO.web, on the host of OMERO.web.
        "web": WEB,
        # What the documentation site is built with.
        "docs": DOCS,
        "test": [
            "JPype1>=1.5",
            "psycopg[binary]>=3.1",
            "prometheus-client>=0.17",
            "pytest>=8",
            "pytest-xdist",
            "hypothesis>=6",
            'zarr>=3; python_version >= "3.11"',
            "ruff",
            "mypy",
            "build",
            "aiosmtpd>=1.4",
            "trustme>=1",
            "pyte>=0.8",
            # OMERO.web for the tests and for `make demo-web`; a browser comes from the system.
            *WEB,
            "whitenoise>=6",
            "selenium>=4.11",
            "axe-core-python>=0.1",
            *DOCS,
            "setuptools>=77",
        ],
    },
    classifiers=[
        "Environment :: Plugins",
        "Intended Audience :: Science/Research",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    zip_safe=False,
)
