//! Lines of JSON as a table for people, one value as text, and everything there is about one thing.

use serde_json::Value;

use crate::cli::terminal::Colours;

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum As {
    /// As it is; lists and null as little as possible.
    Plain,
    /// Milliseconds as a span of time.
    Span,
    /// Milliseconds since the epoch as a date.
    Date,
    /// So many a second, with one decimal.
    Rate,
    /// The first and the last of a list of two.
    Range,
    /// How something is, in the colour of what that means.
    State,
}

/// A column: its head, where its value is (a JSON pointer), how it is written.
pub(in crate::cli) type Column = (&'static str, &'static str, As);

/// The table, with its head. Numbers are at the right of their columns.
pub(super) fn table(lines: &[Value], columns: &[Column], colours: Colours) -> String {
    let named: Vec<(String, &str, As)> =
        columns.iter().map(|(head, at, kind)| ((*head).to_owned(), *at, *kind)).collect();
    written(lines, &named, colours)
}

fn written(lines: &[Value], columns: &[(String, &str, As)], colours: Colours) -> String {
    let head: Vec<String> = columns.iter().map(|(head, ..)| head.to_uppercase().replace('_', " ")).collect();
    let value = |line: &Value, at: &str| line.pointer(at).cloned().unwrap_or(Value::Null);
    let cell = |line: &Value, (_, at, kind): &(String, &str, As)| text(&value(line, at), *kind);
    let rows = lines.iter().map(|line| columns.iter().map(|column| cell(line, column)).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let right: Vec<bool> = columns
        .iter()
        .map(|(_, at, kind)| {
            let values: Vec<Value> = lines.iter().map(|line| value(line, at)).collect();
            let number = |value: &Value| value.is_number() || (value.is_null() && !values.iter().all(Value::is_null));
            *kind != As::Date && !values.is_empty() && values.iter().all(number)
        })
        .collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            let blank = " ".repeat(widths[n] - cell.chars().count());
            let painted = match columns[n].2 {
                _ if number == 0 => colours.head(cell),
                As::State => colours.state(cell),
                _ => cell.clone(),
            };
            line.push_str(&if right[n] { blank + &painted } else { painted + &blank });
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The first column alone, for programs that read names.
pub(super) fn names(lines: &[Value], columns: &[Column]) -> String {
    let name =
        |line: &Value| columns.first().map(|(_, at, kind)| text(line.pointer(at).unwrap_or(&Value::Null), *kind));
    lines.iter().filter_map(name).map(|name| name + "\n").collect()
}

/// All there is about one thing: a line for each value, then a table for each list of things.
pub(super) fn details(thing: &Value, colours: Colours) -> String {
    let Value::Object(fields) = thing else { return text(thing, As::Plain) + "\n" };
    let (mut out, mut tables) = (String::new(), String::new());
    for (name, value) in fields {
        // A page of a list, or the list itself.
        let list = value.get("items").unwrap_or(value).as_array().filter(|list| list.iter().any(Value::is_object));
        match list {
            Some(list) => {
                let more = if value["next"].is_string() { ", the first of them" } else { "" };
                tables.push_str(&format!(
                    "\n{} ({}{more})\n{}",
                    name.to_uppercase().replace('_', " "),
                    list.len(),
                    of_objects(list, colours)
                ));
            }
            None => {
                let shown = text(value.get("items").unwrap_or(value), of_name(name));
                let shown = if of_name(name) == As::State { colours.state(&shown) } else { shown };
                out.push_str(&format!("{name:<18} {shown}\n"));
            }
        }
    }
    out + &tables
}

/// A table whose columns are the fields of its lines.
fn of_objects(lines: &[Value], colours: Colours) -> String {
    let mut heads: Vec<&String> = Vec::new();
    for (head, _) in lines.iter().filter_map(Value::as_object).flatten() {
        if !heads.contains(&head) {
            heads.push(head);
        }
    }
    let pointers: Vec<String> =
        heads.iter().map(|head| format!("/{}", head.replace('~', "~0").replace('/', "~1"))).collect();
    let columns: Vec<_> =
        heads.iter().zip(&pointers).map(|(head, at)| ((*head).clone(), at.as_str(), of_name(head))).collect();
    written(lines, &columns, colours)
}

/// What a field's name says of its value.
pub(super) fn of_name(name: &str) -> As {
    match name {
        "state" | "status" => As::State,
        "since" => As::Date,
        "rate" => As::Rate,
        "slots" => As::Range,
        name if name.ends_with("_at") => As::Date,
        name if name.ends_with("_ms") => As::Span,
        _ => As::Plain,
    }
}

/// A value alone. Nothing is `-`, as is what there is no text for.
pub(super) fn text(value: &Value, kind: As) -> String {
    match (value, kind) {
        (Value::Null, _) => "-".to_owned(),
        (Value::Number(number), As::Span) => span(number.as_u64().unwrap_or(0)),
        (Value::Number(number), As::Date) if number.as_u64() == Some(0) => "-".to_owned(),
        (Value::Number(number), As::Date) => date(number.as_u64().unwrap_or(0)),
        (Value::Number(number), As::Rate) => format!("{:.1}", number.as_f64().unwrap_or(0.0)),
        (Value::Bool(yes), _) => if *yes { "yes" } else { "no" }.to_owned(),
        (Value::String(text), _) if text.is_empty() => "-".to_owned(),
        // What others wrote must not move the cursor of a terminal.
        (Value::String(text), _) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        (Value::Array(items), _) if items.is_empty() => "-".to_owned(),
        (Value::Array(items), kind) => {
            let between = if kind == As::Range { "-" } else { " " };
            items.iter().map(|item| self::text(item, As::Plain)).collect::<Vec<_>>().join(between)
        }
        (Value::Object(fields), _) => {
            let one = |(name, value): (&String, &Value)| format!("{name}={}", self::text(value, of_name(name)));
            fields.iter().map(one).collect::<Vec<_>>().join(" ")
        }
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
pub(in crate::cli) fn date(ms: u64) -> String {
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
    fn columns_are_as_wide_as_what_is_in_them_and_numbers_are_at_the_right() {
        let lines = [
            json!({ "a": "é", "b": 61_000, "n": 7, "r": 1.672, "s": [0, 63] }),
            json!({ "a": "long\u{1b}[2J", "b": null, "n": 1200, "r": 10, "s": [1088, 1151] }),
        ];
        let columns = [
            ("a", "/a", As::Plain),
            ("time", "/b", As::Span),
            ("n", "/n", As::Plain),
            ("rate", "/r", As::Rate),
            ("slots", "/s", As::Range),
        ];
        let expected = "A         TIME     N  RATE  SLOTS\né         1m1s     7   1.7  0-63\nlong\u{fffd}[2J     -  1200  10.0  1088-1151\n";
        assert_eq!(table(&lines, &columns, Colours::NONE), expected);
        assert_eq!(table(&[], &columns[..2], Colours::NONE), "A  TIME\n");
        assert_eq!(names(&lines, &columns), "é\nlong\u{fffd}[2J\n");
    }

    #[test]
    fn lists_of_things_are_tables_of_their_own() {
        let thing = json!({
            "id": "ann", "banned": false, "created_at": 0, "title": "",
            "rooms": [{ "room": "r1", "seq": 3 }, { "room": "r2", "seq": 12 }],
            "members": { "items": [{ "user": "bob", "online": true }], "next": "bob" },
            "blocks": [],
        });
        let expected = "id                 ann\nbanned             no\ncreated_at         -\ntitle              -\nblocks             -\n";
        let shown = details(&thing, Colours::NONE);
        assert!(expected.lines().all(|line| shown.lines().any(|shown| shown == line)), "{shown}");
        assert!(shown.contains("\nROOMS (2)\nROOM  SEQ\nr1      3\nr2     12\n"), "{shown}");
        assert!(shown.contains("\nMEMBERS (1, the first of them)\n") && shown.contains("bob"), "{shown}");
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
