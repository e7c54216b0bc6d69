#!/bin/sh
# Installs the control plane of Tessera on Debian or Ubuntu, from the folder that this script lies in:
#
#     sudo sh ops/install.sh --domain pictures.example.org
#
# A user of its own, an environment whose every file is checked by its hash, PostgreSQL from the distribution, settings
# in /etc/tessera, the schema, systemd units, and Caddy or nginx with TLS before it. Doing it again repairs, brings the
# code of this folder into force (the last release stays beside it), and changes no setting and no password.

set -eu

usage() {
    cat <<'END'
Usage: sudo sh ops/install.sh [OPTION...]

  --domain NAME      how people reach this service; its TLS certificate comes by itself (with Caddy)
  --proxy KIND       caddy (default with --domain), nginx, or none: what stands before the control plane
  --certificate FILE, --key FILE
                     with nginx: the certificate for NAME, as certbot or your provider made it
  --port N           where the control plane listens on this machine (default: 8000)
  --bots             also what bots need: libraries, a key of the service, and their unit. Once is enough
  --no-start         put everything in place and start nothing
  --dry-run          print every step and do none
  --uninstall        take code, units and the proxy's site away; settings, database and pictures stay
  --purge            with --uninstall: those, too. There is no way back
  --help

Afterwards `sudo tessera status` says how it is, and `sudo tessera setup` makes the link to the setup in a browser.
END
}

PREFIX=/opt/tessera
SETTINGS=/etc/tessera
DATA=/var/lib/tessera
UNITS=/etc/systemd/system
PYTHON_MIN='3.11'
RELEASES_KEPT=2

say() { printf '%s\n' "$*"; }

die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# Prints a command and runs it, unless only told to print.
step() {
    say "+ $*"
    [ "$dry" = yes ] || "$@"
}

# Writes what comes by standard input, if that is not there already: file, mode, owner. Says so, and shows no content.
put() {
    if [ "$dry" = yes ]; then
        say "+ write $1 ($2, $3)"
        cat >/dev/null
        return
    fi
    fresh=$(mktemp "$1.XXXXXX")
    cat >"$fresh"
    chmod "$2" "$fresh"
    chown "$3" "$fresh"
    if [ -f "$1" ] && cmp -s "$fresh" "$1"; then
        rm -f "$fresh"
    else
        say "+ write $1 ($2, $3)"
        mv -f "$fresh" "$1"
    fi
}

has() { command -v "$1" >/dev/null 2>&1; }

runs_systemd() { [ -d /run/systemd/system ]; }

as_postgres() {
    PGOPTIONS='--client-min-messages=warning' runuser -u postgres -- \
        psql --quiet --no-psqlrc --tuples-only --no-align -v ON_ERROR_STOP=1 "$@"
}

secret() { python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; }

# ---------------------------------------------------------------------------------------------- before anything is done

look() {
    [ "$dry" = yes ] || [ "$(id -u)" = 0 ] || die 'This needs root: sudo sh ops/install.sh'
    [ -r /etc/os-release ] || die 'This is neither Debian nor Ubuntu. ops/compose.yaml runs Tessera in containers anywhere.'
    # shellcheck source=/dev/null
    case " $(. /etc/os-release && printf '%s %s' "$ID" "${ID_LIKE:-}") " in
        *' debian '* | *' ubuntu '*) ;;
        *) die 'This is neither Debian nor Ubuntu. ops/compose.yaml runs Tessera in containers anywhere.' ;;
    esac
    has apt-get || die 'There is no apt-get here.'
    case $proxy in
        caddy) [ -n "$domain" ] || die '--proxy caddy needs --domain NAME.' ;;
        nginx)
            [ -n "$domain" ] || die '--proxy nginx needs --domain NAME.'
            if [ ! -r "$certificate" ] || [ ! -r "$key" ]; then
                die '--proxy nginx needs --certificate FILE and --key FILE that can be read.'
            fi
            ;;
        none) ;;
        *) die "--proxy is caddy, nginx or none, not $proxy." ;;
    esac
    case $port in '' | *[!0-9]*) die "--port is a number, not $port." ;; esac
    case $domain in *[!A-Za-z0-9.-]* | -* | .*) die "--domain is a name such as pictures.example.org, not $domain." ;; esac
}

packages() {
    wanted='python3 python3-venv postgresql ca-certificates'
    [ "$proxy" = none ] || wanted="$wanted $proxy"
    missing=''
    for package in $wanted; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        step apt-get update
        # shellcheck disable=SC2086 # these are words
        step env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
    fi
    [ "$dry" = yes ] && return
    python3 -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$PYTHON_MIN'.split('.'))))" ||
        die "Tessera needs Python $PYTHON_MIN or newer, and this system has $(python3 --version). Debian 12 and Ubuntu 24.04 have it."
}

users() {
    for user in tessera tessera-bots; do
        getent passwd "$user" >/dev/null ||
            step useradd --system --user-group --home-dir "/var/lib/$user" --shell /usr/sbin/nologin "$user"
        step install -d -m 0700 -o "$user" -g "$user" "/var/lib/$user"
    done
    step install -d -m 0755 "$SETTINGS" "$PREFIX" "$PREFIX/releases"
    step install -d -m 0700 "$SETTINGS/credentials"
}

# ---------------------------------------------------------------------------------------------- the code

# By hash, and as the lock says: nothing that it does not name.
pip_install() {
    step "$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps "$@"
}

# One word for all that a release is made of: the same code is never installed twice.
fingerprint() {
    (
        cd "$source"
        find pyproject.toml README.md control_plane agent frontends sql ops/requirements.lock ops/requirements-bots.lock -type f \
            ! -path '*/__pycache__/*' ! -path '*/node_modules/*' ! -path '*/.next/*' -print0 |
            LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-12
    )
}

release() {
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$source/pyproject.toml" | head -n 1)
    release="$PREFIX/releases/$version-$(fingerprint)"
    if [ ! -e "$release/installed" ]; then
        step rm -rf "$release"
        step python3 -m venv "$release"
        pip_install --require-hashes --only-binary :all: --requirement "$source/ops/requirements.lock"
        pip_install --no-build-isolation "$source"
        step "$release/bin/tessera" --version
        step touch "$release/installed"
    fi
    if [ "$bots" = yes ] && [ ! -e "$release/bots" ]; then
        pip_install --require-hashes --only-binary :all: --requirement "$source/ops/requirements-bots.lock"
        step "$release/bin/python" -c 'import hikari, pyrogram, tgcrypto'
        step touch "$release/bots"
    fi
}

# In one step, and the release before stays: `tessera upgrade --back`, and a restart, return to it.
switch() {
    before=$(readlink "$PREFIX/current" 2>/dev/null || true)
    if [ -n "$before" ] && [ "$before" != "$release" ]; then step ln -sfn "$before" "$PREFIX/previous"; fi
    step ln -sfn "$release" "$PREFIX/current.new"
    step mv -fT "$PREFIX/current.new" "$PREFIX/current"
    [ "$dry" = yes ] && return
    # shellcheck disable=SC2012 # the names are ours
    ls -1dt "$PREFIX"/releases/*/ | tail -n "+$((RELEASES_KEPT + 1))" | while read -r old; do
        [ "${old%/}" = "$release" ] || step rm -rf "${old%/}"
    done
}

# ---------------------------------------------------------------------------------------------- the database

database() {
    if [ "$dry" = yes ]; then
        say '+ make the roles tessera and tessera_owner and the database tessera, with passwords in /etc/tessera/credentials'
        return
    fi
    if ! runuser -u postgres -- pg_isready --quiet; then
        if runs_systemd; then step systemctl start postgresql; else step service postgresql start; fi
        tries=30
        until runuser -u postgres -- pg_isready --quiet; do
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || die 'PostgreSQL does not start; see journalctl -u postgresql.'
            sleep 1
        done
    fi
    server_port=$(as_postgres -c 'show port')
    major=$(($(as_postgres -c 'show server_version_num') / 10000))
    [ "$major" -ge 15 ] || die "This is PostgreSQL $major; Tessera needs 15 or newer."
    role tessera_owner owner_database_url
    [ -n "$(as_postgres -c "select 1 from pg_roles where rolname = 'tessera_app'")" ] ||
        as_postgres -c 'create role tessera_app nologin'
    as_postgres -c 'grant tessera_app to tessera_owner'
    role tessera database_url
    as_postgres -c 'grant tessera_app to tessera'
    [ -n "$(as_postgres -c "select 1 from pg_database where datname = 'tessera'")" ] ||
        as_postgres -c "create database tessera owner tessera_owner template template0 encoding 'UTF8'"
}

# A role that logs in, and the file with its address. A lost file gets a new password. No password is an argument.
role() {
    file="$SETTINGS/credentials/$2"
    exists=$(as_postgres -c "select 1 from pg_roles where rolname = '$1'")
    [ -z "$exists" ] || [ ! -s "$file" ] || return 0
    word=$(secret)
    printf "%s role %s login password '%s';\n" "$([ -n "$exists" ] && echo alter || echo create)" "$1" "$word" | as_postgres
    printf 'postgresql://%s:%s@127.0.0.1:%s/tessera\n' "$1" "$word" "$server_port" | put "$file" 0600 root:root
}

# ---------------------------------------------------------------------------------------------- settings, schema, units

settings() {
    if [ ! -e "$SETTINGS/tessera.toml" ]; then
        # Not in the text below: some shells take quotes away within a substitution there.
        address=''
        [ -z "$domain" ] || address="public_url = \"https://$domain\""
        put "$SETTINGS/tessera.toml" 0644 root:root <<END
# Settings of the control plane; \`sudo tessera check\` shows all there are. After a change: systemctl restart 'tessera@*'
data_dir = "$DATA"
port = $port
$address
trusted_proxies = ["127.0.0.1", "::1"]
log_format = "json"
# Goes into every backup beside the folder above: what the bots remember, and their tokens.
backup_also = "/var/lib/tessera-bots"
END
    fi
    # Secrets go by the environment, which only the same user and root may read. The user is the service's, so that what
    # is made belongs to it; files that the operator names are read and written with the operator's own right to them.
    put /usr/local/bin/tessera 0755 root:root <<'END'
#!/bin/sh
# The operator's verbs, as the user of the service: sudo tessera …
if [ "$(id -u)" != 0 ]; then exec sudo "$0" "$@"; fi
export TESSERA_CONFIG=/etc/tessera/tessera.toml
TESSERA_DATABASE_URL=$(cat /etc/tessera/credentials/database_url)
export TESSERA_DATABASE_URL
case ${1:-} in
    migrate | backup | restore | db | upgrade)
        TESSERA_OWNER_DATABASE_URL=$(cat /etc/tessera/credentials/owner_database_url)
        export TESSERA_OWNER_DATABASE_URL
        ;;
esac
if [ -r /etc/tessera/environment ]; then
    # Lines of NAME=value, as systemd reads them for the units.
    while IFS= read -r line || [ -n "$line" ]; do
        name=${line%%=*} value=${line#*=}
        case $name in '' | *[!A-Za-z0-9_]* | "$line") continue ;; esac
        case $value in \"*\" | \'*\') value=${value#?} value=${value%?} ;; esac
        export "$name=$value"
    done </etc/tessera/environment
fi
export HOME=/var/lib/tessera
setpriv --reuid=tessera --regid=tessera --init-groups --securebits=+no_setuid_fixup \
    --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override --no-new-privs \
    -- /opt/tessera/current/bin/tessera "$@"
code=$?
# Code belongs to root, whoever has put it there.
if [ "${1:-}" = upgrade ]; then chown -R --no-dereference root:root /opt/tessera; fi
exit "$code"
END
    put /usr/local/bin/tessera-bots 0755 root:root <<'END'
#!/bin/sh
# Adding a bot, or giving one a new token: sudo tessera-bots setup
if [ "$(id -u)" != 0 ]; then exec sudo "$0" "$@"; fi
export TESSERA_BOTS_CONFIG=/var/lib/tessera-bots/bots.toml HOME=/var/lib/tessera-bots
exec setpriv --reuid=tessera-bots --regid=tessera-bots --init-groups --securebits=+no_setuid_fixup \
    --inh-caps=-all,+dac_override --ambient-caps=-all,+dac_override --no-new-privs \
    -- /opt/tessera/current/bin/tessera-bots "$@"
END
}

schema() {
    step /usr/local/bin/tessera migrate
}

# The key by which bots act for people, where `tessera-bots setup` looks for it, so that it is not asked for.
bots_key() {
    [ "$bots" = yes ] || return 0
    file=/var/lib/tessera-bots/credentials/api_key
    if [ "$dry" = yes ]; then
        say "+ make a key of the service for the bots: $file"
        return
    fi
    [ ! -s "$file" ] || return 0
    step install -d -m 0700 -o tessera-bots -g tessera-bots "${file%/*}"
    # shellcheck disable=SC2016 # a program of Python's
    /usr/local/bin/tessera key create --service bots --provider telegram --provider discord \
        --scope read --scope submit --scope payments --scope operate --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])' | put "$file" 0600 tessera-bots:tessera-bots
    [ -s "$file" ] || die 'The key of the bots could not be made; see above.'
}

units() {
    for unit in tessera@.service tessera-bots.service tessera-backup.service tessera-backup.timer; do
        put "$UNITS/$unit" 0644 root:root <"$source/ops/systemd/$unit"
    done
    runs_systemd || [ "$dry" = yes ] || return 0
    step systemctl daemon-reload
    [ "$start" = yes ] || return 0
    if systemctl --quiet is-active "tessera@$port.service" 2>/dev/null; then
        # One after the other: the proxy asks the one that answers.
        systemctl list-units --plain --no-legend 'tessera@*.service' | while read -r unit _; do step systemctl restart "$unit"; done
    else
        step systemctl enable --now "tessera@$port.service"
    fi
    # Without a bot it has nothing to do, and says so; `tessera-bots setup` makes the file that it waits for.
    if [ "$bots" = yes ]; then
        step systemctl enable tessera-bots.service
        step systemctl restart tessera-bots.service ||
            say 'The bots do not start; everything else goes on. journalctl -u tessera-bots says why.'
    fi
    if grep -q '^backup_url' "$SETTINGS/tessera.toml" 2>/dev/null; then step systemctl enable --now tessera-backup.timer; fi
}

# ---------------------------------------------------------------------------------------------- the proxy

proxy() {
    case $proxy in
        caddy)
            put /etc/caddy/tessera.caddy 0644 root:root <<END
# Written by ops/install.sh. A second control plane (tessera@$((port + 1))) is asked while the first is restarted.
$domain {
    reverse_proxy 127.0.0.1:$port 127.0.0.1:$((port + 1)) {
        lb_policy first
        lb_try_duration 20s
        lb_try_interval 100ms
        fail_duration 2s
        flush_interval -1
    }
    header Strict-Transport-Security "max-age=31536000"
}
END
            if [ "$dry" != yes ] && grep -q '^root \* /usr/share/caddy\|^	root \* /usr/share/caddy' /etc/caddy/Caddyfile 2>/dev/null; then
                step cp -n /etc/caddy/Caddyfile /etc/caddy/Caddyfile.packaged
                printf 'import /etc/caddy/tessera.caddy\n' | put /etc/caddy/Caddyfile 0644 root:root
            elif [ "$dry" = yes ] || ! grep -q '^import /etc/caddy/tessera.caddy' /etc/caddy/Caddyfile 2>/dev/null; then
                say '+ add "import /etc/caddy/tessera.caddy" to /etc/caddy/Caddyfile'
                [ "$dry" = yes ] || printf '\nimport /etc/caddy/tessera.caddy\n' >>/etc/caddy/Caddyfile
            fi
            step caddy validate --adapter caddyfile --config /etc/caddy/Caddyfile
            reload caddy
            ;;
        nginx)
            put /etc/nginx/sites-available/tessera 0644 root:root <<END
# Written by ops/install.sh. A second control plane (tessera@$((port + 1))) is asked while the first is restarted.
upstream tessera {
    server 127.0.0.1:$port max_fails=0;
    server 127.0.0.1:$((port + 1)) backup;
    keepalive 64;
}
server {
    listen 80;
    listen [::]:80;
    server_name $domain;
    return 301 https://\$host\$request_uri;
}
server {
    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    server_name $domain;
    ssl_certificate $certificate;
    ssl_certificate_key $key;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 600m;
    add_header Strict-Transport-Security "max-age=31536000" always;
    location / {
        proxy_pass http://tessera;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host \$host;
        proxy_set_header X-Forwarded-For \$remote_addr;
        proxy_set_header X-Forwarded-Proto https;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_read_timeout 660s;
        proxy_next_upstream error;
    }
}
END
            step ln -sfn /etc/nginx/sites-available/tessera /etc/nginx/sites-enabled/tessera
            step nginx -t -q
            reload nginx
            ;;
    esac
}

reload() {
    [ "$start" = yes ] || return 0
    if runs_systemd || [ "$dry" = yes ]; then step systemctl reload-or-restart "$1"; fi
}

# ---------------------------------------------------------------------------------------------- and away again

uninstall() {
    if runs_systemd; then
        for unit in tessera-bots.service tessera-backup.timer 'tessera@*.service'; do
            step systemctl disable --now "$unit" || true
        done
    fi
    step rm -f "$UNITS/tessera@.service" "$UNITS/tessera-bots.service" "$UNITS/tessera-backup.service" \
        "$UNITS/tessera-backup.timer" "$UNITS"/multi-user.target.wants/tessera@*.service /usr/local/bin/tessera \
        /usr/local/bin/tessera-bots /etc/caddy/tessera.caddy /etc/nginx/sites-enabled/tessera /etc/nginx/sites-available/tessera
    if [ -f /etc/caddy/Caddyfile ]; then step sed -i '\|^import /etc/caddy/tessera.caddy$|d' /etc/caddy/Caddyfile; fi
    if runs_systemd; then step systemctl daemon-reload; fi
    step rm -rf "$PREFIX"
    if [ "$purge" = yes ]; then
        if [ "$dry" = yes ]; then
            say '+ drop the database tessera and its roles'
        elif has psql; then
            as_postgres -c 'drop database if exists tessera with (force)'
            for name in tessera tessera_owner tessera_app; do as_postgres -c "drop role if exists $name"; done
        fi
        step rm -rf "$SETTINGS" "$DATA" /var/lib/tessera-bots
        for user in tessera tessera-bots; do
            if getent passwd "$user" >/dev/null; then step userdel "$user"; fi
        done
    else
        say "Kept: the settings in $SETTINGS, the database tessera, the pictures in $DATA. --purge takes them, too."
    fi
}

# ---------------------------------------------------------------------------------------------- the whole

domain='' proxy='' certificate='' key='' port=8000 bots=no start=yes dry=no away=no purge=no
while [ $# -gt 0 ]; do
    case $1 in
        --domain | --proxy | --certificate | --key | --port)
            [ $# -ge 2 ] || die "$1 wants a value. --help explains."
            case $1 in
                --domain) domain=$2 ;;
                --proxy) proxy=$2 ;;
                --certificate) certificate=$2 ;;
                --key) key=$2 ;;
                --port) port=$2 ;;
            esac
            shift
            ;;
        --bots) bots=yes ;;
        --no-start) start=no ;;
        --dry-run) dry=yes ;;
        --uninstall) away=yes ;;
        --purge) purge=yes ;;
        --help | -h)
            usage
            exit
            ;;
        *) die "There is no option $1. --help explains." ;;
    esac
    shift
done
[ -n "$proxy" ] || proxy=$([ -n "$domain" ] && echo caddy || echo none)
[ "$purge" = no ] || [ "$away" = yes ] || die '--purge goes with --uninstall.'
# What has bots keeps them.
if [ -e "$PREFIX/current/bots" ] || [ -e /var/lib/tessera-bots/bots.toml ]; then bots=yes; fi
source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
umask 022
case $certificate in '' | /*) ;; *) certificate=$PWD/$certificate ;; esac
case $key in '' | /*) ;; *) key=$PWD/$key ;; esac
cd / # others cannot be where root may be

look
if [ "$away" = yes ]; then
    uninstall
    exit
fi
packages
users
release
database
settings
switch
schema
bots_key
units
proxy

say ''
say "Tessera is installed${domain:+ for https://$domain}. What now:"
say '  sudo tessera setup       a link that sets it up in your browser'
say '  sudo tessera status      how it is'
if [ "$bots" = yes ] && [ ! -e /var/lib/tessera-bots/bots.toml ]; then
    say '  sudo tessera-bots setup  adds a bot; then: sudo systemctl restart tessera-bots'
fi
if [ ! -d "$source/frontends/website/out" ]; then
    say '  (The website is not in it: "make web" builds it where Node 20 is; then run this again.)'
fi
