//! The canonical encoding under every hash of the folds, derived from the types themselves: what a type derives for its
//! JSON is hashed as well, so a new field or event can't be left out.
//!
//! Numbers little-endian in eight bytes, lists behind their length, options behind a byte 0 or 1, structs and variants with
//! their names (so the order of a declaration does not matter). What people wrote must not be guessed from a hash that
//! outlives it, and ids are texts, too: every text and every run of bytes enters by its length and its own digest. Fixed
//! for life (`tests/golden`). It must never know what it hashes.

use std::fmt::Error;

use serde::ser::{
    self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct,
};
use xxhash_rust::xxh3::xxh3_64;

/// xxh3-64 of a value. `domain` keeps values of different kinds apart.
pub(in crate::actors) fn digest<T: Serialize + ?Sized>(domain: &str, value: &T) -> u64 {
    let mut canonical = Canonical(Vec::with_capacity(512));
    canonical.name(domain);
    value.serialize(&mut canonical).expect("the folds' types hold nothing that the encoding refuses");
    xxh3_64(&canonical.0)
}

/// An encoding in the making.
struct Canonical(Vec<u8>);

impl Canonical {
    fn number(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    fn name(&mut self, name: &str) {
        self.number(name.len() as u64);
        self.0.extend_from_slice(name.as_bytes());
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        self.name(key);
        value.serialize(self)
    }
}

macro_rules! numbers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, n: $type) -> Result<(), Error> {
            self.number(n.into());
            Ok(())
        })*
    };
}

macro_rules! refused {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, _: $type) -> Result<(), Error> {
            Err(Error)
        })*
    };
}

impl ser::Serializer for &mut Canonical {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers!(serialize_bool bool, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);
    // Nothing that a fold knows is signed, and floats differ from machine to machine (I1).
    refused!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_f32 f32, serialize_f64 f64, serialize_char char);

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.serialize_bytes(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.number(bytes.len() as u64);
        self.number(xxh3_64(bytes));
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.0.push(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.0.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.name(name);
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.name(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Error> {
        self.number(len.ok_or(Error)? as u64);
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, Error> {
        self.serialize_seq(len)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Self, Error> {
        self.number(len as u64);
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, Error> {
        self.name(variant);
        self.number(len as u64);
        Ok(self)
    }
}

macro_rules! elements {
    ($($of:ident $method:ident),*) => {
        $(impl $of for &mut Canonical {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                value.serialize(&mut **self)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}
elements!(SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field);

macro_rules! structs {
    ($($of:ident),*) => {
        $(impl $of for &mut Canonical {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Error> {
                Ok(())
            }
        })*
    };
}
structs!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for &mut Canonical {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut **self)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}
