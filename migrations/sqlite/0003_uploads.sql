-- Files that were uploaded into chats. Written directly, not derived from the journal: a message names the upload in its
-- metadata. The bytes lie in an object store under chat and id.

CREATE TABLE uploads (
    id         BLOB    NOT NULL PRIMARY KEY,
    chat       BLOB    NOT NULL,
    user_id    TEXT    NOT NULL,                -- whose quota it counts on
    name       TEXT    NOT NULL,
    media_type TEXT    NOT NULL,                -- by content
    size       INTEGER NOT NULL,
    width      INTEGER,                         -- of an image
    height     INTEGER,
    thumbnail  INTEGER NOT NULL,                -- whether there is one
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_user ON uploads (user_id, size);
