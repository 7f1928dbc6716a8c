//! What `docs/report.md` says, for tests that hold it to the database.

const PAGE: &str = include_str!("../../../../docs/report.md");

/// Its statements.
pub(crate) fn sql_blocks() -> impl Iterator<Item = &'static str> {
    PAGE.split("```sql\n").skip(1).map(|rest| rest.split_once("```").unwrap().0)
}

/// The columns that it lists: (view, column, type).
pub(crate) fn columns() -> impl Iterator<Item = (String, String, String)> {
    let views = PAGE.split("\n## report.").skip(1);
    views.flat_map(|section| {
        let (view, rest) = section.split_once('\n').unwrap();
        let table = rest.lines().filter(|line| line.starts_with("| `"));
        table.map(move |line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            (view.to_owned(), cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        })
    })
}
