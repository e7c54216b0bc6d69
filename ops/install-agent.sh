#!/bin/sh
# Makes this machine (Linux, or WSL2 in Windows) a worker of a Tessera. Every control plane hands it out:
#
#     curl -fsS https://tessera.example/install/agent.sh | TESSERA_AGENT_TOKEN=tse_… sh
#
# It brings the agent of that control plane into an environment of its own, every file checked by its hash; trades the
# token for a credential; and has the agent start by itself. Doing it again repairs and changes nothing that is right.
# Root is needed for nothing but what is missing of the system (packages, the GPU for containers); then it asks sudo.

set -eu

url=''
authority=''
# (the control plane fills in its address here)

usage() {
    cat <<'END'
Usage: sh install-agent.sh [OPTION...]      or      curl … | sh -s -- [OPTION...]

The enrolment token comes by the environment, as TESSERA_AGENT_TOKEN, or is asked for; never as an argument.

  --url ADDRESS      of the control plane (the script that it hands out knows it)
  --name NAME        how the operator sees this machine (default: its host name)
  --replace          forget an earlier enrolment
  --plain-http       also over http to another machine, unprotected
  --comfyui          ComfyUI in a container of Podman, with the GPU in it, proved by nvidia-smi
  --models FOLDER    with --comfyui: where its model files are (default: ~/models)
  --system           for the whole machine, as a user of its own (needs root): for one that does nothing else
  --no-service       do not have the agent start by itself
  --prefix FOLDER    where the agent goes (default: ~/.local/lib/tessera-agent)
  --dry-run          print every step and do none
  --uninstall        take the agent away; credential, settings and pictures stay
  --purge            with --uninstall: those, too
  --help

Settings of the agent are kept in ~/.config/tessera-agent.toml, everything else in ~/.local/share/tessera-agent; with
--system in /etc/tessera/agent.toml and /var/lib/tessera-agent, and the agent itself in /opt/tessera-agent.
END
}

say() { printf '%s\n' "$*"; }

die() {
    printf 'install-agent: %s\n' "$*" >&2
    exit 1
}

# Prints a command and runs it, unless only told to print.
step() {
    say "+ $*"
    [ "$dry" = yes ] || "$@"
}

# The same as root, by sudo where we are not.
root_step() {
    if [ "$(id -u)" = 0 ]; then
        step "$@"
    elif [ "$dry" = yes ] || command -v sudo >/dev/null 2>&1; then
        step sudo "$@"
    else
        die "This needs root, and there is no sudo: $*"
    fi
}

# Packages of Debian or Ubuntu, which WSL2 has as well.
need_packages() {
    command -v apt-get >/dev/null 2>&1 || die "Install with your system's own means, then come again: $*"
    root_step apt-get update --quiet=2
    root_step env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 "$@"
}

find_python() {
    for python in python3.13 python3.12 python3.11 python3.14 python3; do
        if command -v "$python" >/dev/null 2>&1 &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$(command -v "$python")
            return
        fi
    done
    die 'Python 3.11 or newer is needed. Debian 12, Ubuntu 24.04: sudo apt install python3 python3-venv'
}

# Python has TLS everywhere, and the agent needs it anyway. A third word: whom to trust, other than the control plane.
fetch() {
    AUTHORITY=${3-$authority} "$python" -I -c '
import os, ssl, sys, urllib.request
trust = ssl.create_default_context(cadata=os.environ["AUTHORITY"] or None)
try:
    with urllib.request.urlopen(sys.argv[1], timeout=60, context=trust) as answer, open(sys.argv[2], "wb") as out:
        out.write(answer.read())
except OSError as error:
    sys.exit(f"install-agent: {sys.argv[1]} could not be fetched ({error}). Is the address right, and reachable?")
' "$1" "$2"
}

# One word of what the control plane says about its agent; nothing in it could lead out of a folder.
told() {
    "$python" -I -c '
import json, re, sys
word = json.load(open(sys.argv[1]))[sys.argv[2]]
sys.exit("install-agent: the control plane tells nonsense") if not re.fullmatch(r"[A-Za-z0-9_.+-]{1,200}", word) else print(word)
' "$work/agent.json" "$1"
}

check_hash() {
    "$python" -I -c '
import hashlib, sys
if hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest() != sys.argv[2]:
    sys.exit(f"install-agent: {sys.argv[1]} is not what the control plane announced. Nothing was installed.")
' "$1" "$2"
}

# An environment beside those that are there already, and the link to it.
install_agent() {
    fetch "$url/install/agent.json" "$work/agent.json"
    version=$(told version)
    wheel=$(told wheel)
    environment=$prefix/$version
    if [ -e "$environment/installed" ]; then
        say "The agent $version is here already, in $environment."
    else
        make_environment
    fi
    step ln -sfn "$version" "$prefix/current"
    step mkdir -p "$bin"
    if [ "$system" = yes ]; then
        step make_user
        step write_command "$bin/tessera-agent"
        [ -e "$settings" ] || step write "$settings" "# Settings of the agent. After a change: sudo systemctl restart tessera-agent"
    else
        step ln -sfn "$prefix/current/bin/tessera-agent" "$bin/tessera-agent"
    fi
}

# The user that the system's unit runs as; graphics cards belong to the groups of desktops.
make_user() {
    getent passwd tessera-agent >/dev/null ||
        useradd --system --user-group --home-dir "$state" --shell /usr/sbin/nologin tessera-agent
    for group in video render; do
        ! getent group "$group" >/dev/null || usermod --append --groups "$group" tessera-agent
    done
    install -d -m 0700 -o tessera-agent -g tessera-agent "$state"
}

# What is typed there: as the agent's user, with the operator's right to the files that are named. Only what changes the
# agent itself is done by root.
write_command() {
    cat >"$1" <<END
#!/bin/sh
# Written by the agent's installer. The agent's verbs, as the user of the service: sudo tessera-agent …
if [ "\$(id -u)" != 0 ]; then exec sudo "\$0" "\$@"; fi
export TESSERA_AGENT_CONFIG=$settings TESSERA_AGENT_DIR=$state HOME=$state
case \${1:-} in update | install-service) exec $prefix/current/bin/tessera-agent "\$@" ;; esac
exec setpriv --reuid=tessera-agent --regid=tessera-agent --init-groups --securebits=+no_setuid_fixup --no-new-privs \\
    --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override -- $prefix/current/bin/tessera-agent "\$@"
END
    chmod 0755 "$1"
}

make_environment() {
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        need_packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    step rm -rf "$environment"
    step mkdir -p "$environment/download"
    step fetch "$url/install/requirements.txt" "$environment/download/requirements.txt"
    step fetch "$url/install/$wheel" "$environment/download/$wheel"
    step check_hash "$environment/download/requirements.txt" "$(told requirements_sha256)"
    step check_hash "$environment/download/$wheel" "$(told wheel_sha256)"
    step write "$environment/download/agent.txt" "$environment/download/$wheel --hash=sha256:$(told wheel_sha256)"
    step "$python" -m venv "$environment"
    step env -u PIP_USER -u PIP_TARGET -u PIP_PREFIX -u PYTHONPATH -u PYTHONHOME \
        "$environment/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
        --require-hashes --no-deps --only-binary :all: \
        -r "$environment/download/requirements.txt" -r "$environment/download/agent.txt"
    step touch "$environment/installed"
}

write() {
    mkdir -p "$(dirname "$1")"
    printf '%s\n' "$2" >"$1"
}

agent() { if [ "$system" = yes ]; then "$bin/tessera-agent" "$@"; else "$prefix/current/bin/tessera-agent" "$@"; fi; }

# The token goes to the agent by its input.
enroll() {
    if [ -e "$state/credential.json" ] && [ "$replace" = no ]; then
        say "This machine is enrolled already (--replace with a new token enrols it anew)."
        return
    fi
    if [ -z "$token" ] && [ "$dry" = no ]; then
        [ -r /dev/tty ] || die 'A token is needed, from the operator: … | TESSERA_AGENT_TOKEN=tse_… sh'
        printf 'Enrolment token, from the operator: ' >/dev/tty
        IFS= read -r token </dev/tty || die 'A token is needed.'
    fi
    set -- enroll "$url" -
    [ -z "$name" ] || set -- "$@" --name "$name"
    [ "$replace" = no ] || set -- "$@" --replace
    [ "$plain_http" = no ] || set -- "$@" --plain-http
    say "+ tessera-agent $*"
    [ "$dry" = yes ] || printf '%s\n' "$token" | agent "$@"
}

# ComfyUI in a container: Podman, the GPU for it by CDI, an image, and the proof that the GPU is seen in there.
install_comfyui() {
    command -v podman >/dev/null 2>&1 || need_packages podman
    command -v nvidia-smi >/dev/null 2>&1 || [ "$dry" = yes ] ||
        die 'nvidia-smi is not found. In WSL2: update the NVIDIA driver in Windows, then wsl --shutdown. Else install the driver.'
    command -v nvidia-ctk >/dev/null 2>&1 || install_toolkit
    root_step mkdir -p /etc/cdi
    root_step nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml
    podman image exists tessera-comfyui 2>/dev/null || build_image
    step podman run --rm --device nvidia.com/gpu=all --security-opt=label=disable --entrypoint nvidia-smi \
        tessera-comfyui --list-gpus || die 'The container sees no GPU. See: nvidia-ctk cdi list; podman info'
    if [ -e "$settings" ]; then
        say "$settings is left as it is; it should say: comfyui_image = \"tessera-comfyui\""
    else
        step mkdir -p "$models"
        step write "$settings" "engine = \"comfyui\"
comfyui_image = \"tessera-comfyui\"
comfyui_models = \"$models\""
    fi
}

# NVIDIA's own packages (docs.nvidia.com, Installing the NVIDIA Container Toolkit, with apt).
install_toolkit() {
    source=https://nvidia.github.io/libnvidia-container
    key=/usr/share/keyrings/nvidia-container-toolkit-keyring.asc
    step fetch "$source/gpgkey" "$work/nvidia.asc" ''
    root_step install -m 644 "$work/nvidia.asc" "$key"
    step write "$work/nvidia.list" "deb [signed-by=$key] $source/stable/deb/\$(ARCH) /"
    root_step install -m 644 "$work/nvidia.list" /etc/apt/sources.list.d/nvidia-container-toolkit.list
    need_packages nvidia-container-toolkit
}

# From the files that came with the agent; some gigabytes and a quarter of an hour.
build_image() {
    context=$prefix/current/containers
    if [ "$dry" = no ]; then
        context=$("$prefix/current/bin/python" -I -c 'import agent, pathlib; print(pathlib.Path(agent.__file__).parent / "containers")')
    fi
    step podman build --target comfyui -t tessera-comfyui -f "$context/ops/containers/Containerfile" "$context"
}

install_service() {
    if [ -e "$settings" ]; then
        export TESSERA_AGENT_CONFIG="$settings"
    fi
    if [ "$service" = no ]; then
        say 'Start it with: tessera-agent run'
        return
    fi
    set -- install-service
    [ "$system" = no ] || set -- "$@" --system
    say "+ tessera-agent $*"
    [ "$dry" = yes ] || agent "$@" ||
        say 'It does not start by itself yet; see above. To start it now: tessera-agent run'
}

uninstall() {
    if [ -x "$prefix/current/bin/tessera-agent" ]; then
        set -- install-service --remove
        [ "$system" = no ] || set -- "$@" --system
        say "+ tessera-agent $*"
        [ "$dry" = yes ] || agent "$@" || say 'The service could not be removed; see above.'
    fi
    if [ -L "$bin/tessera-agent" ] || [ "$system" = yes ]; then
        step rm -f "$bin/tessera-agent"
    fi
    step rm -rf "$prefix"
    if [ "$purge" = yes ]; then
        step rm -rf "$state"
        step rm -f "$settings"
        if [ "$system" = yes ] && getent passwd tessera-agent >/dev/null; then step userdel tessera-agent; fi
        ! podman image exists tessera-comfyui 2>/dev/null || step podman image rm --force tessera-comfyui
        say 'The operator ends the rights of this machine with: tessera worker revoke NAME'
    else
        say "What is in $state and $settings stays; --purge takes it away, too."
    fi
}

for_system() {
    prefix=/opt/tessera-agent bin=/usr/local/bin
    state=/var/lib/tessera-agent settings=/etc/tessera/agent.toml models=/var/lib/tessera-agent/models
}

# What does not go together.
check() {
    [ "$system" = yes ] || return 0
    [ "$comfyui" = no ] || die '--comfyui goes with a user of your own, whose Podman it uses: leave --system away.'
    [ "$prefix" = /opt/tessera-agent ] || die 'With --system the agent goes into /opt/tessera-agent: leave --prefix away.'
    [ "$dry" = yes ] || [ "$(id -u)" = 0 ] || die '--system needs root: curl … | sudo TESSERA_AGENT_TOKEN=tse_… sh -s -- --system'
}

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            --url | --name | --models | --prefix)
                [ $# -gt 1 ] || die "$1 needs a value. Try --help."
                case $1 in
                    --url) url=$2 ;;
                    --name) name=$2 ;;
                    --models) models=$2 ;;
                    --prefix) prefix=$2 ;;
                esac
                shift
                ;;
            --replace) replace=yes ;;
            --plain-http) plain_http=yes ;;
            --comfyui) comfyui=yes ;;
            --system) system=yes ;;
            --no-service) service=no ;;
            --dry-run) dry=yes ;;
            --uninstall) uninstall=yes ;;
            --purge) purge=yes ;;
            --help)
                usage
                exit 0
                ;;
            *) die "$1 is not understood. Try --help." ;;
        esac
        shift
    done
}

main() {
    name='' replace=no plain_http=no comfyui=no system=no service=yes dry=no uninstall=no purge=no
    token=${TESSERA_AGENT_TOKEN:-}
    unset TESSERA_AGENT_TOKEN
    prefix=$HOME/.local/lib/tessera-agent
    bin=$HOME/.local/bin
    state=${TESSERA_AGENT_DIR:-$HOME/.local/share/tessera-agent}
    settings=${TESSERA_AGENT_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/tessera-agent.toml}
    models=$HOME/models
    # Asked for first, because the other options may change what it sets.
    case " $* " in *' --system '*) for_system ;; esac
    parse "$@"
    check
    if [ "$uninstall" = yes ]; then
        uninstall
        return
    fi
    [ "$(uname -s)" = Linux ] || die 'The agent runs in Linux; in Windows, in WSL2 (wsl --install).'
    [ -n "$url" ] || die 'Which control plane? --url https://… (the script that it hands out knows).'
    url=${url%/}
    find_python
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    install_agent
    enroll
    [ "$comfyui" = no ] || install_comfyui
    install_service
    case ":$PATH:" in
        *":$bin:"*) say 'Done. Is everything as it must be? tessera-agent doctor' ;;
        *) say "Done. Is everything as it must be? $bin/tessera-agent doctor   (a new login finds it without its path)" ;;
    esac
}

main "$@"
