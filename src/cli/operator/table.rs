//! Lines of JSON as a table for people.

use serde_json::Value;

/// How a value is written.
#[derive(Clone, Copy)]
pub(super) enum As {
    /// As it is; lists and null as little as possible.
    Plain,
    /// Milliseconds as a span of time.
    Span,
    /// Milliseconds since the epoch as a date.
    Date,
}

/// A column: its head, where its value is (a JSON pointer), how it is written.
pub(super) type Column = (&'static str, &'static str, As);

/// The table, with its head. Without lines, that there is nothing.
pub(super) fn table(lines: &[Value], columns: &[Column]) -> String {
    if lines.is_empty() {
        return "nothing\n".to_owned();
    }
    let head: Vec<String> = columns.iter().map(|(head, ..)| head.to_uppercase()).collect();
    let cell = |line: &Value, (_, at, kind): &Column| text(line.pointer(at).unwrap_or(&Value::Null), *kind);
    let rows = lines.iter().map(|line| columns.iter().map(|column| cell(line, column)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A value alone.
pub(super) fn text(value: &Value, kind: As) -> String {
    match (value, kind) {
        (Value::Null, _) => "-".to_owned(),
        (Value::Number(number), As::Span) => span(number.as_u64().unwrap_or(0)),
        (Value::Number(number), As::Date) => date(number.as_u64().unwrap_or(0)),
        // What others wrote must not move the cursor of a terminal.
        (Value::String(text), _) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        (Value::Array(items), _) => items.iter().map(|item| self::text(item, As::Plain)).collect::<Vec<_>>().join(" "),
        (other, _) => other.to_string(),
    }
}

fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0 if ms > 0 => format!("{ms}ms"),
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d{}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// In UTC. The days are counted by the rule of the Gregorian calendar, from March on, so that a leap day is a year's last.
fn date(ms: u64) -> String {
    let (days, s) = (ms / 86_400_000, ms / 1_000 % 86_400);
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + later;
    format!("{year:04}-{month:02}-{of_month:02}T{:02}:{:02}:{:02}Z", s / 3_600, s % 3_600 / 60, s % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let lines = [json!({ "a": "é", "b": 61_000 }), json!({ "a": "long\u{1b}[2J", "b": null })];
        let shown = table(&lines, &[("a", "/a", As::Plain), ("time", "/b", As::Span)]);
        assert_eq!(shown, "A         TIME\né         1m1s\nlong\u{fffd}[2J  -\n");
        assert_eq!(table(&[], &[]), "nothing\n");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59Z"),
        ] {
            assert_eq!(date(ms), expected);
        }
    }
}
