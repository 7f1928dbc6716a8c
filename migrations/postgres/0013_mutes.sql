-- A user mutes a room: its messages notify the user no more.

ALTER TABLE user_rooms ADD COLUMN muted_until BIGINT  NOT NULL DEFAULT 0;     -- zero if it is not muted
