//! The HTTP client of the whole program: for key sets, the object store, the trace collector, and the commands that ask a
//! running server.
//!
//! HTTP/1.1; TLS by rustls with ring, and the certificates that the machine trusts, so that a company's own authority is
//! trusted where the machine trusts it. It never follows a redirect: only addresses that an operator has named are asked.

use std::error::Error;
use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, blocking};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The settings of TLS do not fit together.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The settings of HTTP do not fit together.
    #[error("{}", reason(.0))]
    Http(#[from] reqwest::Error),
}

/// Makes a client with what `settle` adds, such as its timeouts; it has none by itself.
///
/// # Errors
/// [`ClientError`] if the settings do not fit together.
pub(crate) fn client(settle: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, ClientError> {
    Ok(settle(builder()?).build()?)
}

/// Makes a client for threads that may block; never on a thread of an async runtime.
///
/// # Errors
/// As [`client`].
pub fn blocking(
    settle: impl FnOnce(blocking::ClientBuilder) -> blocking::ClientBuilder,
) -> Result<blocking::Client, ClientError> {
    Ok(settle(blocking::ClientBuilder::from(builder()?).timeout(None)).build()?)
}

/// The innermost cause of a failure, which reqwest's own text leaves out. Without the address.
pub fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn builder() -> Result<ClientBuilder, rustls::Error> {
    let mut roots = RootCertStore::empty();
    // A machine without certificates still asks http:// addresses; https:// ones fail there as "unknown issuer".
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // The provider is named here, because the alternative is one that is set for the whole process.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(ClientBuilder::new().tls_backend_preconfigured(tls).redirect(Policy::none()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_failure_is_told_by_its_cause_and_without_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error =
            client(ClientBuilder::no_proxy).unwrap().get(format!("http://{address}/")).send().await.unwrap_err();
        let reason = reason(&error);
        assert!(reason.contains("refused") && !reason.contains(&address.to_string()), "{reason}");
    }

    #[tokio::test]
    async fn no_redirect_is_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 302 Found\r\nlocation: {url}elsewhere\r\ncontent-length: 0\r\n\r\n");
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let response = client(ClientBuilder::no_proxy).unwrap().get(url).send().await.unwrap();
        assert_eq!(response.status(), 302);
        served.await.unwrap();
    }
}
