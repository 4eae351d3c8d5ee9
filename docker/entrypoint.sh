#!/bin/bash
# The entry point of the image: as OMERO's own, but a stop of the container stops the grid in order.
#
# It runs each executable of /startup in the order of the names; the last of them becomes OMERO.
# With OMERO's own entry point, SIGTERM ends the script that waits for OMERO, the container ends with
# it, and all servers are killed in the middle of their work.  Here SIGTERM asks the grid to stop,
# and the container ends when it has.  Docker waits ten seconds by default, and `omero admin stop` takes
# some of them to start: so the node, which stops all servers, gets the signal itself.
#
# Docker starts it below `dumb-init --single-child`, so that only this script gets the signal.

set -e

: "${OMERO_VENV:=/opt/omero/server/venv3}"
: "${OMERO_STARTUP:=/startup}"
source "$OMERO_VENV/bin/activate"

running= # the script that becomes OMERO, once it does
stopped=

# The icegridnode that the process $1 has started, itself or by others.
node_below() {
    local child children
    if [ "$(cat "/proc/$1/comm" 2> /dev/null)" = icegridnode ]; then
        echo "$1"
        return 0 # in a trap, a bare `return` gives what the trap has interrupted
    fi
    children=$(cat "/proc/$1/task/"*/children 2> /dev/null) || true
    for child in $children; do
        node_below "$child" || true
    done
    return 0
}

runs() {
    kill -0 "$1" 2> /dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2> /dev/null
}

stop() {
    stopped=true
    if [ -n "$running" ]; then
        echo "Stopping OMERO"
        node=$(node_below "$running") || true
        node=${node%%$'\n'*}
        if [ -n "$node" ] && kill -TERM "$node"; then
            while runs "$node"; do
                sleep 0.1
            done
        else
            omero admin stop || echo "the grid could not be asked to stop" >&2
        fi
        # `omero admin start --foreground` would now wait for a grid that comes up.
        kill -TERM "$running" 2> /dev/null || true
    fi
}
trap stop TERM INT

# The exit code of a child.  `wait` gives more than 128 when a signal has come, and the child may
# still run then.
end_of() {
    local code=0
    wait "$1" || code=$?
    while [ "$code" -gt 128 ] && kill -0 "$1" 2> /dev/null; do
        code=0
        wait "$1" || code=$?
    done
    return "$code"
}

scripts=()
for script in "$OMERO_STARTUP"/*; do
    if [ -f "$script" ] && [ -x "$script" ]; then
        scripts+=("$script")
    fi
done

for script in "${scripts[@]}"; do
    echo "Running $script"
    "$script" "$@" &
    if [ "$script" = "${scripts[-1]}" ]; then
        running=$!
    fi
    code=0
    end_of $! || code=$?
    if [ -n "$stopped" ]; then
        exit 0
    elif [ "$code" -ne 0 ]; then
        exit "$code"
    fi
done
