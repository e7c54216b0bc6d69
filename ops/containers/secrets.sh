#!/bin/sh
# Passwords for ops/compose.yaml, once: a folder that only you can enter, with files that every container may read which
# is given them, whatever its user is called there. What is there already stays.
set -eu

folder=${1:-$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"
umask 022

word() { od -An -N 24 -t x1 /dev/urandom | tr -d ' \n'; }

# Writes what comes by standard input, unless the file is there; half a file is never there.
once() {
    [ -e "$folder/$1" ] && return
    cat >"$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    printf 'made %s\n' "$folder/$1"
}

word | once postgres_password
printf 'postgresql://tessera:%s@postgres/tessera\n' "$(word)" | once database_url
printf 'postgresql://tessera_owner:%s@postgres/tessera\n' "$(word)" | once owner_database_url
