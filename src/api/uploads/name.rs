//! Names of files: what is kept of one, and how it is told to a browser.

use crate::api::visible::deceives;

/// Bytes of a name.
const NAME_BYTES: usize = 200;

/// The last part of a path, without what could break a header, a terminal or a reader's eye.
#[must_use]
pub(crate) fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let text: String = last.chars().filter(|c| !deceives(*c)).collect();
    let text = text.trim().trim_start_matches('.');
    let end = text.floor_char_boundary(NAME_BYTES);
    let text = text[..end].trim_end();
    if text.is_empty() { "file".to_owned() } else { text.to_owned() }
}

/// The value of `Content-Disposition` (RFC 6266): an ASCII name for old readers, and the whole one in RFC 8187's way.
#[must_use]
pub fn disposition(inline: bool, name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' || c == ' ' { c } else { '_' }).collect();
    let mut whole = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            whole.push(byte.into());
        } else {
            whole.push_str(&format!("%{byte:02X}"));
        }
    }
    let how = if inline { "inline" } else { "attachment" };
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_breaks_nothing() {
        for (given, kept) in [
            ("camel.png", "camel.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\win.ini", "win.ini"),
            ("a\r\nset-cookie: x=y", "aset-cookie: x=y"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("..", "file"),
            ("", "file"),
            ("/", "file"),
            ("  .htaccess ", "htaccess"),
            ("kervan \u{1f42a}.txt", "kervan \u{1f42a}.txt"),
        ] {
            assert_eq!(clean(given), kept, "{given:?}");
        }
        assert_eq!(clean(&"é".repeat(300)).len(), 200);
    }

    #[test]
    fn a_browser_is_told_the_whole_name_in_ascii() {
        let told = disposition(false, "a \"b\" é.txt");
        assert_eq!(told, "attachment; filename=\"a _b_ _.txt\"; filename*=UTF-8''a%20%22b%22%20%C3%A9.txt");
        assert!(disposition(true, "x").starts_with("inline;"));
    }
}
