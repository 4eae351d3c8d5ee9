#!/usr/bin/env bash
# Builds a wheel of zeroc-ice from its source: build.sh PYTHON VERSION DIRECTORY
#
# Some eight minutes of CPU, on all cores.  IcePy 3.6 is older than Python 3.11; what it
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

# The source is one extension of 150 files, and setuptools compiles these one after the other.
site=$("$scratch/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp "$here/all_cores.py" "$site/all_cores.py"
echo 'import all_cores' >"$site/zz_all_cores.pth" # after that of setuptools

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
