-- People are found by their last name, too.

ALTER TABLE users ADD COLUMN last_key TEXT COLLATE "C";         -- the last name in lower case
UPDATE users SET last_key = lower(last_name) WHERE last_name <> '';
CREATE INDEX users_last_key ON users (last_key) WHERE last_key IS NOT NULL;
