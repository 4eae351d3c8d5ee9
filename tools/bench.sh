#!/usr/bin/env bash
# bench.sh [ARGUMENT...]: the benchmarks, in the virtual environment that
# setup.sh made, as the user who may run `omero`.  Makes one more environment,
# with the released omero-dropbox, for nothing but to be measured beside.
# shellcheck source=tools/place.sh
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"
tools=$checkout/tools

dropbox=omero-dropbox==5.7.0
rival=$venv/bench # goes when the environment goes
queue=/proc/sys/fs/inotify/max_queued_events

if [ ! -e "$rival/$dropbox" ]; then
    say "installing $dropbox, to measure beside"
    (
        cd /
        as_user "$python" -m venv --clear "$rival"
        as_user "$rival/bin/python" -m pip install --quiet --find-links "$wheels" "$dropbox"
        as_user touch "$rival/$dropbox"
    )
fi

# The limit of the kernel's queue is root's to lower; the helper ends with us.
helper=()
if [ "$root" = yes ] && (cat "$queue" >"$queue") 2>/dev/null; then
    exec {lower}> >("$tools/queue.sh")
    helper=(env "OMERO_FS_BENCH_QUEUE=$lower")
fi

# For root the tables are written where omero-server may, and fetched.
fetched=benchmarks/RESULTS.rst
cd "$tree"
before=$(sha256sum "$fetched" 2>/dev/null || true)
status=0
as_user "${helper[@]}" python -m benchmarks --dropbox-python "$rival/bin/python" "$@" || status=$?
if [ "$root" = yes ] && [ "$(sha256sum "$fetched" 2>/dev/null || true)" != "$before" ]; then
    cat "$tree/$fetched" >"$checkout/$fetched"
fi
exit "$status"
