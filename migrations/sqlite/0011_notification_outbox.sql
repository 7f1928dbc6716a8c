-- What the notification worker keeps. None of it is derived from the journal: rows that are built anew leave it alone.

-- How far each partition of the journal was decided on, moved only in the transaction that holds what was decided.
CREATE TABLE notification_cursors (
    partition   INTEGER NOT NULL PRIMARY KEY,
    next_offset INTEGER NOT NULL,           -- the first offset that is not decided on
    after_user  TEXT    NOT NULL,           -- members up to and including this one are decided on at next_offset; empty for none
    latest      INTEGER NOT NULL            -- no record below next_offset has a later fold time
) STRICT, WITHOUT ROWID;

-- What providers have not taken yet, and what they never will.
CREATE TABLE notification_outbox (
    id         BLOB    NOT NULL PRIMARY KEY,    -- follows from channel, device, user, chat, seq and kind; the provider's idempotency key
    channel    TEXT    NOT NULL,            -- which provider
    device     TEXT    NOT NULL,            -- of the user; empty where the provider does not want to know
    user_id    TEXT    NOT NULL,
    chat       BLOB    NOT NULL,
    seq        INTEGER NOT NULL,            -- of the message
    kind       TEXT    NOT NULL,
    actor      TEXT,                        -- who sent it
    row_uuid   BLOB    NOT NULL,            -- the row of `notifications`
    created_at INTEGER NOT NULL,            -- of the message
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,            -- not before; while it is claimed: when the claim ends
    claim      BLOB,                        -- of whoever sends it
    reason     TEXT    NOT NULL,            -- why the last attempt failed
    dead_at    INTEGER                      -- since when nobody tries any more
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_outbox_due ON notification_outbox (next_at, id) WHERE dead_at IS NULL;
CREATE INDEX notification_outbox_dead ON notification_outbox (dead_at, id) WHERE dead_at IS NOT NULL;
