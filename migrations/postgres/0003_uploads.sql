-- Files that were uploaded into chats. Written directly, not derived from the journal: a message names the upload in its
-- metadata. The bytes lie in an object store under chat and id.

CREATE TABLE uploads (
    id         UUID    NOT NULL PRIMARY KEY,
    chat       UUID    NOT NULL,
    user_id    TEXT COLLATE "C" NOT NULL,                -- whose quota it counts on
    name       TEXT    NOT NULL,
    media_type TEXT    NOT NULL,                -- by content
    size       BIGINT  NOT NULL,
    width      BIGINT,                          -- of an image
    height     BIGINT,
    thumbnail  BOOLEAN NOT NULL,                -- whether there is one
    created_at BIGINT  NOT NULL
);
CREATE INDEX uploads_user ON uploads (user_id, size);
