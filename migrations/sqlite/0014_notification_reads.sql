-- That notifications were read is a fact of their user: what is read up to an id stands in the user's row, and the event says it.

ALTER TABLE users ADD COLUMN notifications_read BLOB;      -- all up to this one are read; null for none
ALTER TABLE user_events ADD COLUMN data TEXT;              -- of kind 5 (notifications read): what was read, JSON
