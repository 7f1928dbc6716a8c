//! What a section of the configuration is made of, and the macro that writes one from its list of settings.

use super::value::Raw;

/// A section by its list of keys.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Its name in `cluster.toml`.
    pub name: &'static str,
    /// What it is about, a line each.
    pub doc: &'static [&'static str],
    /// Its keys, in the order of the template.
    pub keys: &'static [Key],
}

/// A setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name in the section.
    pub name: &'static str,
    /// What it means, a line each.
    pub doc: &'static [&'static str],
}

/// Why a setting could not be set.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum SetError {
    /// The section has no such key.
    Unknown,
    /// The value is not what the key wants.
    Bad(String),
}

/// A section whose settings can be reached by name. Written by `section!`.
pub(crate) trait Section {
    /// Its keys.
    fn schema(&self) -> &'static Schema;
    /// Sets one key.
    ///
    /// # Errors
    /// An unknown key or a value that it does not take; the section is then unchanged.
    fn set(&mut self, key: &str, raw: &Raw) -> Result<(), SetError>;
    /// The value of a key as TOML, secrets masked. `None` if there is no such key.
    fn show(&self, key: &str) -> Option<String>;
}

macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $Section:ident $name:literal {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $default:literal,)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $Section {
            $($(#[doc = $doc])* pub $key: $type,)*
        }

        impl $Section {
            /// The section's keys.
            pub(crate) const SCHEMA: $crate::config::schema::Schema = $crate::config::schema::Schema {
                name: $name,
                doc: &[$($about),*],
                keys: &[$($crate::config::schema::Key { name: stringify!($key), doc: &[$($doc),*] }),*],
            };
        }

        impl Default for $Section {
            fn default() -> Self {
                use $crate::config::value::{Raw, Value};
                Self {
                    $($key: <$type>::read(&Raw::Text($default.to_owned())).expect("defaults are valid: see the tests"),)*
                }
            }
        }

        impl $crate::config::schema::Section for $Section {
            fn schema(&self) -> &'static $crate::config::schema::Schema {
                &Self::SCHEMA
            }

            fn set(
                &mut self,
                key: &str,
                raw: &$crate::config::value::Raw,
            ) -> Result<(), $crate::config::schema::SetError> {
                use $crate::config::{schema::SetError, value::Value};
                match key {
                    $(stringify!($key) => self.$key = <$type>::read(raw).map_err(SetError::Bad)?,)*
                    _ => return Err(SetError::Unknown),
                }
                Ok(())
            }

            fn show(&self, key: &str) -> Option<String> {
                use $crate::config::value::Value;
                match key {
                    $(stringify!($key) => Some(self.$key.show()),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use section;
