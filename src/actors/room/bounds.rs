//! How large a text may be, and which texts no row can hold. Part of the fold: the same for everyone who reads the record.

use crate::actors::wire::Reject;

/// Judges a length or a count.
///
/// # Errors
/// [`Reject::TooLarge`].
pub(super) fn within(len: usize, max: usize) -> Result<(), Reject> {
    if len <= max { Ok(()) } else { Err(Reject::TooLarge) }
}

/// Judges a text that becomes a column. PostgreSQL's texts hold everything but NUL: accepted, it would stop the partition's
/// projection for good. Gateways refuse it before.
///
/// # Errors
/// [`Reject::TooLarge`]; [`Reject::Invalid`] for a NUL.
pub(in crate::actors) fn text(text: &str, max: usize) -> Result<(), Reject> {
    within(text.len(), max)?;
    if text.contains('\0') { Err(Reject::Invalid) } else { Ok(()) }
}
