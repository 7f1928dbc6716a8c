//! Pages bounded in bytes: as many items as fit, one at least, so that every page makes progress.

use std::io;

use serde::Serialize;

use crate::limits;

/// How many of `items` go into a page, from the first one on, by the JSON that they become. One at least if there are any.
pub(crate) fn fitting<'a, T: Serialize + 'a>(items: impl Iterator<Item = &'a T>) -> usize {
    let mut bytes = 0usize;
    let mut fit = 0;
    for item in items {
        bytes = bytes.saturating_add(json_bytes(item));
        if fit > 0 && bytes > limits::PAGE_BYTES {
            break;
        }
        fit += 1;
    }
    fit
}

/// Bytes of the JSON of a value.
fn json_bytes(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    // What can't be written is refused when it is to be sent.
    if serde_json::to_writer(&mut counted, value).is_err() {
        return 0;
    }
    counted.0
}

struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_fits_as_it_is_sent_and_one_item_at_least() {
        assert_eq!(fitting(Vec::<String>::new().iter()), 0);
        assert_eq!(fitting(["x".repeat(limits::PAGE_BYTES * 2), String::new()].iter()), 1);
        let tenth = limits::PAGE_BYTES / 10 - 2;
        assert_eq!(fitting(vec!["x".repeat(tenth); 20].iter()), 10);
        assert_eq!(fitting(vec!["\"".repeat(tenth); 20].iter()), 5, "a quote takes two bytes");
        assert_eq!(fitting(vec!["\u{1}".repeat(tenth); 20].iter()), 1, "a control character takes six");
    }
}
