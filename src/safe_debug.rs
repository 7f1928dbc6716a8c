//! `Debug` that shows what is safe to log.

/// The named fields and no others: never a token, never a payload.
macro_rules! safe_debug {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish_non_exhaustive()
            }
        }
    )*};
}
pub(crate) use safe_debug;
