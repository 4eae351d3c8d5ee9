#!/usr/bin/env bash
# queue.sh, run by root: sets the kernel's limit of queued inotify events to the
# numbers it reads, one a line, and back to what it was at the word `restore`
# and at the end of its input, however that comes.  It only ever lowers.
set -euo pipefail
limit=/proc/sys/fs/inotify/max_queued_events
before=$(cat "$limit")
trap '' INT TERM HUP # its input ends with whoever asked
trap 'echo "$before" >"$limit"' EXIT

while read -r word; do
    case $word in
        restore) echo "$before" >"$limit" ;;
        '' | *[!0-9]*) ;;
        *) [ "$word" -gt "$before" ] || echo "$word" >"$limit" ;;
    esac
done
