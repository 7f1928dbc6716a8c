#!/usr/bin/env bash
# Starts the replica, which begins as a copy of the primary: replica.sh postgres OPTIONS...
set -euo pipefail
umask 077
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Where the server finds it, too, as long as it follows.
    printf 'postgres:5432:*:replica:%s\n' "$(cat /run/secrets/replication_password)" > /var/lib/postgresql/.pgpass
    chown postgres: /var/lib/postgresql/.pgpass
    # A copy that was cut short is never taken for a whole one.
    copy=$PGDATA.copy
    rm -rf "$copy"
    install -d -o postgres -g postgres -m 0700 "$copy"
    gosu postgres pg_basebackup --host postgres --username replica --pgdata "$copy" --slot replica --write-recovery-conf
    rm -rf "$PGDATA"
    mv "$copy" "$PGDATA"
fi
exec docker-entrypoint.sh "$@"
