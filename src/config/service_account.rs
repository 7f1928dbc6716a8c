//! The service account with which pushes are sent by Firebase Cloud Messaging: the JSON that its console gives, as text or as
//! the path of a file with it.

use std::fmt;
use std::fs;

use serde::Deserialize;

use super::value::{Raw, Value, quoted};

/// Where a grant is exchanged for a token, if the account does not say.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// See the module. What is private of it is never shown, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// The project whose devices are pushed to.
    pub(crate) project: String,
    /// Who signs.
    pub(crate) email: String,
    /// Which of its keys, empty if the account does not say.
    pub(crate) key_id: String,
    /// The RSA key in PEM.
    private_key: String,
    /// Where a grant is exchanged for a token.
    pub(crate) token_uri: String,
}

impl ServiceAccount {
    /// The private key in PEM. Not for logs.
    #[must_use]
    pub(crate) fn private_key(&self) -> &str {
        &self.private_key
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// As the file has it.
#[derive(Deserialize)]
struct Account {
    #[serde(rename = "type", default)]
    kind: String,
    project_id: String,
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default)]
    token_uri: String,
}

impl Value for ServiceAccount {
    fn read(raw: &Raw) -> Result<Self, String> {
        const EXPECTED: &str = "the JSON of a service account (Firebase console, project settings, service accounts), or the \
             path of a file with it";
        let given = String::read(raw)?;
        let text = if given.trim_start().starts_with('{') {
            given
        } else {
            // A key that was pasted by mistake is not repeated: only what looks like a path is.
            let path = given.trim();
            let named = if path.len() < 256 && !path.contains(char::is_whitespace) { path } else { "the file" };
            fs::read_to_string(path).map_err(|error| format!("expected {EXPECTED}: can't read {named}: {error}"))?
        };
        // What serde says may quote the text, and the text is a secret.
        let account: Account = serde_json::from_str(&text)
            .map_err(|_| format!("expected {EXPECTED}: it must have project_id, client_email and private_key"))?;
        let Account { kind, project_id, client_email, private_key, private_key_id, token_uri } = account;
        if !kind.is_empty() && kind != "service_account" {
            return Err(format!("expected {EXPECTED}: its \"type\" must be \"service_account\""));
        }
        if !private_key.contains("PRIVATE KEY") {
            return Err(format!("expected {EXPECTED}: its private_key is no key in PEM"));
        }
        let token_uri = if token_uri.is_empty() { TOKEN_URI.to_owned() } else { token_uri };
        if !token_uri.starts_with("https://") && !token_uri.starts_with("http://") {
            return Err(format!("expected {EXPECTED}: its token_uri must start with https://"));
        }
        Ok(Self { project: project_id, email: client_email, key_id: private_key_id, private_key, token_uri })
    }
    fn show(&self) -> String {
        quoted("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = r#"{"type": "service_account", "project_id": "tea", "client_email": "push@tea.example",
        "private_key": "-----BEGIN PRIVATE KEY-----\nTOPSECRET\n-----END PRIVATE KEY-----\n", "private_key_id": "k1"}"#;

    fn read(text: &str) -> Result<ServiceAccount, String> {
        ServiceAccount::read(&Raw::Text(text.to_owned()))
    }

    #[test]
    fn an_account_is_read_as_text_or_from_its_file_and_never_shown() {
        let account = read(ACCOUNT).unwrap();
        assert_eq!((account.project.as_str(), account.email.as_str()), ("tea", "push@tea.example"));
        assert_eq!((account.key_id.as_str(), account.token_uri.as_str()), ("k1", TOKEN_URI));
        assert_eq!((account.show().as_str(), format!("{account:?}").as_str()), ("\"***\"", "***"));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), ACCOUNT).unwrap();
        assert_eq!(read(file.path().to_str().unwrap()).unwrap(), account);
    }

    #[test]
    fn what_is_no_account_is_refused_without_repeating_it() {
        for wrong in [
            "{\"project_id\": \"TOPSECRET\"}".to_owned(),
            "{TOPSECRET".to_owned(),
            "TOPSECRET with blanks".to_owned(),
            ACCOUNT.replace("service_account", "authorized_user"),
            ACCOUNT.replace("PRIVATE KEY", "KEY"),
            ACCOUNT.replace("\"private_key_id\": \"k1\"", "\"token_uri\": \"ftp://x\""),
        ] {
            let said = read(&wrong).unwrap_err();
            assert!(
                said.starts_with("expected the JSON of a service account") && !said.contains("TOPSECRET"),
                "{said}"
            );
        }
    }
}
