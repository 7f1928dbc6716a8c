//! Whether bytes that come in pieces are UTF-8, said as soon as they can't be any more (RFC 6455, 8.1).

/// A text so far.
#[derive(Default, Debug)]
pub(super) struct Utf8 {
    /// The beginning of a character that is cut by the end of the last piece.
    cut: [u8; 4],
    cut_len: usize,
}

/// The bytes are no UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotUtf8;

impl Utf8 {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.cut_len > 0 {
            let [first, rest @ ..] = piece else { return Ok(()) };
            self.cut[self.cut_len] = *first;
            self.cut_len += 1;
            piece = rest;
            match std::str::from_utf8(&self.cut[..self.cut_len]) {
                Ok(_) => self.cut_len = 0,
                // A character has at most four bytes: with the fourth one it is whole or none.
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NotUtf8),
            Err(error) => {
                let cut = &piece[error.valid_up_to()..];
                self.cut[..cut.len()].copy_from_slice(cut);
                self.cut_len = cut.len();
                Ok(())
            }
        }
    }

    /// Ends the text, and is ready for the next one.
    pub(crate) fn end(&mut self) -> Result<(), NotUtf8> {
        if std::mem::take(&mut self.cut_len) == 0 { Ok(()) } else { Err(NotUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_become_no_character_is_found_at_once() {
        let mut text = Utf8::default();
        assert_eq!(text.push(b"caf\xc3"), Ok(()));
        assert_eq!(text.push(b"\xa9 \xf0\x9f"), Ok(()));
        assert_eq!(text.push(b"\x28"), Err(NotUtf8));
        let mut surrogate = Utf8::default();
        assert_eq!(surrogate.push(b"\xed"), Ok(()));
        assert_eq!(surrogate.push(b"\xa0"), Err(NotUtf8));
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(
            bytes in prop_oneof![any::<String>().prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..40)],
            cuts in proptest::collection::vec(1usize..5, 1..20),
        ) {
            let (mut text, mut rest, mut at) = (Utf8::default(), &bytes[..], 0);
            let mut judged = Ok(());
            while !rest.is_empty() && judged.is_ok() {
                let (now, later) = rest.split_at(cuts[at % cuts.len()].min(rest.len()));
                judged = text.push(now);
                (rest, at) = (later, at + 1);
            }
            prop_assert_eq!(judged.and_then(|()| text.end()).is_ok(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
