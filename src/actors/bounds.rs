//! How large the parts of a command may be, and which texts no row can hold. Judged twice by the same code: before a record is
//! made, so that its sender is told what is wrong, and by the fold, which is the same for everyone who reads the record.

use crate::actors::wire::Reject;

/// What is wrong with the size or the shape of a command.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadInput {
    /// Something in it is longer than it may be.
    #[error("{what} has at most {max} bytes")]
    TooLarge {
        /// The part of the command.
        what: &'static str,
        /// Its bound in bytes.
        max: usize,
    },
    /// More items than may come in one command.
    #[error("at most {max} {what}")]
    TooMany {
        /// The items.
        what: &'static str,
        /// How many may come.
        max: usize,
    },
    /// It makes no sense, whatever the room says; the text says why.
    #[error("{0}")]
    Malformed(String),
}

impl BadInput {
    /// A command that makes no sense.
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }
}

/// The fold has numbers for its reasons and no words.
impl From<BadInput> for Reject {
    fn from(bad: BadInput) -> Self {
        match bad {
            BadInput::TooLarge { .. } | BadInput::TooMany { .. } => Self::TooLarge,
            BadInput::Malformed(_) => Self::Invalid,
        }
    }
}

/// Judges a number of items.
///
/// # Errors
/// [`BadInput::TooMany`].
pub(crate) fn count(what: &'static str, len: usize, max: usize) -> Result<(), BadInput> {
    if len <= max { Ok(()) } else { Err(BadInput::TooMany { what, max }) }
}

/// Judges a number of bytes.
///
/// # Errors
/// [`BadInput::TooLarge`].
pub(crate) fn bytes(what: &'static str, len: usize, max: usize) -> Result<(), BadInput> {
    if len <= max { Ok(()) } else { Err(BadInput::TooLarge { what, max }) }
}

/// Judges a text that becomes a column. PostgreSQL's texts hold everything but NUL: accepted, it would stop the partition's
/// projection for good.
///
/// # Errors
/// [`BadInput::TooLarge`]; [`BadInput::Malformed`] for a NUL.
pub(crate) fn text(what: &'static str, text: &str, max: usize) -> Result<(), BadInput> {
    bytes(what, text.len(), max)?;
    if text.contains('\0') { Err(BadInput::because(format!("{what} must not contain NUL"))) } else { Ok(()) }
}
