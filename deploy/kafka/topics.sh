#!/usr/bin/env bash
# Makes Kervan's topics, and sets what they must have, again and again: topics.sh BOOTSTRAP-SERVER
set -euo pipefail
kafka=/opt/kafka/bin
settings=(
    retention.ms=-1
    retention.bytes=-1
    cleanup.policy=delete
    min.insync.replicas=2
    unclean.leader.election.enable=false
    message.timestamp.type=LogAppendTime
    compression.type=lz4
)
# The number of the journal's partitions is fixed for life.
for topic in kervan.journal:256 kervan.control:1; do
    name=${topic%:*}
    "$kafka/kafka-topics.sh" --bootstrap-server "$1" --create --if-not-exists --topic "$name" --partitions "${topic#*:}" \
        --replication-factor 3 "${settings[@]/#/--config=}"
    "$kafka/kafka-configs.sh" --bootstrap-server "$1" --alter --entity-type topics --entity-name "$name" \
        --add-config "$(IFS=, && echo "${settings[*]}")"
done
"$kafka/kafka-topics.sh" --bootstrap-server "$1" --describe --topic 'kervan\..*' --exclude-internal | grep PartitionCount
