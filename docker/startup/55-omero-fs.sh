#!/bin/bash
# FSServer and DropBox into the grid, before each start of OMERO in its image.
#
# The image's entry point runs this after 50-config.py, which sets the properties, and before
# 99-run.sh, which starts OMERO.  A second run changes nothing.  A new image has OMERO's own
# templates again, and this puts ours back.
#
# OMERO starts also when something is wrong here, for it has other users than DropBox: one line
# says what.  With OMERO_FS_REQUIRED=true the container ends instead.

set -u

: "${OMERODIR:=/opt/omero/server/OMERO.server}"
export OMERODIR

wrong() {
    echo "omero-fs: $1" >&2
    if [ "${OMERO_FS_REQUIRED:-false}" = true ]; then
        exit 1
    fi
}

if ! told=$(omero fs install 2>&1); then
    wrong "FSServer and DropBox are not in the grid: ${told##*$'\n'}"
    exit 0
fi
echo "$told"

# What would keep files from being imported.  That nothing runs yet is no error.
if ! told=$(omero fs check --fail-on error 2>&1); then
    wrong "$(grep -m 1 '^error' <<< "$told" || echo "${told##*$'\n'}") (all of it: omero fs check)"
fi
exit 0
