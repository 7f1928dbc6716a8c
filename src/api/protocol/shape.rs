//! What a value of JSON from outside must look like before it is read into a type. It is for every reader of JSON, whatever
//! way it came: what serde derives would take an array for a struct, field by field, and would not take `null` for a
//! default.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::limits;

/// A value, or its default for `null`.
///
/// # Errors
/// A value of another type.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// An object, or nothing for `null`.
///
/// # Errors
/// Another kind of value, or a field that does not fit.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    struct Fields<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    d.deserialize_any(Fields(PhantomData))
}

/// An object; for places that take a type.
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        object(d)?.map(Self).ok_or_else(|| D::Error::custom("invalid type: null, expected an object"))
    }
}

/// A list of objects.
///
/// # Errors
/// No list, or something else in it.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(d)?.into_iter().map(|Object(one)| one).collect())
}

/// Reads one object from JSON text.
///
/// # Errors
/// No JSON, no object, or a field that does not fit.
pub(crate) fn read_object<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text).map(|Object(one)| one)
}

/// A payload: the JSON text as it stands, copied out of the frame. `null` is a payload like any other.
///
/// # Errors
/// No JSON.
pub(super) fn raw<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
    let text = <&'de RawValue>::deserialize(d)?;
    Ok(Bytes::copy_from_slice(text.get().as_bytes()))
}

/// Whether something other than `null` is there. What it is does not matter.
///
/// # Errors
/// No JSON.
pub(super) fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Bytes>, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(d)?.map(|_| Bytes::new()))
}

/// As [`object`], where a type is needed.
struct ObjectOr<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectOr<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        object(d).map(Self)
    }
}

/// Subscriptions by channel, bounded: an entry costs far more memory than its bytes on the wire.
///
/// # Errors
/// No object of objects, or more of them than a session may have.
pub(super) fn bounded_subs<'de, D, T>(d: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    struct Subs<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Subs<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of subscriptions")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut subs = BTreeMap::new();
            let mut count = 0;
            while let Some((channel, ObjectOr(sub))) = map.next_entry::<String, ObjectOr<T>>()? {
                count += 1;
                if count > limits::SESSION_SUBSCRIPTIONS {
                    return Err(A::Error::custom("too many subscriptions"));
                }
                subs.insert(channel, sub.unwrap_or_default());
            }
            Ok(subs)
        }
    }

    d.deserialize_any(Subs(PhantomData))
}
