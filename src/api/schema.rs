//! How ids, numbers and the values that records share look in the OpenAPI document. The types themselves stand at the bottom of everything and know
//! nothing of documents.

use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::actors::wire::MaySend;
use crate::ids::{ClientId, DeviceId, MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::limits;

macro_rules! schemas {
    ($($type:ident: $build:expr;)*) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    let build: fn(ObjectBuilder) -> ObjectBuilder = $build;
                    build(ObjectBuilder::new()).build().into()
                }
            }
            impl ToSchema for $type {}
        )*
    };
}

fn integer(about: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0))
        .description(Some(about))
}

fn text(about: &str, max: usize) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(1))
        .max_length(Some(max))
        .description(Some(about))
}

schemas! {
    RoomId: |_| ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .description(Some("A chat's id."));
    UserId: |_| text("A user's id; the bound is in bytes.", limits::USER_ID_BYTES);
    ClientId: |_| text("The sender's own id of a message: makes a retry harmless. Best a UUIDv7.", limits::CLIENT_ID_BYTES);
    DeviceId: |_| text("A device's id.", limits::DEVICE_ID_BYTES);
    Seq: |_| integer("A place in a chat or personal stream: 1, 2, 3, … without gaps.");
    MessageNo: |_| integer("A message's number among the messages of its chat.");
    MaySend: |_| ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(["members", "creator"]))
        .description(Some("Who may send: every member, or the creator only."));
    Timestamp: |_| integer("Milliseconds since the Unix epoch.");
}

/// Name and schema of a type, and of those in it.
pub(in crate::api) struct Described {
    pub(in crate::api) name: String,
    pub(in crate::api) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Described {
    /// Of a type.
    pub(in crate::api) fn of<T: ToSchema>() -> Self {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        Self { name: T::name().into_owned(), schemas }
    }
}
