-- Accounts: signing in, and what takes tokens back. Written directly, not derived from the journal.

ALTER TABLE users ADD COLUMN name_key TEXT COLLATE "C";        -- "first last" in lower case, to be found by
ALTER TABLE users ADD COLUMN banned_at BIGINT ;     -- all of the user's tokens are refused
ALTER TABLE users ADD COLUMN tokens_from BIGINT ;   -- tokens made before are refused
CREATE INDEX users_name_key ON users (name_key) WHERE name_key IS NOT NULL;
CREATE INDEX users_banned ON users (id) WHERE banned_at IS NOT NULL;
CREATE INDEX users_tokens_from ON users (id) WHERE tokens_from IS NOT NULL;

-- One row for each time that somebody signed in: a family of refresh tokens, of which one counts.
CREATE TABLE sign_ins (
    id            UUID    NOT NULL PRIMARY KEY,      -- the `sid` of its access tokens
    user_id       TEXT COLLATE "C" NOT NULL,
    refresh_hash  BYTEA    NOT NULL,                 -- SHA-256 of the secret that counts
    previous_hash BYTEA,                             -- of the one before: who shows it has lost an answer, or stolen it
    rotated_at    BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT  NOT NULL,
    revoked_at    BIGINT ,
    salt          BYTEA   NOT NULL,                 -- makes each secret from the one before
    agent         TEXT    NOT NULL                  -- what signed in, in its own words
);
CREATE INDEX sign_ins_user ON sign_ins (user_id, created_at);
CREATE INDEX sign_ins_revoked ON sign_ins (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX sign_ins_expires ON sign_ins (expires_at);
