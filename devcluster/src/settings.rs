//! How the engines are set up: tables of names and values, in one place, so that a test can compare other descriptions of
//! the same set-up with them. What differs from one node to the next (ports, folders, ids) is not here.

/// A name and its value, as the engine's own configuration has them.
pub type Setting = (&'static str, &'static str);

/// What Kervan's promises rest on, wherever its Kafka runs: three copies of each record, of which two acknowledge it; no
/// copy that lacks records ever leads; a record's time is when it was appended; no topic is made by a misspelling.
pub const KAFKA_SAFETY: &[Setting] = &[
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("unclean.leader.election.enable", "false"),
    ("auto.create.topics.enable", "false"),
    ("log.message.timestamp.type", "LogAppendTime"),
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("share.coordinator.state.topic.min.isr", "2"),
];

/// How soon the death of a broker is noticed: with these, appends stall for 2 to 3 seconds, with Kafka's defaults for 9 to
/// 12. They suit one machine; over a network take a session of 3 s, a fetch timeout of 1 s and a lag of 5 s.
pub const KAFKA_FAILOVER: &[Setting] = &[
    ("broker.session.timeout.ms", "2000"),
    ("broker.heartbeat.interval.ms", "400"),
    ("controller.quorum.fetch.timeout.ms", "600"),
    ("controller.quorum.election.timeout.ms", "400"),
    ("controller.quorum.election.backoff.max.ms", "200"),
    ("controller.quorum.request.timeout.ms", "600"),
    // A follower that hangs leaves the in-sync set after so long.
    ("replica.lag.time.max.ms", "2000"),
    // Without it, partitions that moved wait for up to a second more.
    ("replica.fetch.backoff.ms", "100"),
    // Else one broker leads everything for five minutes after a failure.
    ("leader.imbalance.check.interval.seconds", "10"),
];

/// What lets three brokers share a small machine.
pub const KAFKA_SMALL: &[Setting] = &[
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("background.threads", "2"),
    ("offsets.topic.num.partitions", "8"),
    ("transaction.state.log.num.partitions", "4"),
    ("share.coordinator.state.topic.num.partitions", "4"),
    ("group.initial.rebalance.delay.ms", "0"),
    // The default takes 128 MB of the heap.
    ("log.cleaner.dedupe.buffer.size", "4194304"),
    ("log.segment.bytes", "67108864"),
    ("log.index.size.max.bytes", "65536"),
];

/// The Java machine of a broker: a small heap, the collector with the fewest threads, and the first compiler only, which
/// brings three brokers up in half the time. A long measurement is better off with both compilers.
pub const KAFKA_JVM: &[&str] = &["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// A node of the Redis Cluster. It holds what can be lost and made again: when memory is spent, what was not used for
/// longest goes.
pub const REDIS: &[Setting] = &[
    ("cluster-enabled", "yes"),
    ("cluster-node-timeout", "15000"),
    // Both ways to keep what it holds over a restart: each write, at most a second late; and a snapshot now and then.
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("save", "3600 1 300 100 60 10000"),
    ("maxmemory", "128mb"),
    ("maxmemory-policy", "allkeys-lru"),
];

/// Nodes of the Redis Cluster that hold slots; each has one replica.
pub const REDIS_MASTERS: usize = 3;

/// PostgreSQL.
pub const POSTGRES: &[Setting] = &[
    ("shared_buffers", "256MB"),
    ("effective_cache_size", "1GB"),
    ("maintenance_work_mem", "64MB"),
    ("checkpoint_completion_target", "0.9"),
    ("wal_buffers", "16MB"),
    ("default_statistics_target", "100"),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("password_encryption", "scram-sha-256"),
];
