//! Every bound of the engine, with its unit and its reason. What an operator may change stands in `config`; what would
//! change the meaning of old records stands here and never changes without a version barrier.

/// Bytes of a user id. Long enough for `issuer|subject` pairs of the usual identity providers.
pub(crate) const USER_ID_BYTES: usize = 128;
/// Bytes of a client message id. A UUID has 36.
pub(crate) const CLIENT_ID_BYTES: usize = 64;
/// Bytes of a device id.
pub(crate) const DEVICE_ID_BYTES: usize = 64;
/// What an anonymous user's id starts with. No token may carry a `sub` that starts so.
pub(crate) const ANONYMOUS_PREFIX: &str = "anon:";
/// The user behind a publish of a back end: starts as the ids that no token may carry.
pub(crate) const SERVER_USER: &str = "anon:server";
/// What a room's channel name starts with.
pub(crate) const ROOM_CHANNEL_PREFIX: &str = "room:";
/// Bytes of a channel name (Centrifugo's default is 255).
pub(crate) const CHANNEL_BYTES: usize = 255;

/// Bytes of a message's body. Below the frame bound, with room for the envelope around it.
pub const BODY_BYTES: usize = 32 * 1024;
/// Bytes of a message's metadata (JSON text).
pub(crate) const METADATA_BYTES: usize = 8 * 1024;
/// Bytes of a message's type.
pub(crate) const MESSAGE_TYPE_BYTES: usize = 32;
/// Bytes of a room's title.
pub(crate) const TITLE_BYTES: usize = 256;
/// Bytes of a push token: one of FCM's has some 200, a Web Push subscription as JSON 500 to 1,000.
pub(crate) const PUSH_TOKEN_BYTES: usize = 2 * 1024;
/// Bytes of a user's preferences (JSON text).
pub const PREFERENCES_BYTES: usize = 8 * 1024;
/// Devices of a user. The one not heard of for longest makes room.
pub(crate) const DEVICES: usize = 32;
/// Users that one user may block.
pub(crate) const BLOCKS: usize = 10_000;
/// Members named when a room is made. More are invited afterwards.
pub(crate) const CREATE_MEMBERS: usize = 1_000;
/// Members of a room. The fold keeps them all in memory, about 100 bytes each.
pub(crate) const MEMBERS: usize = 100_000;
/// Invitations of a room that are not answered yet.
pub(crate) const INVITES: usize = 10_000;
/// How many of those only the creator may still make: no member can use them all up.
pub(crate) const INVITES_OF_CREATOR: usize = 1_000;
/// Invitations that one request takes back at most: about a second's work.
pub(crate) const INVITES_TAKEN_BACK: usize = 1_000;
/// Users remembered as kicked from a room: they need a new invitation.
pub(crate) const KICKED: usize = 10_000;

/// The dedupe window in milliseconds of append time: a phone that was off for a night still resends safely.
pub const DEDUPE_WINDOW_MS: u64 = 24 * 60 * 60 * 1000;
/// The dedupe window in events of a room: about 2 MB in the busiest room.
pub(crate) const DEDUPE_WINDOW_EVENTS: usize = 16_384;
/// Commands without an event whose outcome a room or user remembers, about 80 bytes each: a producer repeats what it is not
/// sure of within seconds, and more than so many are refused in that time only where somebody floods a room.
pub(crate) const DECISIONS: usize = 1_024;
/// Events of the dedupe window that are packed into one row, once a room has had so many in the time of the window: with a
/// full window there are 32 such rows, and on average half as many events as here are read one by one at each end.
pub(crate) const WINDOW_PIECE_EVENTS: u64 = 512;
/// How far a client's clock may be ahead, in milliseconds, so that the time in its UUIDv7 still counts. An id from further
/// ahead is taken like one without a time: deduplicated within the window only.
pub(crate) const CLOCK_SKEW_MS: u64 = 60_000;
/// How far the time in a client id may lie ahead of its own event, in milliseconds, and still say which ids were seen: the
/// journal's clock may have been behind by so much when the event was appended. Less than the age of the window, so that a
/// phone which was a day ahead speaks for nobody.
pub(crate) const ID_AHEAD_MS: u64 = 2 * 3_600_000;
/// How far the journal's clock may be from the node's own, in milliseconds, before it counts as wrong: no room expires then.
pub(crate) const CLOCK_TRUST_MS: u64 = 60_000;
/// How long a clock that was set must stay so, in milliseconds, until it is believed: a clock that was wrong is mostly put
/// right within minutes, and rooms that expire late lose nothing.
pub(crate) const CLOCK_SETTLE_MS: u64 = 60 * 60 * 1000;
/// How long after a start no room expires, in milliseconds: a machine's clock is often set a little after it came up.
pub(crate) const CLOCK_START_MS: u64 = 60_000;
/// Time to live of a command, in milliseconds: a paused producer must not publish a ghost later.
pub(crate) const COMMAND_TTL_MS: u64 = 60_000;

/// Bytes of an encoded journal record, envelope included.
pub(crate) const RECORD_BYTES: usize = 256 * 1024;
/// Bytes of commands that wait for one partition's append (permits are taken before the mailbox).
pub(crate) const PARTITION_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Milliseconds that a partition which goes to another node waits for what it has taken: longer than an append stays unknown.
pub(crate) const RELEASE_MS: u64 = 10_000;
/// Bytes of a frame between nodes. The largest carries the events of one batch of an entity, which is at most what its
/// partition holds, and about as much again for ids and lengths.
pub(crate) const LINK_FRAME_BYTES: usize = 2 * PARTITION_QUEUE_BYTES;
/// Bytes of a batch in Kafka, with [`KAFKA_RECORD_OVERHEAD`] for each record: below the four records of the largest size that its
/// topic takes.
pub(crate) const KAFKA_BATCH_BYTES: usize = 3 * RECORD_BYTES;
/// Bytes of one request to a broker; the last batch may go beyond it. A broker takes 100 MiB.
pub(crate) const KAFKA_REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of recent records that a Kafka journal keeps of each partition. Half of it is what a reader may have before it until
/// no more is fetched.
pub(crate) const KAFKA_RUN_BYTES: usize = 1024 * 1024;
/// Bytes that a record takes there beside its own.
pub(crate) const KAFKA_RECORD_OVERHEAD: usize = 64;
/// Bytes of batches that may wait for Kafka; beyond it appends are refused.
pub(crate) const KAFKA_QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one append: a batch that is fsynced as one.
pub(crate) const APPEND_BYTES: usize = 1024 * 1024;
/// Bytes of recent events that a room keeps for recovery, beyond those the store does not have yet.
pub(crate) const ROOM_RING_BYTES: usize = 64 * 1024;
/// Recent events that a hub keeps for a room with listeners.
pub(crate) const HUB_RING_EVENTS: usize = 256;
/// Bytes of those.
pub(crate) const HUB_RING_BYTES: usize = 256 * 1024;
/// Publications in one subscribe reply at most; the rest streams after it.
pub(crate) const RECOVERY_REPLY_PUBLICATIONS: usize = 300;
/// Items in one history page at most.
pub(crate) const HISTORY_PAGE: usize = 300;
/// Bytes of one page of anything, as it is sent, about: a page that is cut short says that there is more. One item goes
/// alone, whatever it has.
pub(crate) const PAGE_BYTES: usize = 256 * 1024;
/// Bytes of events that an owner gives a gateway at a time, about: no more than a subscriber that catches up has room for
/// once it is asked again, so that nothing is read twice.
pub(crate) const FETCH_BYTES: usize = 64 * 1024;
/// Bytes that are kept for the result of an rpc method while it runs, if it gives no page.
pub(crate) const CALL_BYTES: usize = 16 * 1024;
/// Bytes that a connection's methods may keep so at one time: two pages, or 32 others. Further commands wait.
pub(crate) const CALLS_BYTES: usize = 512 * 1024;
/// Bytes that the kernel keeps for one client behind its outbox (Linux doubles it for its own bookkeeping). Left to itself it
/// keeps up to 4 MiB of a reader that takes nothing, and that the reader is slow shows only then.
pub(crate) const SOCKET_SEND_BYTES: u32 = 128 * 1024;
/// Commands of one connection that may wait for their answers; above it the socket is not read.
pub(crate) const SESSION_INFLIGHT: usize = 256;
/// Subscriptions of one connection (Centrifugo's default is 128).
pub(crate) const SESSION_SUBSCRIPTIONS: usize = 256;
/// Bytes of one WebSocket message from a client.
pub(crate) const FRAME_BYTES: usize = 64 * 1024;
/// Commands in one frame.
pub(crate) const FRAME_COMMANDS: usize = 1_000;
/// Depth of JSON from outside.
pub(crate) const JSON_DEPTH: usize = 32;
/// Bytes of a token.
pub(crate) const TOKEN_BYTES: usize = 8 * 1024;
/// Sign-ins of one user that are good at a time. The one not used for longest makes room.
pub(crate) const SIGN_INS: usize = 100;
/// Lines in a minute that tell of failed attempts of one kind from one address; all of them are counted.
pub(crate) const FAILURES_SAID_PER_MINUTE: u32 = 10;
/// Lines of the audit log in a minute for failed attempts at the admin port: with it an attacker takes a week to push out what
/// operators have done.
pub(crate) const FAILURES_AUDITED_PER_MINUTE: u32 = 10;
/// Networks from which owners of accounts came, remembered: about 100 bytes each.
pub(crate) const KNOWN_NETWORKS: usize = 64 * 1024;
/// Passwords of one site (an address; of IPv6 a /48) that wait to be hashed, one after the other: about half a second.
pub(crate) const HASHES_OF_SITE: usize = 16;
/// Sites that wait for hashes, each with one at a time: some seconds on two cores.
pub(crate) const HASHING_SITES: usize = 128;
/// How many times as many attempts to sign in a site of many networks may make as one network.
pub(crate) const ATTEMPTS_OF_SITE: u32 = 10;

/// Rooms that a user's list may hold.
pub(crate) const ROOMS_PER_USER: usize = 50_000;
/// Milliseconds between two head announcements of a room with listeners.
pub(crate) const HEAD_ANNOUNCE_MS: u64 = 1_000;
/// Head announcements behind the last event of a stream: each may be lost, and the next one may not.
pub(crate) const HEAD_ANNOUNCEMENTS: u8 = 4;
/// Milliseconds that a room or user rests that could not be loaded: what asks for it meanwhile is refused with the rest.
pub(crate) const LOAD_RETRY_MS: u64 = 200;
/// Milliseconds that a command or a question for a cold room or user waits at most until others leave memory, up to the next
/// tick of its partition.
pub(crate) const PLACE_WAIT_MS: u64 = 500;
/// Deaths of a room or user over one record that are borne; at one more the record counts as poison, and its partition halts.
pub(crate) const DEATHS_OVER_A_RECORD: u32 = 2;
/// Milliseconds behind a partition's last record after which its owner covers it by a barrier, for those who read the log
/// without owning it.
pub(crate) const COVER_AFTER_MS: u64 = 20;
/// Bytes of records that a partition's tail tells at a time.
pub(crate) const TAIL_BATCH_BYTES: usize = 1024 * 1024;
/// The same of what is folded anew at a start, which may make a room of each record: it is looked often how much memory is
/// left.
pub(crate) const TAIL_REPLAY_BYTES: usize = 128 * 1024;
/// Bytes of recent events that a room keeps while the store does not have them. Beyond it a reader waits for the store.
pub(crate) const ROOM_RING_UNSTORED_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of a partition's records that are folded anew to tell a stream while the store is down: a journal of 8 GB, or some
/// 100 ms of work.
pub(crate) const RETOLD_BYTES: usize = 32 * 1024 * 1024;
/// Streams that are told so at a time.
pub(crate) const RETELLINGS: usize = 2;

/// How long a statement waits for a connection, for a lock that another program holds, or for a server to answer, before it
/// is refused retryably: below the patience of a client.
pub(crate) const SQL_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// The same while the last who asked got no connection to PostgreSQL: it is away, and what can do without it is not slow for it.
pub(crate) const SQL_WAIT_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);
/// How long a replica is waited for before the primary is asked.
pub(crate) const SQL_REPLICA_WAIT: std::time::Duration = std::time::Duration::from_millis(500);
/// How long a replica that did not answer is left alone.
pub(crate) const SQL_REPLICA_REST: std::time::Duration = std::time::Duration::from_secs(5);
/// Rows that one statement writes to PostgreSQL: a few MiB.
pub(crate) const SQL_BULK_ROWS: usize = 4_096;
/// Prepared statements that a connection to a database keeps: all of the program's fit.
pub(crate) const SQL_STATEMENTS: usize = 256;
/// The most connections to a database for one use: more than any server takes well.
pub(crate) const SQL_CONNECTIONS: u32 = 1_000;
/// Connections to a SQLite file that read for clients. Reads are short; more of them only cost memory. Of PostgreSQL's the
/// configuration says how many, also below.
pub(crate) const SQL_CLIENT_READERS: u32 = 4;
/// Connections to a SQLite file that read for the engine: rooms and users that are made from rows, and the workers.
pub(crate) const SQL_ENGINE_READERS: u32 = 4;
/// Connections to a SQLite file that write accounts, uploads, notifications and events. Such writes are rare.
pub(crate) const SQL_DIRECT: u32 = 4;

/// Dead letters kept of each partition: enough to find the client that sends them.
pub(crate) const DEAD_LETTERS: usize = 100;

/// Questions of a node to owners that are not answered yet, commands among them: about 64 MB, and five seconds of 50,000
/// commands a second while no owner answers.
pub(crate) const QUESTIONS: usize = 256 * 1024;
/// Milliseconds after which an open question may be given up; it is by twice that. Longer than the longest stall that is
/// promised (P7), shorter than the time to live of a command.
pub(crate) const QUESTION_MS: u64 = 10_000;
/// Milliseconds within which a room or user says what is asked of its state, or counts as not to be had.
pub(crate) const QUERY_MS: u64 = 5_000;
/// Milliseconds that an asker is told to wait whose command no owner took: its queue is full, or it is about to move.
pub(crate) const NOT_TAKEN_RETRY_MS: u32 = 100;

/// Milliseconds after which a gateway asks an owner again that did not answer. An owner that moved answers within it.
pub(crate) const GATEWAY_RETRY_MS: u64 = 1_000;
/// Milliseconds after which a gateway gives up a subscription or a gap. Three times the longest stall promised (P7).
pub(crate) const GATEWAY_GIVE_UP_MS: u64 = 10_000;
/// Milliseconds that a gateway goes on listening for nobody: a client that comes back soon recovers from the ring.
pub(crate) const FEED_LINGER_MS: u64 = 30_000;
/// Subscribers of a channel above which they are not named, nor told of each other's coming and going: they are counted.
pub(crate) const PRESENCE_NAMED: usize = 1_000;
/// Pages that a feed asks for at a time, on behalf of those who catch up.
pub(crate) const FEED_FETCHES: usize = 16;
/// Bytes of publications in one subscribe reply at most, about; one larger publication goes alone.
pub(crate) const RECOVERY_REPLY_BYTES: usize = 64 * 1024;

/// Records that the projector writes in one commit at most: some 100 ms of work.
pub const PROJECTOR_BATCH_RECORDS: usize = 4_096;
/// Bytes of records in one commit at most.
pub(crate) const PROJECTOR_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Milliseconds that records gather before a commit that is not full: a commit has a price of its own.
pub(crate) const PROJECTOR_GATHER_MS: u64 = 10;
/// Milliseconds that records gather on top of that while nobody waits for their rows. With 200 in all an acknowledgement takes
/// a tenth less CPU than with 20; a restart folds what is not stored yet anew.
pub(crate) const PROJECTOR_LINGER_MS: u64 = 190;
/// The same of a projector by itself, which nobody can tell that he waits.
pub(crate) const WORKER_LINGER_MS: u64 = 15;
/// Milliseconds between two looks at how far the rows are that another process makes: while somebody waits for them, and while
/// they are behind.
pub(crate) const MARKS_EAGER_MS: u64 = 15;
pub(crate) const MARKS_BEHIND_MS: u64 = 200;
/// Milliseconds that an operator's question waits for rows of what was said before it.
pub(crate) const OPERATOR_ROWS_MS: u64 = 500;
/// Users whose rows the projector reads at once: as many as one statement takes.
pub(crate) const PROJECTOR_USERS: usize = 64;
/// Bytes of states that the projector keeps between commits, about: some thirty rooms with a full window, or two hundred and
/// fifty whose windows sleep but for their ends.
pub const PROJECTOR_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Events at each end of a window that are kept awake when the rest sleeps: so many come until the room is made from its rows
/// again, and so far back edits and reactions reach without that.
pub(crate) const WINDOW_AWAKE_EVENTS: usize = 512;
/// Places in a room (members, invited, kicked) up to which a message moves the room up in the list of each of them by a row of
/// their own; in larger rooms the list looks the activity up when it is read. 64 rows are about a millisecond of the projector.
pub(crate) const LISTED_PLACES: usize = 64;
/// Bytes of a page of a room list, about; one larger line goes alone.
pub(crate) const ROOM_LIST_BYTES: usize = 256 * 1024;
/// Changes of one user, and users named in them, that the store does not have or the relay has not told yet: some
/// 150 ms of work. One heavier change goes alone.
pub(crate) const SHARE: usize = 1_000;
/// Users whose shares are remembered.
pub(crate) const SHARES: usize = 16_384;
/// Facts of one user from which on the relay says how many it holds.
pub(crate) const OWED: usize = 64;
/// Pages of [`RELAY_ROWS`] of the outbox in which facts are counted where another process relays: more of a user's than that hold
/// back nobody else.
pub(crate) const OWING_PAGES: usize = 8;
/// Milliseconds between two counts.
pub(crate) const OWING_LOOK_MS: u64 = 200;
/// Rows of the outbox of one source that the relay holds: some 250 KB, and it takes turns over the users who caused them.
pub(crate) const RELAY_ROWS: usize = 512;
/// Of those, rows for one target that takes nothing for now. More are read again when it does.
pub(crate) const RELAY_PARKED: usize = 32;
/// Records of the relay that the store does not have yet: some 25 ms of the projector's work. Behind more of them
/// everybody's facts would wait.
pub(crate) const RELAY_AHEAD: usize = 256;
/// Of those, records for one target.
pub(crate) const RELAY_BATCH: usize = 32;
/// Members of a fan-out that get rows of their own at a time.
pub(crate) const RELAY_MEMBERS: usize = 500;
/// Rows of the outbox that were told and are removed at once, if there is something else to do.
pub(crate) const RELAY_REMOVE: usize = 256;
/// Pages of fan-outs in a round of the relay: each is a transaction, and others wait meanwhile.
pub(crate) const RELAY_EXPANSIONS: usize = 16;
/// Milliseconds between two looks at the whole outbox.
pub(crate) const RELAY_LOOK_MS: u64 = 5_000;
/// Milliseconds that the store may take for a batch of the relay before its target counts as one that takes nothing.
pub(crate) const RELAY_STUCK_MS: u64 = 2_000;
/// Notifications that are marked as read one by one in one command.
pub const NOTIFICATION_IDS: usize = 100;
/// Bytes of the journal that the notification worker reads of a partition at a time.
pub(crate) const NOTIFY_READ_BYTES: usize = 1024 * 1024;
/// Messages of a partition that it decides on before another one has its turn.
pub(crate) const NOTIFY_MESSAGES: usize = 256;
/// Members of a room that it decides on at a time: a larger room takes several transactions.
pub(crate) const NOTIFY_MEMBERS: usize = 500;
/// Notifications in one transaction, and a page of members more.
pub(crate) const NOTIFY_BATCH: usize = 1_000;
/// Milliseconds that what is due gathers before it is decided on: a transaction has a price of its own.
pub(crate) const NOTIFY_GATHER_MS: u64 = 500;
/// Notifications that wait for their provider. Above it nothing more is decided: the journal keeps the rest.
pub(crate) const NOTIFY_WAITING: u32 = 10_000;
/// Notifications that are claimed at a time, and that are sent again if the sender is killed.
pub(crate) const NOTIFY_CLAIM: u32 = 64;
/// Of those, requests to the provider that are under way at the same time.
pub(crate) const NOTIFY_UNDER_WAY: usize = 16;
/// Milliseconds between two looks for what is due, if nobody says that there is something: another worker may have died.
pub(crate) const NOTIFY_LOOK_MS: u64 = 5_000;
/// First wait, in milliseconds, before a notification is sent again; twice as long after each failure.
pub(crate) const NOTIFY_RETRY_FIRST_MS: u64 = 5_000;
/// Longest such wait, also if the provider asks for more.
pub(crate) const NOTIFY_RETRY_MOST_MS: u64 = 3_600_000;
/// Dead notifications that are kept; the oldest go first.
pub(crate) const NOTIFY_DEAD: u32 = 10_000;
/// Bytes of an answer of a provider that are read.
pub(crate) const NOTIFY_ANSWER_BYTES: usize = 16 * 1024;
/// Milliseconds that Redis may take to answer; what it has not said by then is missing.
pub(crate) const REDIS_WAIT_MS: u64 = 500;
/// Milliseconds that connecting to Redis may take.
pub(crate) const REDIS_CONNECT_MS: u64 = 2_000;
/// Commands to Redis that are under way for one who asks.
pub(crate) const REDIS_UNDER_WAY: usize = 64;
/// Nodes of a Redis Cluster that are remembered.
pub(crate) const REDIS_NODES: usize = 64;
/// Acknowledgements, by user and room, that wait for the next turn to Redis; more are forgotten. About 6 MB.
pub(crate) const ACKNOWLEDGEMENTS: usize = 32_768;
/// Rooms of one user's acknowledgements in Redis; with more of them all are forgotten.
pub(crate) const ACKNOWLEDGED_ROOMS: usize = 1_024;
/// Expired rooms that are read at a time.
pub(crate) const EXPIRY_PAGE: usize = 500;
/// Milliseconds between two scans for expired rooms.
pub(crate) const EXPIRY_SCAN_MS: u64 = 5_000;
/// Milliseconds that what a page of expired rooms gives may take until it is stored: then the partitions behind wait no longer.
pub(crate) const EXPIRY_STORED_MS: u64 = 2_000;
/// Longest wait, in milliseconds, after the store or a partition failed the scan for expired rooms several times.
pub(crate) const EXPIRY_REST_MS: u64 = 60_000;
/// Rooms that were told within a command's time to live that their time is over: some ten megabytes, and far more than the
/// projector stores in that time.
pub(crate) const EXPIRY_TOLD: usize = 100_000;
/// Bytes of an emoji on a message. The longest in use, families with skin tones and flags of regions, have 41.
pub(crate) const EMOJI_BYTES: usize = 64;
/// Different emoji on a message: a page of history lists them all. Judged at admission by what is stored, so that a few more
/// may come at one moment.
pub(crate) const EMOJI_ON_MESSAGE: usize = 32;
