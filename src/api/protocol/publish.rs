//! What the `data` of a protocol `publish` means.
//!
//! Into a room: a JSON string is the body; an object with `body` gives body, type, metadata, reply_to and client_id;
//! anything else is kept whole as the metadata of a message of type `data`. Into an open channel: the data as it is.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::actors::wire::Content;
use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::payload::check_json;
use crate::ids::{ClientId, Seq};
use crate::limits;

/// The type of a message that is data.
pub(crate) const DATA: &str = "data";

/// What is published into a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    /// What the message says.
    pub content: Content,
    /// The client's id of the message; without one there is no dedupe.
    pub client_id: Option<ClientId>,
}

/// What is published into an open channel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Open {
    /// The data, as it is.
    pub data: Bytes,
    /// Which connection publishes, as JSON text for [`Content::metadata`]; empty if none does. See
    /// [`crate::api::protocol::publication::publisher`].
    pub publisher: String,
}

impl From<Bytes> for Open {
    fn from(data: Bytes) -> Self {
        Self { data, publisher: String::new() }
    }
}

/// An object with a body. Other keys are skipped.
#[derive(Deserialize)]
struct Written<'a> {
    body: String,
    #[serde(rename = "type")]
    message_type: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    reply_to: Option<u64>,
    client_id: Option<ClientId>,
}

/// Reads what is published into a room.
///
/// # Errors
/// 107 for data that is no JSON, is nested too deeply, says nothing (neither a body nor metadata), or has `body` beside a
/// field of a wrong type; 430 for what is longer than a bound.
pub(crate) fn room_data(data: &[u8]) -> Result<Published, Error> {
    let text = checked(data)?;
    let (content, client_id) = match text.trim_ascii_start().as_bytes().first() {
        Some(b'"') => {
            let body = serde_json::from_str(text).map_err(|_| malformed("data is no string"))?;
            (Content { body, message_type: Content::TEXT.to_owned(), ..Content::default() }, None)
        }
        Some(b'{') if has_body(text) => written(text)?,
        _ => {
            let metadata = text.trim_ascii().to_owned();
            (Content { metadata, message_type: DATA.to_owned(), ..Content::default() }, None)
        }
    };
    if content.body.is_empty() && content.metadata.is_empty() {
        return Err(malformed("a message needs a body or metadata"));
    }
    bounded("body", content.body.len(), limits::BODY_BYTES)?;
    bounded("metadata", content.metadata.len(), limits::METADATA_BYTES)?;
    bounded("type", content.message_type.len(), limits::MESSAGE_TYPE_BYTES)?;
    Ok(Published { content, client_id })
}

/// Reads what is published into an open channel.
///
/// # Errors
/// 107 for data that is no JSON or is nested too deeply (a subscriber that speaks JSON could not read it), 430 for too
/// much of it.
pub(crate) fn open_data(open: impl Into<Open>) -> Result<Content, Error> {
    let Open { data, publisher } = open.into();
    checked(&data)?;
    bounded("data", data.len(), limits::BODY_BYTES)?;
    Ok(Content { data, message_type: DATA.to_owned(), metadata: publisher, ..Content::default() })
}

fn written(text: &str) -> Result<(Content, Option<ClientId>), Error> {
    let written: Written<'_> = serde_json::from_str(text).map_err(|_| malformed("a field of the data is wrong"))?;
    let content = Content {
        body: written.body,
        message_type: written.message_type.filter(|t| !t.is_empty()).unwrap_or_else(|| Content::TEXT.to_owned()),
        metadata: written.metadata.map_or_else(String::new, |raw| raw.get().to_owned()),
        reply_to: written.reply_to.map(Seq),
        ..Content::default()
    };
    Ok((content, written.client_id))
}

fn has_body(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        body: Option<&'a RawValue>,
    }
    // Twice `body` is no object without one: the error comes when the fields are read.
    serde_json::from_str::<Body<'_>>(text).map_or(true, |object| object.body.is_some())
}

fn checked(data: &[u8]) -> Result<&str, Error> {
    check_json(data, limits::JSON_DEPTH).map_err(|error| malformed(&error.to_string()))?;
    std::str::from_utf8(data).map_err(|_| malformed("data is not UTF-8"))
}

fn bounded(what: &str, len: usize, max: usize) -> Result<(), Error> {
    if len <= max {
        return Ok(());
    }
    Err(ErrorCode::TOO_LARGE.because(&format!("{what} has {len} bytes, at most {max} are allowed")))
}

fn malformed(why: &str) -> Error {
    ErrorCode::BAD_REQUEST.because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(body: &str, message_type: &str, metadata: &str) -> Content {
        Content {
            body: body.into(),
            message_type: message_type.into(),
            metadata: metadata.into(),
            ..Content::default()
        }
    }

    #[test]
    fn a_string_is_the_body() {
        let published = room_data(" \"h\\u00e9llo\\n\"".as_bytes()).unwrap();
        assert_eq!(published, Published { content: content("héllo\n", "text", ""), client_id: None });
    }

    #[test]
    fn an_object_with_a_body_gives_the_fields() {
        let data = r#"{"body":"hi","type":"image","metadata":{"w": 1},"reply_to":7,"client_id":"m-1","x":[]}"#;
        let published = room_data(data.as_bytes()).unwrap();
        let expected = Content { reply_to: Some(Seq(7)), ..content("hi", "image", "{\"w\": 1}") };
        assert_eq!(published.content, expected);
        assert_eq!(published.client_id, Some(ClientId::new("m-1").unwrap()));
        let bare = room_data(br#"{"body":"b","type":null,"metadata":null,"reply_to":null,"client_id":null}"#).unwrap();
        assert_eq!(bare, Published { content: content("b", "text", ""), client_id: None });
        let picture = room_data(br#"{"body":"","metadata":{"w":1}}"#).unwrap();
        assert_eq!(picture, Published { content: content("", "text", "{\"w\":1}"), client_id: None });
    }

    #[test]
    fn what_says_nothing_is_no_message() {
        for data in
            [r#""""#, r#" "" "#, r#"{"body":""}"#, r#"{"body":"","metadata":null}"#, r#"{"body":"","type":"image"}"#]
        {
            assert_eq!(room_data(data.as_bytes()).unwrap_err().code, ErrorCode::BAD_REQUEST.code, "{data}");
        }
    }

    #[test]
    fn anything_else_is_kept_whole() {
        for data in ["null", "5", "[1,\"x\"]", "{}", r#"{"text":"no body"}"#, r#"{"body":null}"#] {
            let published = room_data(format!(" {data} ").as_bytes()).unwrap();
            assert_eq!(published, Published { content: content("", "data", data), client_id: None });
        }
    }

    #[test]
    fn wrong_types_beside_a_body_are_refused_and_never_kept() {
        for data in [
            r#"{"body":5}"#,
            r#"{"body":"x","type":1}"#,
            r#"{"body":"x","reply_to":-1}"#,
            r#"{"body":"x","client_id":""}"#,
            r#"{"body":"x","body":"y"}"#,
            r#""\ud800""#,
            "{",
            "",
        ] {
            assert_eq!(room_data(data.as_bytes()).unwrap_err().code, ErrorCode::BAD_REQUEST.code, "{data}");
        }
        assert_eq!(room_data(&[b'['; 100]).unwrap_err().code, ErrorCode::BAD_REQUEST.code);
        assert_eq!(room_data(b"\x0a\x02hi").unwrap_err().code, ErrorCode::BAD_REQUEST.code);
    }

    #[test]
    fn what_is_too_large_says_so() {
        let long = "x".repeat(limits::BODY_BYTES + 1);
        for data in [
            format!("\"{long}\""),
            format!("[\"{}\"]", "x".repeat(limits::METADATA_BYTES)),
            format!(r#"{{"body":"b","type":"{}"}}"#, "x".repeat(limits::MESSAGE_TYPE_BYTES + 1)),
        ] {
            assert_eq!(room_data(data.as_bytes()).unwrap_err().code, ErrorCode::TOO_LARGE.code);
        }
        assert!(room_data(format!("\"{}\"", &long[1..]).as_bytes()).is_ok());
        assert_eq!(open_data(Bytes::from(format!("\"{long}\""))).unwrap_err().code, ErrorCode::TOO_LARGE.code);
    }

    #[test]
    fn an_open_channel_carries_the_data_as_it_is() {
        let data = Bytes::from_static(b"{ \"body\" : 5 }");
        assert_eq!(open_data(data.clone()).unwrap().data, data);
        assert_eq!(open_data(Bytes::from_static(b"\xff")).unwrap_err().code, ErrorCode::BAD_REQUEST.code);
    }
}
