//! The pages that lie in the program: made from `ui/`, committed in `ui/dist`, served with nothing from anywhere else.
//!
//! A hashed file never changes and is kept for a year; the page itself is asked for each time, and is mostly "not
//! modified".

use std::future::{Ready, ready};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::Embed;

use super::HttpError;
use super::packed::{Packed, takes_gzip};

/// The demo.
#[derive(Embed)]
#[folder = "ui/dist/demo"]
struct Demo;

/// What a page's files are served under.
trait Page: Embed {
    /// The policy of a file.
    fn policy(_path: &str) -> &'static str {
        POLICY
    }
}

impl Page for Demo {
    fn policy(path: &str) -> &'static str {
        if path == WORKER { POLICY_OF_WORKER } else { POLICY_OF_DEMO }
    }
}

impl Page for Inspector {}

impl Page for Viewer {}

/// The operator's.
#[derive(Embed)]
#[folder = "ui/dist/inspector"]
struct Inspector;

/// The viewer of the documents.
#[derive(Embed)]
#[folder = "ui/dist/docs"]
struct Viewer;

/// What a page may do: run and load its own files, speak to its own server. No inline scripts or styles, no frames. Only the demo
/// has a manifest to load, and a worker, which shows pushes.
macro_rules! policy {
    ($workers:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
             manifest-src 'self'; worker-src ",
            $workers,
            "; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
    };
}
const POLICY: &str = policy!("'none'");
/// Of the page at `/` of the public port.
const POLICY_OF_DEMO: &str = policy!("'self'");
/// Of the demo's worker: it loads and asks for nothing.
const POLICY_OF_WORKER: &str = "default-src 'none'; frame-ancestors 'none'";
/// The demo's worker: at the top, as a worker sees the pages below its own address only.
const WORKER: &str = "service-worker.js";

/// What no page here asks a device for.
const NOT_USED: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// The demo at `/`. Who asks for no page (curl) gets `plain`. Its manifest has a fixed address, as what a browser has installed
/// is known by it.
pub(super) fn demo<S: Clone + Send + Sync + 'static>(plain: &'static str) -> Router<S> {
    let fixed = |path| {
        let packed = Packed::default();
        get(move |headers: HeaderMap| ready(file::<Demo>(&packed, path, &headers)))
    };
    pages::<Demo, S>(plain)
        .route("/icon.svg", fixed("icon.svg"))
        .route("/manifest.webmanifest", fixed("manifest.webmanifest"))
        .route("/service-worker.js", fixed(WORKER))
}

/// The operator's page at `/` of the admin port: what it shows, it asks the admin API for.
pub(super) fn inspector<S: Clone + Send + Sync + 'static>(plain: &'static str) -> Router<S> {
    pages::<Inspector, S>(plain)
}

/// The viewer of the API's documents at `/docs`.
pub(super) fn viewer<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let packed = Packed::default();
    let (page, files) = (packed.clone(), packed);
    let page = move |headers: HeaderMap| async move { file::<Viewer>(&page, "index.html", &headers) };
    Router::new().route("/docs", get(page)).route("/docs/assets/{name}", get(asset::<Viewer>(files)))
}

fn pages<Files: Page + 'static, S: Clone + Send + Sync + 'static>(plain: &'static str) -> Router<S> {
    let packed = Packed::default();
    let (page, files) = (packed.clone(), packed);
    let root = move |headers: HeaderMap| async move {
        let wants_page = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        if wants_page { file::<Files>(&page, "index.html", &headers) } else { super::text(StatusCode::OK, plain) }
    };
    Router::new().route("/", get(root)).route("/assets/{name}", get(asset::<Files>(files)))
}

fn asset<Files: Page>(
    packed: Packed,
) -> impl Fn(Path<String>, HeaderMap) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |Path(name), headers| ready(file::<Files>(&packed, &format!("assets/{name}"), &headers))
}

fn file<Files: Page>(packed: &Packed, path: &str, asked: &HeaderMap) -> Response {
    let Some(file) = Files::get(path) else {
        return HttpError::new(StatusCode::NOT_FOUND, "not_found", "there is no such file").into_response();
    };
    let hash = file.metadata.sha256_hash();
    let tag: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let short = if takes_gzip(asked) { packed.get::<Files>(path) } else { None };
    // Other bytes, another tag.
    let tag = format!("\"{tag}{}\"", if short.is_some() { "-gzip" } else { "" });
    let keep = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut headers = HeaderMap::new();
    let mut say = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    say(header::CONTENT_TYPE, kind(path));
    say(header::ETAG, &tag);
    say(header::CACHE_CONTROL, keep);
    say(header::VARY, "accept-encoding");
    say(header::CONTENT_SECURITY_POLICY, Files::policy(path));
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::REFERRER_POLICY, "no-referrer");
    say(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    say(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    say(HeaderName::from_static("permissions-policy"), NOT_USED);
    if is_known(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    match short {
        Some(short) => ([(header::CONTENT_ENCODING, "gzip")], headers, short).into_response(),
        None => (headers, file.data.into_owned()).into_response(),
    }
}

/// Whether the client has the file with this tag. The comparison is the weak one (RFC 9110, 13.1.2): a proxy that compresses
/// makes a weak tag of ours.
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// By the end of the name: these are our own files.
fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_every_form_that_it_may_come_back_in() {
        let known = |lists: &[&'static str]| {
            let lists = lists.iter().map(|list| (header::IF_NONE_MATCH, HeaderValue::from_static(list)));
            is_known(&lists.collect(), "\"a1\"")
        };
        for lists in
            [&["\"a1\""][..], &["W/\"a1\""], &["\"b\", W/\"a1\""], &["*"], &["\"b\"", "\"a1\""], &["W/\"b\",\"a1\" "]]
        {
            assert!(known(lists), "{lists:?}");
        }
        for lists in [&[][..], &["\"b\""], &["a1"], &["W/"], &["\"a1"], &["w/\"a1\""]] {
            assert!(!known(lists), "{lists:?}");
        }
    }
}
