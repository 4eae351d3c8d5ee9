# Where things lie and as whom they run; the other scripts source it.
#
# `omero` refuses to run as root.  For an ordinary user everything happens in
# the checkout.  For root everything happens as the system user omero-server,
# in a place of its own, for the checkout may lie where only root may enter:
#
#     <home>/omero-fs-plugin/wheels            built or found once a machine
#     <home>/omero-fs-plugin/<key>/checkout    what the checkout holds, copied by setup.sh
#     <home>/omero-fs-plugin/<key>/venv        .venv of the checkout links to it
#
# shellcheck shell=bash disable=SC2034  # the sourcing scripts use these
set -euo pipefail
umask 022

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
python=${PYTHON:-/usr/bin/python3}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'omero-fs-plugin: %s\n' "$*" >&2; exit 1; }

if [ "$(id -u)" = 0 ]; then
    root=yes
    user=omero-server
    if ! id "$user" >/dev/null 2>&1; then
        say "making the system user $user, for omero refuses to run as root"
        useradd --system --user-group --create-home --home-dir "/var/lib/$user" \
            --shell /bin/bash "$user"
    fi
else
    root=no
    user=$(id -un)
fi
home=$(getent passwd "$user" | cut -d: -f6)
[ "$root" = yes ] || home=${HOME:-$home}
[ -d "$home" ] || die "the home directory of $user, '$home', does not exist: make it, owned by $user"

if [ "$root" = yes ]; then
    base=$home/omero-fs-plugin
    place=$base/$(printf '%s' "$checkout" | sha1sum | cut -c1-12)
    tree=$place/checkout
    venv=$place/venv
else
    base=${XDG_CACHE_HOME:-$home/.cache}/omero-fs-plugin
    place=$base
    tree=$checkout
    venv=$checkout/.venv
fi
wheels=$base/wheels

# Nothing of another OMERO or Python that happens to be set here comes along.
unset=(
    -u OMERODIR -u OMERO_HOME -u OMERO_USERDIR -u OMERO_SESSIONDIR -u OMERO_TMPDIR
    -u ICE_CONFIG -u PYTHONPATH -u PYTHONHOME -u VIRTUAL_ENV
    # Hundreds of interpreters load the same modules: none compiles what another has compiled.
    -u PYTHONDONTWRITEBYTECODE
)
path=$PATH
if [ "$root" = yes ]; then
    # What root may write, omero-server may not.
    unset+=(-u TMPDIR -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_RUNTIME_DIR -u PIP_CACHE_DIR)
    path=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
fi
environment=(
    "${unset[@]}" "HOME=$home" "USER=$user" "LOGNAME=$user" "PATH=$venv/bin:$path"
    "OMERO_FS_WHEELS=$wheels" "OMERO_FS_TEST_ANSIBLE=$base/ansible" PIP_DISABLE_PIP_VERSION_CHECK=1
)

# as_user COMMAND...: in the current directory, as the user things run as.
# runuser passes the environment on, as sudo would not: PIP_*, OMERO_*, CI.
as_user() {
    if [ "$root" = yes ]; then
        runuser -u "$user" -- env "${environment[@]}" "$@"
    else
        env "${environment[@]}" "$@"
    fi
}
