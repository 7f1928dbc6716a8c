-- Digest of the record before next_offset, as a signed number: a start looks whether the log has that record there. NULL where
-- nothing is stored, or was stored by an older program.
ALTER TABLE watermarks ADD COLUMN last_record INTEGER;
