#!/usr/bin/env bash
# Removes what the other scripts and the tools made of this checkout.  The
# zeroc-ice wheel stays, for it took minutes; so do the Debian packages.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
if [ "$(id -u)" != 0 ] || id omero-server >/dev/null 2>&1; then
    # shellcheck source=tools/place.sh
    . "$here/place.sh"
    if [ "$root" = yes ]; then
        (cd / && as_user rm -rf -- "$place")
    fi
fi
cd "$here/.."
rm -rf .venv build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
find . -name __pycache__ -type d -prune -exec rm -rf {} +
