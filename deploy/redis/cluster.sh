#!/bin/sh
# Makes one cluster of these nodes, unless they are one: cluster.sh ADDRESS:PORT...
# A password is taken from /run/secrets/redis_password, if there is one.
set -eu
if [ -r /run/secrets/redis_password ]; then
    REDISCLI_AUTH=$(cat /run/secrets/redis_password)
    export REDISCLI_AUTH
fi
if redis-cli -h "${1%:*}" -p "${1#*:}" cluster info | grep -q '^cluster_state:ok'; then
    echo "the cluster is there"
    exit 0
fi
redis-cli --cluster create "$@" --cluster-replicas 1 --cluster-yes
