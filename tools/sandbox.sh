#!/usr/bin/env bash
# sandbox.sh DIR [ARGUMENT...]: `omero fs sandbox create DIR`, as the user who may
# run `omero`; for root, DIR is made first and given to that user.
# shellcheck source=tools/place.sh
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"

[ -n "${1:-}" ] || die "where to? make sandbox DIR=/path"
dir=$(realpath -m -- "$1")
shift

made=no
if [ "$root" = yes ]; then
    above=$(dirname "$dir")
    while [ ! -e "$above" ]; do above=$(dirname "$above"); done
    (cd / && as_user test -x "$above") \
        || die "$user, as whom the sandbox runs, may not enter $above: choose another DIR"
    if [ ! -e "$dir" ]; then
        mkdir -p -- "$dir"
        chown "$user": -- "$dir"
        made=yes
    fi
fi

cd "$tree"
status=0
as_user omero fs sandbox create "$dir" "$@" || status=$?
if [ "$status" != 0 ]; then
    [ "$made" = no ] || rmdir --ignore-fail-on-non-empty -- "$dir"
    exit "$status"
fi
# setup.sh keeps what the sandbox runs on for as long as it is there.
printf '%s\n' "$dir" | as_user tee -a "$place/sandboxes" >/dev/null
