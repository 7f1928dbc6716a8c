//! Every SQL text of the uploads, so that one test can look at the plan of each.

macro_rules! columns {
    () => {
        "id, chat, user_id, name, media_type, size, width, height, thumbnail, created_at"
    };
}

/// Only if the user's files are not above the quota with it, in bytes and in number.
pub(super) const ADD: &str = concat!(
    "INSERT INTO uploads (",
    columns!(),
    ") SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ? \
     WHERE (SELECT COALESCE(SUM(size), 0) FROM uploads WHERE user_id = ?) + ? <= ? \
     AND (SELECT COUNT(*) FROM uploads WHERE user_id = ?) < ?"
);
pub(super) const USED: &str = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), COUNT(*) FROM uploads WHERE user_id = ?";
pub(super) const GET: &str = concat!("SELECT ", columns!(), " FROM uploads WHERE id = ?");
/// For whoever carries all of them elsewhere.
pub(super) const LIST: &str = concat!("SELECT ", columns!(), " FROM uploads");
pub(super) const REMOVE: &str = "DELETE FROM uploads WHERE id = ?";

/// All of them but `LIST`, which reads the whole table, for the test of plans.
#[cfg(test)]
pub(in crate::storage) const ALL: [&str; 4] = [ADD, USED, GET, REMOVE];
