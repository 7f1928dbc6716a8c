//! Values on their way out of a row.

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::error::{classify, damaged};
use crate::ids::{ClientId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// A row of either database.
#[derive(Clone, Copy)]
pub(super) enum Row<'r> {
    Sqlite(&'r SqliteRow),
    Postgres(&'r PgRow),
}

/// Takes the columns of a row one after the other.
pub(in crate::storage) struct Columns<'r> {
    row: Row<'r>,
    next: usize,
}

/// The next column as `$kind`. PostgreSQL's columns are as wide as their values need, so their type is not compared: the
/// width is in the value itself.
macro_rules! next_column {
    ($columns:expr, $kind:ty) => {{
        let at = $columns.next;
        $columns.next += 1;
        let value: std::result::Result<Option<$kind>, sqlx::Error> = match $columns.row {
            Row::Sqlite(row) => row.try_get(at),
            Row::Postgres(row) => row.try_get_unchecked(at),
        };
        value.map_err(classify)
    }};
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub(in crate::storage) fn opt_number<T: TryFrom<i64>>(&mut self) -> Result<Option<T>> {
        let number = next_column!(self, i64)?;
        number.map(|n| T::try_from(n).map_err(|_| damaged("a number is out of its bounds", n))).transpose()
    }

    pub(in crate::storage) fn number<T: TryFrom<i64>>(&mut self) -> Result<T> {
        self.opt_number()?.ok_or_else(|| damaged("a number", "is missing"))
    }

    pub(in crate::storage) fn flag(&mut self) -> Result<bool> {
        Ok(self.number::<i64>()? != 0)
    }

    fn opt_str(&mut self) -> Result<Option<&'r str>> {
        next_column!(self, &'r str)
    }

    pub(in crate::storage) fn opt_text(&mut self) -> Result<Option<String>> {
        Ok(self.opt_str()?.map(str::to_owned))
    }

    pub(in crate::storage) fn text(&mut self) -> Result<String> {
        self.opt_text()?.ok_or_else(|| damaged("a text", "is missing"))
    }

    pub(super) fn opt_slice(&mut self) -> Result<Option<&'r [u8]>> {
        next_column!(self, &'r [u8])
    }

    /// Bytes; none are an empty value.
    pub(in crate::storage) fn bytes(&mut self) -> Result<Bytes> {
        Ok(self.opt_slice()?.map(Bytes::copy_from_slice).unwrap_or_default())
    }

    /// Bytes of a known length.
    pub(in crate::storage) fn opt_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        let bytes = self.opt_slice()?;
        bytes.map(|bytes| bytes.try_into().map_err(|why| damaged("bytes of another length", why))).transpose()
    }

    pub(in crate::storage) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.opt_array()?.ok_or_else(|| damaged("bytes", "are missing"))
    }

    pub(in crate::storage) fn opt_uuid(&mut self) -> Result<Option<Uuid>> {
        Ok(self.opt_array()?.map(Uuid::from_bytes))
    }

    pub(in crate::storage) fn uuid(&mut self) -> Result<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    pub(in crate::storage) fn room(&mut self) -> Result<RoomId> {
        self.uuid().map(RoomId)
    }

    pub(in crate::storage) fn opt_user(&mut self) -> Result<Option<UserId>> {
        self.opt_str()?.map(|text| UserId::new(text).map_err(|why| damaged("a user id", why))).transpose()
    }

    pub(in crate::storage) fn user(&mut self) -> Result<UserId> {
        self.opt_user()?.ok_or_else(|| damaged("a user id", "is missing"))
    }

    pub(in crate::storage) fn opt_client_id(&mut self) -> Result<Option<ClientId>> {
        self.opt_str()?.map(|text| ClientId::new(text).map_err(|why| damaged("a client id", why))).transpose()
    }

    pub(in crate::storage) fn partition(&mut self) -> Result<Partition> {
        let number = self.number()?;
        Partition::new(number).ok_or_else(|| damaged("a partition", number))
    }

    pub(in crate::storage) fn seq(&mut self) -> Result<Seq> {
        self.number().map(Seq)
    }

    pub(in crate::storage) fn opt_seq(&mut self) -> Result<Option<Seq>> {
        Ok(self.opt_number()?.map(Seq))
    }

    pub(in crate::storage) fn offset(&mut self) -> Result<Offset> {
        self.number().map(Offset)
    }

    pub(in crate::storage) fn no(&mut self) -> Result<MessageNo> {
        self.number().map(MessageNo)
    }

    pub(in crate::storage) fn opt_no(&mut self) -> Result<Option<MessageNo>> {
        Ok(self.opt_number()?.map(MessageNo))
    }

    pub(in crate::storage) fn time(&mut self) -> Result<Timestamp> {
        self.number().map(Timestamp)
    }

    pub(in crate::storage) fn opt_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.opt_number()?.map(Timestamp))
    }
}
