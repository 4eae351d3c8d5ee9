#!/usr/bin/env bash
# run.sh COMMAND...: in the virtual environment that setup.sh made, as the user
# who may run `omero`, in the checkout (for root: in its copy).
# shellcheck source=tools/place.sh
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"

[ -x "$venv/bin/python" ] || die "there is no virtual environment yet: make venv"

if [ "$root" = yes ] && [ -d "${OMERO_FS_TEST_TEMPLATES:-}" ]; then
    # As little readable as the checkout; a few files.
    as_user mkdir -p "$place/omero-templates"
    tar -C "$OMERO_FS_TEST_TEMPLATES" --mode=u+rwX,go+rX --create . \
        | as_user tar --directory "$place/omero-templates" --extract --no-same-permissions
    export OMERO_FS_TEST_TEMPLATES=$place/omero-templates
fi

if [ "$root" = yes ] && [ -e /dev/fuse ] && ! as_user test -r /dev/fuse -a -w /dev/fuse; then
    # Most systems let everybody open it; here only root may.  The same device, for the tests.
    if [ ! -e "$place/fuse" ]; then
        mknod --mode=600 "$place/fuse" c "0x$(stat -c %t /dev/fuse)" "0x$(stat -c %T /dev/fuse)"
        chown "$user" "$place/fuse"
    fi
    export OMERO_FS_TEST_FUSE=$place/fuse
fi

cd "$tree"
as_user "$@"
