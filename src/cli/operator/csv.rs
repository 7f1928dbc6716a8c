//! Lines of JSON as CSV (RFC 4180): a header of the API's names, then a record a line.
//!
//! Values are the API's, for programs; only dates are written as in a table, because no spreadsheet reads milliseconds of an
//! epoch. Rooms' titles and users' ids are what strangers chose: a text that a spreadsheet would run as a formula gets a `'`
//! before it, and a control character never reaches a terminal. JSON has them exactly.

use serde_json::Value;

use super::table::{As, Column, of_name, text};

/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// The header and a record for each line.
pub(super) fn csv(lines: &[Value], columns: &[Column]) -> String {
    let name = |at: &str| at.trim_start_matches('/').to_owned();
    let value = |line: &Value, (_, at, kind): &Column| cell(line.pointer(at).unwrap_or(&Value::Null), *kind);
    let rows = lines.iter().map(|line| columns.iter().map(|column| value(line, column)).collect());
    written(columns.iter().map(|(_, at, _)| name(at)).collect(), rows)
}

/// One thing: a column for each of its values; what is a list or has parts is JSON.
pub(super) fn one(thing: &Value) -> String {
    let fields = thing.as_object().into_iter().flatten();
    let (head, row) = fields.map(|(name, value)| (name.clone(), cell(value, of_name(name)))).unzip();
    written(head, std::iter::once(row))
}

fn written(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    std::iter::once(head).chain(rows).map(|row| row.join(",") + "\r\n").collect()
}

fn cell(value: &Value, kind: As) -> String {
    match (value, kind) {
        (Value::Null, _) => String::new(),
        (Value::Number(number), As::Date) if number.as_u64() == Some(0) => String::new(),
        (Value::Number(_), As::Date) | (Value::Array(_), As::Range) => text(value, kind),
        (Value::String(text), _) => quoted(&harmless(text)),
        (other, _) => quoted(&other.to_string()),
    }
}

fn harmless(text: &str) -> String {
    let sign = if text.starts_with(FORMULA) || text.starts_with(char::is_control) { "'" } else { "" };
    let keep = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    sign.chars().chain(text.chars().map(keep)).collect()
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_end_a_cell_is_quoted_and_what_would_run_is_text() {
        let lines = [
            json!({ "id": "a,b", "title": "say \"hi\"\nthere", "n": -5, "at": 0, "age_ms": 61_000, "slots": [0, 63] }),
            json!({ "id": "=HYPERLINK(1)", "title": "\u{1b}[2J", "n": null, "at": 951_782_399_000_u64, "on": true }),
        ];
        let columns = [
            ("id", "/id", As::Plain),
            ("title", "/title", As::Plain),
            ("n", "/n", As::Plain),
            ("when", "/at", As::Date),
            ("age", "/age_ms", As::Span),
            ("slots", "/slots", As::Range),
            ("on", "/on", As::Plain),
        ];
        let expected = "id,title,n,at,age_ms,slots,on\r\n\"a,b\",\"say \"\"hi\"\"\nthere\",-5,,61000,0-63,\r\n\
                        '=HYPERLINK(1),'\u{fffd}[2J,,2000-02-28T23:59:59Z,,,true\r\n";
        assert_eq!(csv(&lines, &columns), expected);
        for (text, expected) in [("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\ta", "'\ta"), (" a", "\" a\"")] {
            assert_eq!(cell(&json!(text), As::Plain), expected);
        }
    }

    #[test]
    fn of_one_thing_the_lists_are_json() {
        let thing = json!({ "banned": false, "created_at": 0, "rooms": [{ "room": "r" }] });
        assert_eq!(one(&thing), "banned,created_at,rooms\r\nfalse,,\"[{\"\"room\"\":\"\"r\"\"}]\"\r\n");
    }
}
