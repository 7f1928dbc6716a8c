//! Values on their way into a statement.

use uuid::Uuid;

use crate::ids::RoomId;

/// What a parameter may be. Of an absent value the kind still counts: PostgreSQL wants to know it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Int(Option<i64>),
    Flag(bool),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
}

/// Takes the values of a statement one after the other, in the order of its parameters.
#[derive(Default)]
pub(in crate::storage) struct Binder {
    values: Vec<Value>,
}

impl Binder {
    /// The values, unless one of them can't be kept by every database.
    pub(super) fn finish(self) -> Result<Vec<Value>, sqlx::Error> {
        let holds_nul = |value: &Value| matches!(value, Value::Text(Some(text)) if text.as_bytes().contains(&0));
        if self.values.iter().any(holds_nul) {
            return Err(sqlx::Error::Encode("a text holds a NUL, which PostgreSQL can't keep".into()));
        }
        Ok(self.values)
    }

    pub(super) fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        self
    }

    pub(in crate::storage) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        self.bind(Value::Int(Some(value.into())))
    }

    pub(in crate::storage) fn opt_int(&mut self, value: Option<i64>) -> &mut Self {
        self.bind(Value::Int(value))
    }

    /// A count or a size; what is above the largest number of SQL is bound as that.
    pub(in crate::storage) fn count<T: TryInto<i64>>(&mut self, value: T) -> &mut Self {
        self.int(value.try_into().unwrap_or(i64::MAX))
    }

    pub(in crate::storage) fn flag(&mut self, value: bool) -> &mut Self {
        self.bind(Value::Flag(value))
    }

    pub(in crate::storage) fn text(&mut self, value: impl Into<String>) -> &mut Self {
        self.bind(Value::Text(Some(value.into())))
    }

    pub(in crate::storage) fn opt_text(&mut self, value: Option<impl Into<String>>) -> &mut Self {
        self.bind(Value::Text(value.map(Into::into)))
    }

    pub(in crate::storage) fn blob(&mut self, value: impl Into<Vec<u8>>) -> &mut Self {
        self.bind(Value::Blob(Some(value.into())))
    }

    pub(in crate::storage) fn opt_blob(&mut self, value: Option<impl Into<Vec<u8>>>) -> &mut Self {
        self.bind(Value::Blob(value.map(Into::into)))
    }

    pub(in crate::storage) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bind(Value::Uuid(Some(value)))
    }

    pub(in crate::storage) fn opt_uuid(&mut self, value: Option<Uuid>) -> &mut Self {
        self.bind(Value::Uuid(value))
    }

    pub(in crate::storage) fn room(&mut self, room: RoomId) -> &mut Self {
        self.uuid(room.0)
    }
}
