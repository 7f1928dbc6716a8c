//! Statements over a list of rows.

use std::sync::Arc;

/// Rows that one bulk statement takes: a batch is cut into pieces of these sizes, so that a handful of prepared
/// statements serves every batch.
const PIECES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A statement over a list of rows, in one text for each size of [`PIECES`].
#[derive(Clone)]
pub(in crate::storage) struct Bulk {
    texts: [Arc<str>; PIECES.len()],
}

impl Bulk {
    /// `head`, the list, `tail`; of so many columns.
    pub(in crate::storage) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let tuple = format!("({})", vec!["?"; columns].join(","));
        let text = |rows: usize| Arc::from(format!("{head} VALUES {}{tail}", vec![tuple.as_str(); rows].join(",")));
        Self { texts: PIECES.map(text) }
    }

    /// An insert that expects new rows.
    pub(in crate::storage) fn insert(table: &str, columns: &str) -> Self {
        Self::new(&format!("INSERT INTO {table} ({columns})"), columns.split(',').count(), "")
    }

    /// An insert that leaves what is there.
    pub(in crate::storage) fn once(table: &str, columns: &str, key: &str) -> Self {
        let tail = format!(" ON CONFLICT ({key}) DO NOTHING");
        Self::new(&format!("INSERT INTO {table} ({columns})"), columns.split(',').count(), &tail)
    }

    /// An insert that replaces what is there, except for the key and what `keep` names.
    pub(in crate::storage) fn upsert(table: &str, columns: &str, key: &str, keep: &[&str]) -> Self {
        let names = |list: &str| list.split(',').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
        let keys = names(key);
        let set: Vec<String> = names(columns)
            .into_iter()
            .filter(|c| !keys.contains(c) && !keep.contains(&c.as_str()))
            .map(|c| format!("{c}=excluded.{c}"))
            .collect();
        let tail = format!(" ON CONFLICT ({key}) DO UPDATE SET {}", set.join(","));
        Self::new(&format!("INSERT INTO {table} ({columns})"), columns.split(',').count(), &tail)
    }

    /// A statement about the rows that a list names, which it knows as `v`.
    pub(in crate::storage) fn about(columns: &str, statement: &str) -> Self {
        Self::new(&format!("WITH v({columns}) AS ("), columns.split(',').count(), &format!(") {statement}"))
    }

    /// Cuts `len` rows into pieces: (text, rows).
    pub(in crate::storage) fn pieces(&self, len: usize) -> impl Iterator<Item = (Arc<str>, usize)> + '_ {
        let mut left = len;
        std::iter::from_fn(move || {
            let at = PIECES.iter().position(|size| *size <= left)?;
            left -= PIECES[at];
            Some((self.texts[at].clone(), PIECES[at]))
        })
    }

    /// Every text, for the test of plans.
    #[cfg(test)]
    pub(in crate::storage) fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.texts.iter()
    }
}
