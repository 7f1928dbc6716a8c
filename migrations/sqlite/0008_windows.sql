-- The dedupe windows of busy rooms, packed: each row is a stretch of events without their content, and never changes. They
-- are made from room_events and messages, and can be made again.

CREATE TABLE room_windows (
    chat      BLOB    NOT NULL,
    first_seq INTEGER NOT NULL,
    piece     BLOB    NOT NULL,
    PRIMARY KEY (chat, first_seq)
) STRICT, WITHOUT ROWID;
