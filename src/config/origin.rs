//! Which web pages may connect: the `Origin` header of a browser against `server.allowed_origins`.

use super::Server;

impl Server {
    /// Whether a request with these `Origin` and `Host` headers may open a connection. Clients that are no browsers
    /// send no `Origin` and are let in: the header protects users of browsers only (RFC 6455, 10.2).
    #[must_use]
    pub fn origin_allowed(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        if self.allowed_origins.is_empty() {
            // Any page in development; the page of the same host in production.
            let page = origin.split_once("://").map(|(_, page)| page);
            return !self.production
                || (page.is_some() && page.map(str::to_ascii_lowercase) == host.map(str::to_ascii_lowercase));
        }
        self.allowed_origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(production: bool, allowed: &[&str]) -> Server {
        let allowed_origins = allowed.iter().map(|&o| o.to_owned()).collect();
        Server { production, allowed_origins, ..Server::default() }
    }

    #[test]
    fn a_listed_page_may_connect_and_another_may_not() {
        let server = server(true, &["https://chat.example.com"]);
        assert!(server.origin_allowed(Some("https://Chat.example.com"), None));
        assert!(!server.origin_allowed(Some("http://chat.example.com"), None));
        assert!(!server.origin_allowed(Some("https://chat.example.com.evil.test"), None));
        assert!(!server.origin_allowed(Some("null"), None));
    }

    #[test]
    fn without_a_list_production_lets_in_pages_of_its_own_host_and_development_all() {
        let host = Some("chat.example.com:3000");
        assert!(server(true, &[]).origin_allowed(Some("https://chat.example.com:3000"), host));
        assert!(!server(true, &[]).origin_allowed(Some("https://evil.test"), host));
        assert!(!server(true, &[]).origin_allowed(Some("null"), None));
        assert!(server(false, &[]).origin_allowed(Some("https://evil.test"), host));
        assert!(server(true, &["*"]).origin_allowed(Some("https://evil.test"), host));
    }

    #[test]
    fn a_client_that_is_no_browser_may_connect() {
        assert!(server(true, &["https://chat.example.com"]).origin_allowed(None, None));
    }
}
