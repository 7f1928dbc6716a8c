//! What may be a name, an address, a password.

use crate::api::visible::deceives;
use crate::config::Secret;
use crate::storage::accounts::Profile;

/// Bytes of a username.
const USERNAME: std::ops::RangeInclusive<usize> = 3..=32;
/// Bytes of a password: NIST SP 800-63B asks for eight at least; the upper bound keeps hashing cheap.
const PASSWORD: std::ops::RangeInclusive<usize> = 8..=256;
/// Bytes of an e-mail address (RFC 5321).
const EMAIL: usize = 254;
/// Bytes of a first or last name.
const NAME: usize = 64;
/// Bytes of a picture's address.
const AVATAR: usize = 512;

/// What an account is to be called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    /// To sign in with.
    pub username: String,
    /// Likewise.
    pub email: Option<String>,
    /// What others are told.
    pub(crate) profile: Profile,
}

/// Something can't be what it is given as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAName(&'static str);

impl Names {
    /// In lower case, if they may be so.
    pub(super) fn checked(self) -> Result<Self, NotAName> {
        let username = self.username.trim().to_lowercase();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
        if !USERNAME.contains(&username.len()) || !username.chars().all(good) {
            return Err(NotAName("username: 3 to 32 letters a-z, digits, _ . -"));
        }
        let email = self.email.map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty());
        if let Some(email) = &email {
            let parts = email.split_once('@');
            let shaped =
                parts.is_some_and(|(local, host)| !local.is_empty() && host.contains('.') && !host.contains('@'));
            if !shaped || email.len() > EMAIL || email.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(NotAName("email: that is no e-mail address"));
            }
            // One that looks like another, or is another spelling of it, would be an address of its own.
            if !email.is_ascii() {
                return Err(NotAName(
                    "email: letters a-z only; a domain in other letters in its form that begins with xn--",
                ));
            }
        }
        profile(&self.profile)?;
        Ok(Self { username, email, profile: self.profile })
    }
}

/// Whether it may be shown to others.
pub(super) fn profile(profile: &Profile) -> Result<(), NotAName> {
    for name in [&profile.first_name, &profile.last_name] {
        if name.len() > NAME || name.chars().any(deceives) {
            let why = "first_name, last_name: at most 64 bytes without control characters and what can't be seen";
            return Err(NotAName(why));
        }
    }
    let avatar = &profile.avatar_url;
    let safe = avatar.is_empty() || avatar.starts_with("https://") || avatar.starts_with("/api/uploads/");
    if !safe || avatar.len() > AVATAR || avatar.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(NotAName("avatar_url: an address with https://, at most 512 bytes"));
    }
    Ok(())
}

/// Whether it may be a password.
pub(super) fn password(password: &Secret) -> Result<(), NotAName> {
    if PASSWORD.contains(&password.expose().len()) { Ok(()) } else { Err(NotAName("password: 8 to 256 bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(username: &str, email: Option<&str>, first_name: &str, avatar_url: &str) -> Names {
        let profile =
            Profile { first_name: first_name.to_owned(), last_name: String::new(), avatar_url: avatar_url.to_owned() };
        Names { username: username.to_owned(), email: email.map(str::to_owned), profile }
    }

    #[test]
    fn names_are_kept_in_lower_case() {
        let checked = names(" Ada_L ", Some("Ada@Example.COM"), "Ada", "").checked().unwrap();
        assert_eq!((&checked.username[..], checked.email.as_deref()), ("ada_l", Some("ada@example.com")));
    }

    #[test]
    fn what_can_not_be_a_name_is_refused() {
        for (username, email, first, avatar) in [
            ("ab", None, "", ""),
            ("a b c", None, "", ""),
            ("ada\r\n", Some("x"), "", ""),
            ("ada@home", None, "", ""),
            ("adä", None, "", ""),
            ("ada", Some("no address"), "", ""),
            ("ada", Some("a@b\r\nbcc: x.y"), "", ""),
            ("ada", None, "line\nfeed", ""),
            ("ada", None, "\u{202e}adA", ""),
            ("ada", None, "A\u{200b}da", ""),
            ("ada", Some("ade\u{301}@example.com"), "", ""),
            ("ada", Some("ada@exаmple.com"), "", ""),
            ("ada", None, "", "javascript:alert(1)"),
            ("ada", None, "", "http://tracker.example.com/x.png"),
        ] {
            assert!(
                names(username, email, first, avatar).checked().is_err(),
                "{username:?} {email:?} {first:?} {avatar:?}"
            );
        }
    }
}
