-- The rows of Kervan. Same tables, columns and meaning as migrations/postgres/0001_core.sql.
--
-- Times are milliseconds since the Unix epoch. A `chat` is a room's uuid. Everything is derived from the journal and can
-- be rebuilt from it, except the account columns of `users`, `analytics_events`, `notifications` and `meta`.

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each partition of the journal, moved only in the transaction that holds the rows behind it (I6).
CREATE TABLE watermarks (
    partition   INTEGER NOT NULL PRIMARY KEY,
    next_offset INTEGER NOT NULL,           -- the first offset that is not in the rows
    log_hash    INTEGER NOT NULL,           -- running hash of the records below next_offset, as a signed number
    fold_time   INTEGER NOT NULL,           -- highest append time below next_offset
    fold_version INTEGER NOT NULL           -- version of the fold that is in force behind next_offset
) STRICT;
INSERT INTO watermarks (partition, next_offset, log_hash, fold_time, fold_version)
    WITH RECURSIVE p(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM p WHERE n < 255) SELECT n, 0, 0, 0, 1 FROM p;

-- Users. The journal knows them by id; the account columns are empty for users who only ever came with a token.
CREATE TABLE users (
    id                       TEXT NOT NULL PRIMARY KEY,
    username                 TEXT,
    email                    TEXT,
    password_hash            TEXT,
    first_name               TEXT,
    last_name                TEXT,
    avatar_url               TEXT,
    push_token               TEXT,          -- of the device heard of last; all of them are in `devices`
    notification_preferences TEXT,          -- JSON text
    last_activity_at         INTEGER,
    created_at               INTEGER NOT NULL,
    updated_at               INTEGER NOT NULL,
    head_seq                 INTEGER NOT NULL DEFAULT 0,   -- of the personal stream
    applied_offset           INTEGER NOT NULL DEFAULT 0,   -- first offset of the user's partition not applied to the user
    chain                    INTEGER NOT NULL DEFAULT 0    -- hash chain over (offset, outcome) below that, a signed number (I10)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_username ON users (username) WHERE username IS NOT NULL;
CREATE UNIQUE INDEX users_email ON users (email) WHERE email IS NOT NULL;

CREATE TABLE devices (
    user_id    TEXT    NOT NULL,
    device     TEXT    NOT NULL,
    platform   TEXT    NOT NULL,
    push_token TEXT    NOT NULL,            -- empty for none
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (user_id, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
    user_id    TEXT    NOT NULL,            -- who blocks
    blocked    TEXT    NOT NULL,            -- whom
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked)
) STRICT, WITHOUT ROWID;

-- What a user was told of rooms, by the relay. The authority is `members`.
CREATE TABLE user_rooms (
    user_id TEXT    NOT NULL,
    chat    BLOB    NOT NULL,
    kind    INTEGER NOT NULL,               -- as chats.kind
    state   INTEGER NOT NULL,               -- last change: 1 joined 2 left 3 invited 4 kicked 5 ended 6 reopened
    seq     INTEGER NOT NULL,               -- of the event in the room
    PRIMARY KEY (user_id, chat)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_events (
    user_id   TEXT    NOT NULL,
    seq       INTEGER NOT NULL,             -- dense in the user's personal stream
    kind      INTEGER NOT NULL,             -- 1 room 2 block 3 unblock 4 preferences
    at        INTEGER NOT NULL,
    chat      BLOB,
    chat_kind INTEGER,
    change    INTEGER,                      -- as user_rooms.state
    chat_seq  INTEGER,
    actor     TEXT,                         -- who caused it
    subject   TEXT,                         -- who was blocked or unblocked
    PRIMARY KEY (user_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE read_marks (
    user_id    TEXT    NOT NULL,
    chat       BLOB    NOT NULL,
    seq        INTEGER NOT NULL,            -- the last seq read
    message_no INTEGER NOT NULL,            -- number of the last message at or below seq
    PRIMARY KEY (user_id, chat)
) STRICT, WITHOUT ROWID;
CREATE INDEX read_marks_chat ON read_marks (chat, user_id);

CREATE TABLE chats (
    uuid              BLOB    NOT NULL PRIMARY KEY,
    kind              INTEGER NOT NULL,     -- 1 direct 2 group 3 broadcast 4 open channel
    status            INTEGER NOT NULL,     -- 0 active 1 ended 2 expired
    title             TEXT    NOT NULL,
    channel           TEXT    NOT NULL,     -- the name of an open channel, else empty
    creator           TEXT,
    user1             TEXT,                 -- direct chats: the two users, sorted
    user2             TEXT,
    ended_by_user1    INTEGER NOT NULL,
    ended_by_user2    INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    expires_at        INTEGER,
    last_message_at   INTEGER,
    public            INTEGER NOT NULL,
    may_send          INTEGER NOT NULL,     -- 1 members 2 creator
    max_members       INTEGER NOT NULL,
    history_events    INTEGER NOT NULL,     -- events kept, 0 for all
    history_age_ms    INTEGER NOT NULL,     -- how long an event is kept, 0 for ever
    generation        INTEGER NOT NULL,     -- the protocol's epoch
    head_seq          INTEGER NOT NULL,
    floor_seq         INTEGER NOT NULL,     -- the lowest seq that can be had
    last_message_no   INTEGER NOT NULL,
    opened_seq        INTEGER NOT NULL,     -- the making, or the last reopening of a direct chat: seq, time, command
    opened_at         INTEGER NOT NULL,
    opened_id         BLOB    NOT NULL,
    closed_seq        INTEGER NOT NULL,     -- what ended it; zeros while it lives
    closed_at         INTEGER NOT NULL,
    closed_id         BLOB    NOT NULL,
    window_seq        INTEGER NOT NULL,     -- events from here on are needed to fold; their rows are kept
    evicted_until     INTEGER NOT NULL,     -- client ids with a time up to here may have been seen and forgotten
    applied_offset    INTEGER NOT NULL,     -- first offset of the room's partition not applied to the room
    chain             INTEGER NOT NULL      -- hash chain over (offset, outcome) below that, a signed number (I10)
) STRICT, WITHOUT ROWID;
CREATE INDEX chats_expiry ON chats (expires_at) WHERE expires_at IS NOT NULL AND status = 0;

CREATE TABLE members (
    chat    BLOB    NOT NULL,
    user_id TEXT    NOT NULL,
    state   INTEGER NOT NULL,               -- 0 member 1 invited 2 kicked
    seq     INTEGER NOT NULL,               -- of the event that made it so
    sent_no   INTEGER NOT NULL,             -- number of the last message that the user sent here
    joined_no INTEGER NOT NULL,             -- number of the last message before the user joined
    PRIMARY KEY (chat, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_user ON members (user_id, state, chat);

-- Direct chats: who blocks the other one. May stand before the chat is made.
CREATE TABLE room_blocks (
    chat    BLOB    NOT NULL,
    user_id TEXT    NOT NULL,
    PRIMARY KEY (chat, user_id)
) STRICT, WITHOUT ROWID;

-- The stream of a room: dense. A message's row says only that seq is a message; who, when and what stand in `messages`.
CREATE TABLE room_events (
    chat       BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    kind       INTEGER NOT NULL,            -- 1 created 2 message 3 edited 4 deleted 5 joined 6 left 7 invited 8 kicked
                                            -- 9 updated 10 reopened 11 ended 12 expired 13 uninvited 14 reacted
    actor      TEXT,
    target     INTEGER,                     -- seq of the message that was edited or deleted
    command_id BLOB,
    client_id  TEXT,
    at         INTEGER,
    data       TEXT,                        -- what else belongs to the kind, JSON text
    PRIMARY KEY (chat, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX room_events_target ON room_events (chat, target) WHERE target IS NOT NULL;

-- Messages in their present form.
CREATE TABLE messages (
    chat              BLOB    NOT NULL,
    seq               INTEGER NOT NULL,
    uuid              BLOB    NOT NULL,
    message_no        INTEGER NOT NULL,
    sender            TEXT,
    client_message_id TEXT,
    body              TEXT    NOT NULL,
    message_type      TEXT    NOT NULL,
    status            INTEGER NOT NULL,     -- 0 sent; delivered and read derive from the marks of the members
    metadata          TEXT    NOT NULL,     -- JSON text, or empty
    reply_to          INTEGER,              -- seq of the message that this one answers
    data              BLOB,                 -- open channels: what was published, as it was
    created_at        INTEGER NOT NULL,
    edited            INTEGER NOT NULL,
    edited_at         INTEGER,
    deleted           INTEGER NOT NULL,     -- then nothing of the content is left, here and in the edits' events
    original_body     TEXT,                 -- only once edited: what the message event said
    original_metadata TEXT,
    PRIMARY KEY (chat, seq)
) STRICT, WITHOUT ROWID;

-- Emoji on messages: one row for each user who put it there. They go with the message.
CREATE TABLE reactions (
    chat    BLOB    NOT NULL,
    seq     INTEGER NOT NULL,              -- of the message
    emoji   TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (chat, seq, emoji, user_id)
) STRICT, WITHOUT ROWID;

-- The highest offset of each source that was applied: the relay delivers at least once.
CREATE TABLE room_sources (
    chat             BLOB    NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    PRIMARY KEY (chat, source_partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_sources (
    user_id          TEXT    NOT NULL,
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    PRIMARY KEY (user_id, source_partition)
) STRICT, WITHOUT ROWID;

-- What other partitions must be told; removed after the delivery report.
CREATE TABLE relay_outbox (
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    ord              INTEGER NOT NULL,      -- 0, 1, 2, … within one source record
    target_partition INTEGER NOT NULL,
    record           BLOB    NOT NULL,      -- the encoded record; with `chat`: a pattern, sent to each member of it
    chat             BLOB,
    after_user       TEXT,                  -- with `chat`: members up to and including this one have been told
    PRIMARY KEY (source_partition, source_offset, ord)
) STRICT, WITHOUT ROWID;

-- Records with a valid envelope and an invalid payload, the latest of each partition.
CREATE TABLE dead_letters (
    source_partition INTEGER NOT NULL,
    source_offset    INTEGER NOT NULL,
    at               INTEGER NOT NULL,
    reason           TEXT    NOT NULL,
    record           BLOB    NOT NULL,
    PRIMARY KEY (source_partition, source_offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE analytics_events (
    uuid       BLOB    NOT NULL PRIMARY KEY,
    event_type TEXT    NOT NULL,
    user_id    TEXT,
    chat       BLOB,
    data       TEXT    NOT NULL,            -- JSON text
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    user_id    TEXT    NOT NULL,
    uuid       BLOB    NOT NULL,            -- UUIDv7: the key's order is that of time
    type       TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    data       TEXT    NOT NULL,            -- JSON text
    is_read    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, uuid)
) STRICT, WITHOUT ROWID;
