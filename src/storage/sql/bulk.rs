//! Statements over a list of rows: SQLite takes the rows as `VALUES`, in pieces; PostgreSQL takes each column as an array,
//! however many rows there are.

use std::sync::{Arc, OnceLock};

use super::postgres;

/// Rows that one bulk statement of SQLite takes: a batch is cut into pieces of these sizes, so that a handful of prepared
/// statements serves every batch.
const PIECES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A statement over a list of rows.
#[derive(Clone)]
pub(in crate::storage) struct Bulk {
    head: Arc<str>,
    columns: usize,
    tail: Arc<str>,
    /// For SQLite: one for each size of [`PIECES`].
    texts: [Arc<str>; PIECES.len()],
    /// For PostgreSQL: the one text, made when the kinds of the columns are seen first.
    of_arrays: Arc<OnceLock<Arc<str>>>,
}

impl Bulk {
    /// `head`, the list, `tail`; of so many columns.
    pub(in crate::storage) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let tuple = format!("({})", vec!["?"; columns].join(","));
        let text = |rows: usize| Arc::from(format!("{head} VALUES {}{tail}", vec![tuple.as_str(); rows].join(",")));
        let texts = PIECES.map(text);
        Self { head: Arc::from(head), columns, tail: Arc::from(tail), texts, of_arrays: Arc::default() }
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

    /// For SQLite: cuts `len` rows into pieces: (text, rows).
    pub(in crate::storage) fn pieces(&self, len: usize) -> impl Iterator<Item = (Arc<str>, usize)> + '_ {
        let mut left = len;
        std::iter::from_fn(move || {
            let at = PIECES.iter().position(|size| *size <= left)?;
            left -= PIECES[at];
            Some((self.texts[at].clone(), PIECES[at]))
        })
    }

    /// How many values a row has.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// PostgreSQL's text; `kinds` are the types of its columns, always the same ones.
    pub(super) fn of_arrays(&self, kinds: &[&'static str]) -> Arc<str> {
        let text = || {
            let arrays: Vec<String> = (1..).zip(kinds).map(|(n, kind)| format!("${n}::{kind}[]")).collect();
            let (tail, rest) = postgres::without_hint(&self.tail);
            Arc::from(format!("{} SELECT * FROM unnest({}){tail}{rest}", self.head, arrays.join(", ")))
        };
        Arc::clone(self.of_arrays.get_or_init(text))
    }

    /// Every text, for the test of plans.
    #[cfg(test)]
    pub(in crate::storage) fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.texts.iter()
    }
}
