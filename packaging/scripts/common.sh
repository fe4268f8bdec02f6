# What all maintainer scripts share; `cargo xtask package` puts it in front of each of them.
#
# They run under dpkg and under opkg, in dash and in busybox's shell, on the box and on the machine that makes its image.
# None of them fails: a box that lacks something gets the package, and is told what is missing.

# The image being made; empty on the box itself. Each package manager has a name of its own for it.
ROOT=${DPKG_ROOT:-${IPKG_INSTROOT:-${OPKG_OFFLINE_ROOT:-${IPKG_OFFLINE_ROOT:-${PKG_ROOT:-}}}}}
ROOT=${ROOT%/}
NAME=stbeacon
ACTION=${1:-}

say() {
    echo "stbeacon: $*" >&2
}

has() {
    command -v "$1" > /dev/null 2>&1
}

# On the box itself, not in an image being made elsewhere.
on_the_box() {
    [ -z "$ROOT" ]
}

# dpkg tells its scripts what they are.
from_dpkg() {
    [ -n "${DPKG_MAINTSCRIPT_NAME:-}" ]
}

systemd_runs() {
    on_the_box && [ -d /run/systemd/system ]
}

systemd_is_there() {
    [ -e "$ROOT/lib/systemd/systemd" ] || [ -e "$ROOT/usr/lib/systemd/systemd" ]
}

# A directory where something can be made: neither read-only nor full.
writable() {
    mkdir -p "$1" 2> /dev/null || return 1
    probe=$1/.stbeacon.$$
    if ( echo probe > "$probe" ) 2> /dev/null; then
        rm -f "$probe"
        return 0
    fi
    rm -f "$probe" 2> /dev/null
    return 1
}

# Makes a symbolic link, and says so where it cannot.
link() {
    if ! { mkdir -p "${2%/*}" && ln -sf "$1" "$2"; } 2> /dev/null; then
        say "could not make the link $2 to $1: is ${2%/*} read-only or full? Make it in the image."
    fi
}
