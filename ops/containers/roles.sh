#!/bin/sh
# The database and its two roles, as ops/install.sh makes them: the owner migrates, the application reads and writes.
# Names and passwords are those of the addresses in the folder of secrets; the superuser's connection is the environment's.
set -eu

secrets=$1
if [ -r "$secrets/postgres_password" ]; then
    PGPASSWORD=$(cat "$secrets/postgres_password")
    export PGPASSWORD
fi

export PGOPTIONS='--client-min-messages=warning'

told() { psql --quiet --no-psqlrc --tuples-only --no-align -v ON_ERROR_STOP=1 --dbname "$1"; }

# The password of an address: what stands between the second colon and the @.
password() { sed -n 's|^postgresql://[^:]*:\([A-Za-z0-9_-]*\)@.*|\1|p' "$secrets/$1"; }

# A role that logs in. No password is an argument of a program.
role() {
    word=$(password "$2")
    [ -n "$word" ] || {
        printf 'roles: %s is not an address with a password of letters and digits\n' "$secrets/$2" >&2
        exit 1
    }
    printf "select format('%%s role %s login', case when exists (select from pg_roles where rolname = '%s')
        then 'alter' else 'create' end) \\gexec\n" "$1" "$1" | told postgres
    printf "alter role %s password '%s';\n" "$1" "$word" | told postgres
}

role tessera_owner owner_database_url
role tessera database_url
told postgres <<'END'
select 'create role tessera_app nologin' where not exists (select from pg_roles where rolname = 'tessera_app') \gexec
grant tessera_app to tessera_owner;
grant tessera_app to tessera;
select 'create database tessera owner tessera_owner template template0 encoding ''UTF8'''
where not exists (select from pg_database where datname = 'tessera') \gexec
END
