//! `.env` of the working directory, read as the `dotenv` of Node.js does: a program that signs tokens with a secret from
//! this file means the same bytes here.
//!
//! `NAME=value`, perhaps after `export`. Without quotes a value ends at `#` or the end of the line; in '…', "…" or `…` it
//! may have several lines, and in "…" `\n` is a line's end. Nothing is expanded: a `$` stays one. A line that is no
//! setting is skipped, for the file may have lines of other programs.

/// A setting of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub value: String,
    /// Where it begins, counted from 1.
    pub line: usize,
}

/// The settings of a file, the last of each name only.
pub(super) fn read(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut rest, mut line) = (text.strip_prefix('\u{feff}').unwrap_or(text), 1);
    while !rest.is_empty() {
        let mut length = 0;
        if let Some((name, value, read)) = assignment(rest) {
            entries.retain(|entry| entry.name != name);
            entries.push(Entry { name: name.to_owned(), value, line });
            length = read;
        }
        // What stands behind a value on its line is a comment.
        let end = rest[length..].find('\n').map_or(rest.len(), |at| length + at + 1);
        line += rest[..end].matches('\n').count();
        rest = &rest[end..];
    }
    entries
}

/// Name, value and length of the setting that a text begins with.
fn assignment(text: &str) -> Option<(&str, String, usize)> {
    let line = text.lines().next()?;
    let (before, after) = line.split_once('=')?;
    let before = before.trim();
    let name = before.strip_prefix("export ").map_or(before, str::trim);
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(part) {
        return None;
    }
    let begin = line.len() - after.len();
    let space = after.len() - after.trim_start().len();
    let value = &text[begin + space..];
    for quote in ['\'', '"', '`'] {
        let Some(inner) = value.strip_prefix(quote) else { continue };
        let Some(close) = closing(inner, quote) else { break };
        let plain = match quote {
            '"' => inner[..close].replace("\\n", "\n").replace("\\r", "\r"),
            _ => inner[..close].to_owned(),
        };
        return Some((name, plain, begin + space + close + 2));
    }
    let plain = after.split_once('#').map_or(after, |(value, _)| value).trim();
    Some((name, plain.to_owned(), line.len()))
}

/// Where the quote ends: at the next one without a backslash before it.
fn closing(text: &str, quote: char) -> Option<usize> {
    text.match_indices(quote).map(|(at, _)| at).find(|at| !text[..*at].ends_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_means_what_it_means_to_node() {
        let text = "\u{feff}# a comment\nPORT=4000\nexport JWT_SECRET = 'a#b $c'  # why\nAPP=My App # no\r\n\n\
                    KEY=\"one\\ntwo\nthree\"\nQUOTE=\"it's\"\nEMPTY=\nOPEN='no end\nnonsense\n=x\nPORT=5000";
        let read: Vec<_> = read(text).into_iter().map(|entry| (entry.name, entry.value, entry.line)).collect();
        let expected = [
            ("JWT_SECRET", "a#b $c", 3),
            ("APP", "My App", 4),
            ("KEY", "one\ntwo\nthree", 6),
            ("QUOTE", "it's", 8),
            ("EMPTY", "", 9),
            ("OPEN", "'no end", 10),
            ("PORT", "5000", 13),
        ];
        assert_eq!(read, expected.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line)));
    }

    #[test]
    fn no_text_is_too_odd_for_it() {
        for text in ["", "=", "\n", "A='", "A=\"\\\"", "é=1", "A=`x", "A", "A=é'", "\r\n\r\n"] {
            read(text);
        }
    }
}
