#!/usr/bin/env bash
# bench.sh MODULE [ARGUMENT...]: benchmarks, in the virtual environment that
# setup.sh made, as the user who may run `omero`.  MODULE is `benchmarks`,
# one of its packages; for the first one it makes one more environment, with the released
# omero-dropbox, for nothing but to be measured beside.
# shellcheck source=tools/place.sh
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"
tools=$checkout/tools
module=$1
shift

# The FILE of --output is where the caller's shell has it, also if the benchmark runs in a copy.
output=
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --output=?*) output=${1#--output=} ;;
        --output)
            if [ -n "${2-}" ]; then
                output=$2
                shift
            else
                arguments+=("$1") # the benchmark says what is wrong with it
            fi
            ;;
        *) arguments+=("$1") ;;
    esac
    shift
done
set -- "${arguments[@]}"
case $output in
    '' | /*) ;;
    *) output=$PWD/$output ;;
esac

# Before the environment of the rival is made and anything is measured.
no_output() { printf 'bench: --output: %s\n' "$*" >&2; exit 2; }
if [ -n "$output" ]; then
    [ -d "$(dirname "$output")" ] || no_output "$(dirname "$output") is no directory"
    [ ! -d "$output" ] || no_output "$output is a directory"
    if [ -e "$output" ]; then
        [ -w "$output" ] || no_output "$output may not be written"
    else
        [ -w "$(dirname "$output")" ] || no_output "$output may not be written"
    fi
fi

# run RESULTS COMMAND...: for root the tables are written where omero-server may,
# and fetched.
run() {
    local results=$1 before status=0 apart=
    shift
    cd "$tree"
    before=$(sha256sum "$results" 2>/dev/null || true)
    if [ -n "$output" ] && [ "$root" = yes ]; then
        apart=$(as_user mktemp -d "$place/output-XXXXXX")
        set -- "$@" --output "$apart/tables"
    elif [ -n "$output" ]; then
        set -- "$@" --output "$output"
    fi
    as_user "$@" || status=$?
    if [ -n "$apart" ]; then
        [ ! -e "$apart/tables" ] || cat "$apart/tables" >"$output"
        rm -rf -- "$apart"
    fi
    if [ "$root" = yes ] && [ "$(sha256sum "$results" 2>/dev/null || true)" != "$before" ]; then
        cat "$tree/$results" >"$checkout/$results"
    fi
    exit "$status"
}

# The commit to measure beside: --beside of the arguments, else the one that sides.py has.  Its files
# are put where omero-server may read them, because only the checkout has the repository.
unpack_beside() {
    local word last='' commit hash at=$place/beside
    commit=$(sed -n 's/^BEFORE = "\([0-9a-f]*\)".*/\1/p' "$checkout/benchmarks/isolation/sides.py")
    for word in "$@"; do
        case $last=$word in
            --beside=*) commit=$word ;;
            *=--beside=*) commit=${word#--beside=} ;;
        esac
        last=$word
    done
    local git=(git -C "$checkout" -c safe.directory="$checkout")
    hash=$("${git[@]}" rev-parse --quiet --verify "$commit^{commit}") \
        || die "there is no commit $commit here: fetch it, or name another with --beside"
    tree_beside=$at/$hash
    [ ! -e "$tree_beside" ] || return 0
    as_user rm -rf -- "$at"
    as_user mkdir -p "$at/unpacked"
    "${git[@]}" archive "$hash" | (cd / && as_user tar --directory "$at/unpacked" --extract)
    as_user mv "$at/unpacked" "$tree_beside" # only a whole one has this name
}

# What a file told alone cost before FSServer told it at once; unpacked where omero-server may read.
told_later=1df631f
earlier=()
unpack_earlier() {
    local hash before git=(git -C "$checkout" -c safe.directory="$checkout")
    hash=$("${git[@]}" rev-parse --quiet --verify "$told_later^{commit}" 2>/dev/null) || return 0
    before=$place/before/$hash
    if [ ! -e "$before" ]; then
        as_user rm -rf -- "$place/before"
        as_user mkdir -p "$place/before/unpacked"
        "${git[@]}" archive "$hash" | (cd / && as_user tar --directory "$place/before/unpacked" --extract)
        as_user mv "$place/before/unpacked" "$before"
    fi
    earlier=(--before "$before")
}

case $module in
    benchmarks.isolation)
        unpack_beside "$@"
        run benchmarks/RESULTS-isolation.rst python -m "$module" --tree "$tree_beside" "$@"
        ;;
    benchmarks.fsserver)
        unpack_earlier
        run benchmarks/RESULTS-fsserver.rst python -m "$module" "${earlier[@]}" "$@"
        ;;
    tests.*) run "benchmarks/RESULTS-${module##*.}.rst" python -m "$module" "$@" ;;
    benchmarks.*) run "benchmarks/RESULTS-${module#benchmarks.}.rst" python -m "$module" "$@" ;;
esac

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

unpack_earlier
run benchmarks/RESULTS.rst "${helper[@]}" python -m "$module" \
    --dropbox-python "$rival/bin/python" "${earlier[@]}" "$@"
