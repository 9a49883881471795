#!/bin/sh
# Installs what is missing: Debian packages, the Python environment, the front-end packages.
# Usage: deploy/setup.sh [--test] [--lab]. What is there already is left alone; a second run takes a fraction of a second.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
with_tests=
with_lab=
for option in "$@"; do
    case $option in
        --test) with_tests=yes with_lab=yes ;;
        --lab) with_lab=yes ;;
        *) echo "setup.sh: unknown option $option" >&2; exit 2 ;;
    esac
done
export DEBIAN_FRONTEND=noninteractive

main() {
    install_packages
    install_node
    join_libvirt_group
    install_python_packages
    install_front_end_packages
}

say() { printf '%s\n' "· $*"; }

fail() { printf '%s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo DEBIAN_FRONTEND=noninteractive "$@"
    else
        fail "This step needs root, and sudo is not installed: $*
Run it as root once, or install sudo and allow $(id -un) to use it."
    fi
}

# --- Debian packages

install_packages() {
    lists=$here/deploy/apt-packages.txt
    if [ -n "$with_tests" ]; then lists="$lists $here/deploy/apt-packages-test.txt"; fi
    if [ -n "$with_lab" ] && [ -f "$here/deploy/lab/apt-packages.txt" ]; then
        lists="$lists $here/deploy/lab/apt-packages.txt"
    fi
    # shellcheck disable=SC2046,SC2086 - words are meant
    install_missing $(sed 's/#.*//' $lists)
}

install_missing() {
    # shellcheck disable=SC2016 - dpkg's own variables
    installed=" $(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null | sed -n 's/^.i *//p' | tr '\n' ' ')"
    missing=
    for package in "$@"; do
        case $installed in
            *" $package "*) ;;
            *) missing="$missing $package" ;;
        esac
    done
    if [ -z "$missing" ]; then return; fi
    command -v apt-get >/dev/null || fail "These packages are missing, and this is not Debian: install their like by hand:$missing"
    say "Installing Debian packages:$missing"
    services_before=$(known_services)
    lists_are_fresh || update_lists
    # shellcheck disable=SC2086
    if ! apt_install $missing; then
        update_lists
        apt_install $missing || fail "apt-get could not install:$missing"
    fi
    stop_new_services "$services_before"
}

lists_are_fresh() {
    [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mmin -1440 2>/dev/null | head -n 1)" ]
}

update_lists() {
    as_root apt-get -q -q -o DPkg::Lock::Timeout=300 update ||
        say "apt-get update reported errors; going on with the lists there are"
}

apt_install() {
    log=$(mktemp)
    if as_root apt-get -q -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
        install --no-install-recommends "$@" </dev/null >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

# vmportal runs its own Redis and nginx: a service that came with a package just now must not stay up on a public port.
known_services() {
    for service in nginx redis-server postgresql ssh dnsmasq; do
        if [ -e "/lib/systemd/system/$service.service" ] || [ -e "/etc/init.d/$service" ]; then printf '%s ' "$service"; fi
    done
}

stop_new_services() {
    for service in $(known_services); do
        case " $1 " in
            *" $service "*) ;;
            *) stop_service "$service" >/dev/null 2>&1 || say "could not stop the new service $service" ;;
        esac
    done
}

stop_service() {
    if [ -d /run/systemd/system ]; then
        as_root systemctl -q disable --now "$1"
    else
        as_root service "$1" stop
        as_root update-rc.d "$1" disable
    fi
}

# --- Node.js, for npm and for making deploy/bundles/ into modules: nothing of it runs later

install_node() {
    if node_is_recent && command -v npm >/dev/null; then return; fi
    install_missing nodejs npm
    node_is_recent || fail "Node.js $(node --version 2>/dev/null) is too old: version 18 or newer is needed."
}

node_is_recent() {
    version=$(node --version 2>/dev/null) || return 1
    major=${version#v}
    [ "${major%%.*}" -ge 18 ]
}

# --- the right to use this machine's libvirt

join_libvirt_group() {
    if [ "$(id -u)" -eq 0 ]; then return; fi
    case " $(id -nG "$(id -un)") " in
        *" libvirt "*) return ;;
    esac
    say "Adding $(id -un) to the group libvirt"
    as_root usermod --append --groups libvirt "$(id -un)"
}

# --- Python

install_python_packages() {
    lock=requirements.txt
    if [ -n "$with_tests" ]; then lock=requirements-test.txt; fi
    stamp=$here/.venv/.installed-$lock
    wanted=$(sha256sum <"$here/$lock")
    if [ -x "$here/.venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$here/.venv/bin/python" -c ''; then
        return
    fi
    if ! "$here/.venv/bin/python" -c 'import pip' 2>/dev/null; then make_environment; fi
    say "Installing Python packages from $lock"
    "$here/.venv/bin/python" -m pip install -q -q --disable-pip-version-check --no-input --require-hashes -r "$here/$lock"
    printf '%s' "$wanted" >"$stamp"
}

make_environment() {
    python=$(find_python) || fail "No Python of version 3.11 or newer was found. Set PYTHON to one."
    say "Making .venv with $python ($("$python" --version))"
    "$python" -m venv --clear "$here/.venv"
}

find_python() {
    for candidate in ${PYTHON:-/usr/bin/python3 python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    return 1
}

# --- front-end files

install_front_end_packages() {
    stamp=$here/node_modules/.installed
    wanted=$(cat "$here/package-lock.json" "$here/package.json" "$here"/deploy/bundles/* | sha256sum)
    case "$(cat "$stamp" 2>/dev/null)" in
        "$wanted with tests") return ;;
        "$wanted") if [ -z "$with_tests" ]; then return; fi ;;
    esac
    say "Installing front-end packages from package-lock.json"
    omit=--omit=dev
    if [ -n "$with_tests" ]; then omit=--include=dev wanted="$wanted with tests"; fi
    (cd "$here" && npm ci "$omit" --no-audit --no-fund --loglevel=error)
    printf '%s' "$wanted" >"$stamp"
}

main
