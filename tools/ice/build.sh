#!/usr/bin/env bash
# Builds a wheel of zeroc-ice from its source: build.sh PYTHON VERSION DIRECTORY
#
# Five to ten minutes on one core.  IcePy 3.6 is older than Python 3.11; what it
# lacks there is in eval.h and compat.h beside this script.  The build tools are
# pinned, for the source has a setup.py of their time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
python=$1 version=$2 wheels=$3

mkdir -p "$wheels"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet setuptools==80.9.0 wheel==0.45.1

export CPATH="$here${CPATH:+:$CPATH}"
export CXX="g++ -include $here/compat.h"
export CFLAGS="-O1 -g0" CXXFLAGS="-O1 -g0"
nice "$scratch/venv/bin/python" -m pip wheel --no-deps --no-build-isolation \
    --no-binary zeroc-ice --wheel-dir "$scratch/built" "zeroc-ice==$version"

# Python 3.12 dropped the module imp; Ice.py wants one line of it.
"$scratch/venv/bin/python" -m wheel unpack --dest "$scratch" "$scratch"/built/*.whl
sed -i -e 's/^import sys, string, imp, os/import sys, string, types, os/' \
    -e 's/imp\.new_module(/types.ModuleType(/' "$scratch/zeroc_ice-$version/Ice.py"
"$scratch/venv/bin/python" -m wheel pack --dest-dir "$wheels" "$scratch/zeroc_ice-$version"
