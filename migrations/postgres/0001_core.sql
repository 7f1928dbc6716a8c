-- The rows of Kervan. Same tables, columns and meaning as migrations/sqlite/0001_core.sql.
--
-- Texts that are sorted or compared are so byte by byte (COLLATE "C"), as SQLite and the program do it.
-- Times are milliseconds since the Unix epoch. A `chat` is a room's uuid. Everything is derived from the journal and can
-- be rebuilt from it, except the account columns of `users`, `analytics_events`, `notifications` and `meta`.

CREATE TABLE meta (
    key   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT     NOT NULL
);

-- One row for each partition of the journal, moved only in the transaction that holds the rows behind it (I6).
CREATE TABLE watermarks (
    partition   SMALLINT NOT NULL PRIMARY KEY,
    next_offset BIGINT   NOT NULL,          -- the first offset that is not in the rows
    log_hash    BIGINT   NOT NULL,          -- running hash of the records below next_offset, as a signed number
    fold_time   BIGINT   NOT NULL,          -- highest append time below next_offset
    fold_version BIGINT  NOT NULL           -- version of the fold that is in force behind next_offset
);
INSERT INTO watermarks (partition, next_offset, log_hash, fold_time, fold_version)
    SELECT n, 0, 0, 0, 1 FROM generate_series(0, 255) AS n;

-- Users. The journal knows them by id; the account columns are empty for users who only ever came with a token.
CREATE TABLE users (
    id                       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username                 TEXT COLLATE "C" ,
    email                    TEXT COLLATE "C" ,
    password_hash            TEXT,
    first_name               TEXT,
    last_name                TEXT,
    avatar_url               TEXT,
    push_token               TEXT,          -- of the device heard of last; all of them are in `devices`
    notification_preferences TEXT,          -- JSON text
    last_activity_at         BIGINT,
    created_at               BIGINT   NOT NULL,
    updated_at               BIGINT   NOT NULL,
    head_seq                 BIGINT   NOT NULL DEFAULT 0,-- of the personal stream
    applied_offset           BIGINT   NOT NULL DEFAULT 0,-- first offset of the user's partition not applied to the user
    chain                    BIGINT   NOT NULL DEFAULT 0-- hash chain over (offset, outcome) below that, a signed number (I10)
);
CREATE UNIQUE INDEX users_username ON users (username) WHERE username IS NOT NULL;
CREATE UNIQUE INDEX users_email ON users (email) WHERE email IS NOT NULL;

CREATE TABLE devices (
    user_id    TEXT COLLATE "C" NOT NULL,
    device     TEXT COLLATE "C" NOT NULL,
    platform   TEXT     NOT NULL,
    push_token TEXT     NOT NULL,           -- empty for none
    seen_at    BIGINT   NOT NULL,
    PRIMARY KEY (user_id, device)
);

CREATE TABLE blocks (
    user_id    TEXT COLLATE "C" NOT NULL,           -- who blocks
    blocked    TEXT COLLATE "C" NOT NULL,           -- whom
    created_at BIGINT   NOT NULL,
    PRIMARY KEY (user_id, blocked)
);

-- What a user was told of rooms, by the relay. The authority is `members`.
CREATE TABLE user_rooms (
    user_id TEXT COLLATE "C" NOT NULL,
    chat    UUID     NOT NULL,
    kind    SMALLINT NOT NULL,              -- as chats.kind
    state   SMALLINT NOT NULL,              -- last change: 1 joined 2 left 3 invited 4 kicked 5 ended 6 reopened
    seq     BIGINT   NOT NULL,              -- of the event in the room
    PRIMARY KEY (user_id, chat)
);

CREATE TABLE user_events (
    user_id   TEXT COLLATE "C" NOT NULL,
    seq       BIGINT   NOT NULL,            -- dense in the user's personal stream
    kind      SMALLINT NOT NULL,            -- 1 room 2 block 3 unblock 4 preferences
    at        BIGINT   NOT NULL,
    chat      UUID,
    chat_kind SMALLINT,
    change    SMALLINT,                      -- as user_rooms.state
    chat_seq  BIGINT,
    actor     TEXT,                         -- who caused it
    subject   TEXT,                         -- who was blocked or unblocked
    PRIMARY KEY (user_id, seq)
);

CREATE TABLE read_marks (
    user_id    TEXT COLLATE "C" NOT NULL,
    chat       UUID     NOT NULL,
    seq        BIGINT   NOT NULL,           -- the last seq read
    message_no BIGINT   NOT NULL,           -- number of the last message at or below seq
    PRIMARY KEY (user_id, chat)
);
CREATE INDEX read_marks_chat ON read_marks (chat, user_id);

CREATE TABLE chats (
    uuid              UUID     NOT NULL PRIMARY KEY,
    kind              SMALLINT NOT NULL,    -- 1 direct 2 group 3 broadcast 4 open channel
    status            SMALLINT NOT NULL,    -- 0 active 1 ended 2 expired
    title             TEXT     NOT NULL,
    channel           TEXT     NOT NULL,    -- the name of an open channel, else empty
    creator           TEXT,
    user1             TEXT,                 -- direct chats: the two users, sorted
    user2             TEXT,
    ended_by_user1    BOOLEAN  NOT NULL,
    ended_by_user2    BOOLEAN  NOT NULL,
    created_at        BIGINT   NOT NULL,
    expires_at        BIGINT,
    last_message_at   BIGINT,
    public            BOOLEAN  NOT NULL,
    may_send          SMALLINT NOT NULL,    -- 1 members 2 creator
    max_members       BIGINT   NOT NULL,
    history_events    BIGINT   NOT NULL,    -- events kept, 0 for all
    history_age_ms    BIGINT   NOT NULL,    -- how long an event is kept, 0 for ever
    generation        BIGINT   NOT NULL,    -- the protocol's epoch
    head_seq          BIGINT   NOT NULL,
    floor_seq         BIGINT   NOT NULL,    -- the lowest seq that can be had
    last_message_no   BIGINT   NOT NULL,
    opened_seq        BIGINT   NOT NULL,    -- the making, or the last reopening of a direct chat: seq, time, command
    opened_at         BIGINT   NOT NULL,
    opened_id         UUID     NOT NULL,
    closed_seq        BIGINT   NOT NULL,    -- what ended it; zeros while it lives
    closed_at         BIGINT   NOT NULL,
    closed_id         UUID     NOT NULL,
    window_seq        BIGINT   NOT NULL,    -- events from here on are needed to fold; their rows are kept
    evicted_until     BIGINT   NOT NULL,    -- client ids with a time up to here may have been seen and forgotten
    applied_offset    BIGINT   NOT NULL,    -- first offset of the room's partition not applied to the room
    chain             BIGINT   NOT NULL     -- hash chain over (offset, outcome) below that, a signed number (I10)
);
CREATE INDEX chats_expiry ON chats (expires_at) WHERE expires_at IS NOT NULL AND status = 0;

CREATE TABLE members (
    chat    UUID     NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    state   SMALLINT NOT NULL,              -- 0 member 1 invited 2 kicked
    seq     BIGINT   NOT NULL,              -- of the event that made it so
    sent_no   BIGINT   NOT NULL,            -- number of the last message that the user sent here
    joined_no BIGINT   NOT NULL,            -- number of the last message before the user joined
    PRIMARY KEY (chat, user_id)
);
CREATE INDEX members_user ON members (user_id, state, chat);

-- Direct chats: who blocks the other one. May stand before the chat is made.
CREATE TABLE room_blocks (
    chat    UUID     NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (chat, user_id)
);

-- The stream of a room: dense. A message's row says only that seq is a message; who, when and what stand in `messages`.
CREATE TABLE room_events (
    chat       UUID     NOT NULL,
    seq        BIGINT   NOT NULL,
    kind       SMALLINT NOT NULL,           -- 1 created 2 message 3 edited 4 deleted 5 joined 6 left 7 invited 8 kicked
                                            -- 9 updated 10 reopened 11 ended 12 expired 13 uninvited 14 reacted
    actor      TEXT,
    target     BIGINT,                     -- seq of the message that was edited or deleted
    command_id UUID,
    client_id  TEXT,
    at         BIGINT,
    data       TEXT,                        -- what else belongs to the kind, JSON text
    PRIMARY KEY (chat, seq)
);
CREATE INDEX room_events_target ON room_events (chat, target) WHERE target IS NOT NULL;

-- Messages in their present form.
CREATE TABLE messages (
    chat              UUID     NOT NULL,
    seq               BIGINT   NOT NULL,
    uuid              UUID     NOT NULL,
    message_no        BIGINT   NOT NULL,
    sender            TEXT,
    client_message_id TEXT,
    body              TEXT     NOT NULL,
    message_type      TEXT     NOT NULL,
    status            SMALLINT NOT NULL,    -- 0 sent; delivered and read derive from the marks of the members
    metadata          TEXT     NOT NULL,    -- JSON text, or empty
    reply_to          BIGINT,              -- seq of the message that this one answers
    data              BYTEA,                 -- open channels: what was published, as it was
    created_at        BIGINT   NOT NULL,
    edited            BOOLEAN  NOT NULL,
    edited_at         BIGINT,
    deleted           BOOLEAN  NOT NULL,    -- then nothing of the content is left, here and in the edits' events
    original_body     TEXT,                 -- only once edited: what the message event said
    original_metadata TEXT,
    PRIMARY KEY (chat, seq)
);

-- Emoji on messages: one row for each user who put it there. They go with the message.
CREATE TABLE reactions (
    chat    UUID    NOT NULL,
    seq     BIGINT  NOT NULL,              -- of the message
    emoji   TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (chat, seq, emoji, user_id)
);

-- The highest offset of each source that was applied: the relay delivers at least once.
CREATE TABLE room_sources (
    chat             UUID     NOT NULL,
    source_partition SMALLINT NOT NULL,
    source_offset    BIGINT   NOT NULL,
    PRIMARY KEY (chat, source_partition)
);

CREATE TABLE user_sources (
    user_id          TEXT COLLATE "C" NOT NULL,
    source_partition SMALLINT NOT NULL,
    source_offset    BIGINT   NOT NULL,
    PRIMARY KEY (user_id, source_partition)
);

-- What other partitions must be told; removed after the delivery report.
CREATE TABLE relay_outbox (
    source_partition SMALLINT NOT NULL,
    source_offset    BIGINT   NOT NULL,
    ord              BIGINT   NOT NULL,     -- 0, 1, 2, … within one source record
    target_partition SMALLINT NOT NULL,
    record           BYTEA    NOT NULL,     -- the encoded record; with `chat`: a pattern, sent to each member of it
    chat             UUID,
    after_user       TEXT,                  -- with `chat`: members up to and including this one have been told
    PRIMARY KEY (source_partition, source_offset, ord)
);

-- Records with a valid envelope and an invalid payload, the latest of each partition.
CREATE TABLE dead_letters (
    source_partition SMALLINT NOT NULL,
    source_offset    BIGINT   NOT NULL,
    at               BIGINT   NOT NULL,
    reason           TEXT     NOT NULL,
    record           BYTEA    NOT NULL,
    PRIMARY KEY (source_partition, source_offset)
);

CREATE TABLE analytics_events (
    uuid       UUID     NOT NULL PRIMARY KEY,
    event_type TEXT     NOT NULL,
    user_id    TEXT COLLATE "C" ,
    chat       UUID,
    data       TEXT     NOT NULL,           -- JSON text
    created_at BIGINT   NOT NULL
);

CREATE TABLE notifications (
    user_id    TEXT COLLATE "C" NOT NULL,
    uuid       UUID     NOT NULL,           -- UUIDv7: the key's order is that of time
    type       TEXT     NOT NULL,
    title      TEXT     NOT NULL,
    message    TEXT     NOT NULL,
    data       TEXT     NOT NULL,           -- JSON text
    is_read    BOOLEAN  NOT NULL,
    created_at BIGINT   NOT NULL,
    PRIMARY KEY (user_id, uuid)
);
