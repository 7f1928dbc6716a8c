#!/bin/sh
# Starts a node with the password of /run/secrets/redis_password, which stands in no list of processes: start.sh OPTIONS...
set -eu
umask 077
password=$(cat /run/secrets/redis_password)
printf 'include /etc/redis.conf\nrequirepass %s\nmasterauth %s\n' "$password" "$password" > /tmp/redis.conf
chown redis /tmp/redis.conf
exec docker-entrypoint.sh redis-server /tmp/redis.conf "$@"
