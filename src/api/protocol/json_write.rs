//! A small writer of JSON objects, straight into bytes: the values are written by `serde_json`, the braces, the keys and
//! payloads here. Derived, a payload would be read again, byte by byte, before it may be copied: a reply took three times
//! as long (decision 0017).
//!
//! Fields that are empty, zero or false are left out, as the reference server does; those that must be there are written
//! through [`ObjectWriter::key`].

use std::collections::BTreeMap;

/// An object being written: the comma before all keys but the first.
pub(in crate::api) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

/// Writes `{`, what `fill` adds, `}`.
pub(in crate::api) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push(b'{');
    fill(&mut ObjectWriter { out, first: true });
    out.push(b'}');
}

impl ObjectWriter<'_> {
    /// Writes a key (which needs no escapes: it is one of ours) and gives the place for its value.
    pub(in crate::api) fn key(&mut self, key: &'static str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A string, unless it is empty.
    pub(in crate::api) fn text(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            string(self.key(key), value);
        }
    }

    /// A number, unless it is 0.
    pub(in crate::api) fn number(&mut self, key: &'static str, value: u64) {
        if value != 0 {
            number(self.key(key), value);
        }
    }

    /// A time, unless it is 0 or before the epoch.
    pub(in crate::api) fn time(&mut self, key: &'static str, value: i64) {
        self.number(key, u64::try_from(value).unwrap_or(0));
    }

    /// `true`, or nothing.
    pub(in crate::api) fn flag(&mut self, key: &'static str, value: bool) {
        if value {
            self.key(key).extend_from_slice(b"true");
        }
    }

    /// JSON text as it is, unless it is empty.
    pub(in crate::api) fn payload(&mut self, key: &'static str, value: &[u8]) {
        if !value.is_empty() {
            payload(self.key(key), value);
        }
    }

    /// An object.
    pub(in crate::api) fn object(&mut self, key: &'static str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        object(self.key(key), fill);
    }

    /// An array, unless it is empty.
    pub(in crate::api) fn list<T>(&mut self, key: &'static str, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
        if items.is_empty() {
            return;
        }
        let out = self.key(key);
        for (i, one) in items.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            item(out, one);
        }
        out.push(b']');
    }

    /// An object of values by text keys.
    pub(in crate::api) fn map<V>(
        &mut self,
        key: &'static str,
        map: &BTreeMap<String, V>,
        mut value: impl FnMut(&mut Vec<u8>, &V),
    ) {
        let out = self.key(key);
        out.push(b'{');
        for (i, (key, item)) in map.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            string(out, key);
            out.push(b':');
            value(out, item);
        }
        out.push(b'}');
    }
}

/// Writes a string with its quotes and escapes.
pub(in crate::api) fn string(out: &mut Vec<u8>, value: &str) {
    // A `Vec` takes everything.
    let _ = serde_json::to_writer(out, value);
}

/// Writes a number.
pub(in crate::api) fn number(out: &mut Vec<u8>, value: u64) {
    let _ = serde_json::to_writer(out, &value);
}

/// Writes JSON text as it is, but for line breaks: they are white space there, and would end the message's line. A
/// carriage return is one, too: an event stream (SSE) ends lines at either.
pub(in crate::api) fn payload(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    for byte in &mut out[start..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}
