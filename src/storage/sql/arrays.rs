//! The rows of a bulk statement as PostgreSQL takes them: an array for each column.

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use super::Binder;
use super::value::Value;

/// The values of one column.
enum Column {
    Int(Vec<Option<i64>>),
    Flag(Vec<bool>),
    Text(Vec<Option<String>>),
    Blob(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Option<Uuid>>),
}

impl Column {
    /// With its first value, of so many.
    fn begin(value: Value, rows: usize) -> Self {
        fn first<T>(value: T, rows: usize) -> Vec<T> {
            let mut list = Vec::with_capacity(rows);
            list.push(value);
            list
        }
        match value {
            Value::Int(value) => Self::Int(first(value, rows)),
            Value::Flag(value) => Self::Flag(first(value, rows)),
            Value::Text(value) => Self::Text(first(value, rows)),
            Value::Blob(value) => Self::Blob(first(value, rows)),
            Value::Uuid(value) => Self::Uuid(first(value, rows)),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), sqlx::Error> {
        match (self, value) {
            (Self::Int(list), Value::Int(value)) => list.push(value),
            (Self::Flag(list), Value::Flag(value)) => list.push(value),
            (Self::Text(list), Value::Text(value)) => list.push(value),
            (Self::Blob(list), Value::Blob(value)) => list.push(value),
            (Self::Uuid(list), Value::Uuid(value)) => list.push(value),
            _ => return Err(sqlx::Error::Encode("a column holds values of two kinds".into())),
        }
        Ok(())
    }

    /// PostgreSQL's name of its type. A column of a table that is narrower takes it all the same, or says that it is too
    /// narrow.
    fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "int8",
            Self::Flag(_) => "bool",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytea",
            Self::Uuid(_) => "uuid",
        }
    }

    fn add_to(self, arguments: &mut PgArguments) -> Result<(), sqlx::Error> {
        match self {
            Self::Int(list) => arguments.add(list),
            Self::Flag(list) => arguments.add(list),
            Self::Text(list) => arguments.add(list),
            Self::Blob(list) => arguments.add(list),
            Self::Uuid(list) => arguments.add(list),
        }
        .map_err(sqlx::Error::Encode)
    }
}

/// The types of the columns, and their arrays. `binder` has the rows one after the other, each of so many values.
pub(super) fn arrays(binder: Binder, columns: usize) -> Result<(Vec<&'static str>, PgArguments), sqlx::Error> {
    let values = binder.finish()?;
    let rows = values.len() / columns;
    let mut lists: Vec<Column> = Vec::with_capacity(columns);
    for (index, value) in values.into_iter().enumerate() {
        match lists.get_mut(index % columns) {
            Some(list) => list.push(value)?,
            None => lists.push(Column::begin(value, rows)),
        }
    }
    let (kinds, mut arguments) = (lists.iter().map(Column::kind).collect(), PgArguments::default());
    lists.into_iter().try_for_each(|list| list.add_to(&mut arguments))?;
    Ok((kinds, arguments))
}
