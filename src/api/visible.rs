//! Characters that nobody sees, or that turn the text around them: in a name they make one look like another. What joins letters
//! and pictures (U+200C, U+200D) is none of them: names of people are written with it.

/// Whether this is such a character, or a control character.
#[must_use]
pub(crate) fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180e}' | '\u{200b}'
            | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen_in_any_script_passes() {
        for name in ["Ada Lovelace", "می\u{200c}خواهم", "👩\u{200d}🚀", "José", "ऋषि", "李 明"] {
            assert!(!name.chars().any(deceives), "{name}");
        }
        for c in ['\n', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}', '\u{3164}', '\u{61c}'] {
            assert!(deceives(c), "{c:?}");
        }
    }
}
