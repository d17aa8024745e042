#!/bin/sh
# What the project needs from the system, in one place.
#
#   tools/system.sh python          print a Python >= 3.11 that can build the package
#   tools/system.sh install GROUP   install the Debian packages of a group below, where we may
#
# Installing needs root or `sudo -n`; SYSTEM_PACKAGES=no forbids it. `python` fails with one line that
# says what to do; `install` only says what is missing, and what will be skipped without it.
set -u

# group: packages of Debian 12 (what is skipped without them)
packages() {
    case $1 in
    build) echo gcc libc6-dev python3 python3-venv python3-dev ;;
    test) # PortAudio and two software devices for the live tests; making the demo's voices again,
        # the manual page
        echo libportaudio2 libasound2-dev jackd2 espeak-ng groff-base ;;
    bench) echo libkissfft-dev libebur128-1 ;; # the peers of the FFT and of the meter
    browser) echo chromium fonts-noto-cjk ;; # the report is opened, in Chinese too
    video) echo libgl1 libglib2.0-0 ;; # OpenCV, which the face tracker brings along
    training) echo g++ ;; # recurrent layers that train fast
    ci) echo git make ;;
    *) echo "tools/system.sh: no package group '$1'" >&2 && return 2 ;;
    esac
}

say() { echo "$*" >&2; }

# Print those of the named Debian packages that are not installed.
missing() {
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
        [ "$state" = installed ] || echo "$package"
    done
}

# Print the prefix that lets us install packages; fail where we may not.
root_prefix() {
    [ "${SYSTEM_PACKAGES:-yes}" != no ] && command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && echo "sudo -n"
}

# Install the named packages; the lists are fetched only when the ones at hand do not do.
apt_install() {
    as_root=$(root_prefix) || return 1
    say "installing the Debian packages $*"
    get="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq"
    { $get install -y --no-install-recommends "$@" || {
        $get update && $get install -y --no-install-recommends "$@"
    }; } </dev/null >/dev/null 2>&1
}

install_group() {
    wanted=$(packages "$1") || exit 2
    command -v dpkg-query >/dev/null || return 0 # not Debian: each test looks for itself
    absent=$(missing $wanted)
    if [ -z "$absent" ] || apt_install $absent; then return 0; fi
    say "not installed, so what needs it is skipped:" $absent "(as root: apt-get install" $absent")"
}

# Say what keeps a Python from building the package; nothing when it can.
lacks() {
    "$1" - <<'END' 2>/dev/null || echo "Python >= 3.11"
import importlib.util, os, sys, sysconfig
if sys.version_info < (3, 11):
    sys.exit(1)
if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
    print("venv (Debian: python3-venv)")
elif not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print("Python.h (Debian: python3-dev)")
END
}

# Print the newest Python that lacks nothing; else fail, and leave the best reason in $reason.
find_python() {
    reason="Python >= 3.11${PYTHON:+ (PYTHON=$PYTHON is not)}"
    for name in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        python=$(command -v "$name") || continue
        what=$(lacks "$python")
        if [ -z "$what" ]; then echo "$python" && return 0; fi
        [ "$what" = "Python >= 3.11" ] || reason="$what for $python"
    done
    return 1
}

# CMake takes CC, or finds cc or gcc by itself. Debian's gcc alone cannot link: it needs libc6-dev.
compiler() {
    for name in "${CC:-cc}" gcc; do
        echo 'int main(void) { return 0; }' | "$name" -x c -o /dev/null - 2>/dev/null && return 0
    done
    return 1
}

python_for_build() {
    if compiler && find_python; then return 0; fi
    absent=$(missing $(packages build))
    [ -n "$absent" ] && apt_install $absent && compiler && find_python && return 0
    compiler || reason="a C compiler that can link"
    say "missing: $reason. On Debian or Ubuntu, as root: apt-get install $(packages build)"
    return 1
}

case ${1:-} in
python) python_for_build ;;
install) install_group "${2:?which group?}" ;;
*) say "usage: tools/system.sh python | install GROUP" && exit 2 ;;
esac
