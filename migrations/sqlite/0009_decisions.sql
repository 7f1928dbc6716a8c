-- What was decided on commands that left no event of a room, packed: a producer may repeat any command, and is answered as
-- before. Of commands that left one the events' rows say it.

CREATE TABLE room_decisions (
    chat      BLOB NOT NULL PRIMARY KEY,
    decisions BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The same of a user's commands, events or not: they are few.
ALTER TABLE users ADD COLUMN decisions BLOB;

-- Where state is 1: the seq of the kick before the invitation. It counts again if the user does not enter.
ALTER TABLE members ADD COLUMN kicked INTEGER;
