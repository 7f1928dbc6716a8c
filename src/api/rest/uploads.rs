//! `/api/uploads`: files for the members of a chat. A message names one in its metadata.

use std::pin::Pin;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{ApiError, CurrentUser, Rest};
use crate::actors::wire::Reject;
use crate::api::http::HttpError;
use crate::api::http::Path;
use crate::api::operations::admission::Cost;
use crate::api::operations::{self, Caller};
use crate::api::uploads::{Incoming, UploadPermit, disposition, small_type};
use crate::ids::RoomId;
use crate::storage::uploads::{Part, Upload, UploadError};

/// Between two pieces of a body.
const PIECE_DEADLINE: Duration = Duration::from_secs(10);
/// A file comes at this pace at least, in bytes a second, after the time for a first piece: else its sender would keep a place
/// from others with next to nothing.
const PACE: u64 = 16 * 1024;
/// For a whole upload.
const DEADLINE: Duration = Duration::from_secs(300);
/// Bytes of a form around its file.
const FORM_BYTES: usize = 64 * 1024;

/// The routes; they are given more time and larger bodies than others.
pub(super) fn routes(max_file_size: usize) -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(download, remove))
        .routes(routes!(thumbnail))
        .layer(DefaultBodyLimit::max(max_file_size.saturating_add(FORM_BYTES)))
}

/// A file for a chat.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a picture of the form, for the document")]
struct UploadForm {
    /// The chat whose members may see it; before the file, so that a stranger's is not read.
    chat: RoomId,
    /// The file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// An uploaded file.
#[derive(Serialize, ToSchema)]
struct UploadView {
    /// Its id.
    id: Uuid,
    /// Whose members may see it.
    chat: RoomId,
    /// What its owner calls it.
    name: String,
    /// What it is, by its content.
    #[serde(rename = "type")]
    media_type: String,
    /// Bytes.
    size: u64,
    /// Of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    width: Option<u32>,
    /// Of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    height: Option<u32>,
    /// Where it is, for members.
    url: String,
    /// Where its thumbnail is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    thumbnail_url: Option<String>,
}

impl From<Upload> for UploadView {
    fn from(upload: Upload) -> Self {
        let url = format!("/api/uploads/{}", upload.id);
        let (width, height) = upload.pixels.unzip();
        Self {
            id: upload.id,
            chat: upload.chat,
            name: upload.name,
            media_type: upload.media_type,
            size: upload.size,
            width,
            height,
            thumbnail_url: upload.thumbnail.then(|| format!("{url}/thumbnail")),
            url,
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Quota => HttpError::new(StatusCode::FORBIDDEN, "quota_exceeded", error.to_string()).into(),
            UploadError::Objects(why) => {
                tracing::error!(why, "the files can't be reached");
                let told = "the files can't be reached now";
                HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", told).retry_after(1_000).into()
            }
            UploadError::Store(error) => operations::Error::from(error).into(),
        }
    }
}

/// Upload a file into a chat
#[utoipa::path(post, path = "/api/uploads", tag = "uploads", security(("bearer" = [])),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = UploadView)))]
async fn upload(State(rest): State<Rest>, CurrentUser(caller): CurrentUser, form: Form) -> Result<Response, ApiError> {
    let taken = async {
        rest.admit(&caller.user, Cost::CHANGE)?;
        rest.uploads.has_room(&caller.user).await?;
        let (chat, name, bytes, place) = form.read(&rest, &caller).await?;
        let upload = rest.uploads.take(Incoming { chat, user: caller.user.clone(), name, bytes }).await?;
        drop(place);
        Ok(upload)
    };
    let upload = tokio::time::timeout(DEADLINE, taken).await.unwrap_or_else(|_| Err(too_slow()))?;
    let location = format!("/api/uploads/{}", upload.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(UploadView::from(upload))).into_response())
}

/// A file
#[utoipa::path(get, path = "/api/uploads/{id}", tag = "uploads", params(("id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, description = "the file", content_type = "application/octet-stream")))]
async fn download(
    State(rest): State<Rest>,
    CurrentUser(caller): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let upload = rest.visible(&caller, id).await?;
    // Browsers show what was read as an image, and nothing else.
    let inline = upload.pixels.is_some();
    rest.serve(&upload, Part::File, Some(upload.media_type.clone()), disposition(inline, &upload.name)).await
}

/// A small picture of an image
#[utoipa::path(get, path = "/api/uploads/{id}/thumbnail", tag = "uploads", params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, description = "PNG or JPEG", content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg")))))]
async fn thumbnail(
    State(rest): State<Rest>,
    CurrentUser(caller): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let upload = rest.visible(&caller, id).await?;
    if !upload.thumbnail {
        return Err(absent());
    }
    rest.serve(&upload, Part::Thumbnail, None, disposition(true, "thumbnail")).await
}

/// Remove one's own file
#[utoipa::path(delete, path = "/api/uploads/{id}", tag = "uploads", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses((status = 204, description = "removed")))]
async fn remove(
    State(rest): State<Rest>,
    CurrentUser(caller): CurrentUser,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    rest.admit(&caller.user, Cost::CHANGE)?;
    let upload = rest.uploads.get(id).await?.filter(|upload| upload.user == caller.user).ok_or_else(absent)?;
    rest.uploads.remove(&upload).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Rest {
    /// A file that this caller may see. To everybody else it is as if there were none.
    async fn visible(&self, caller: &Caller, id: Uuid) -> Result<Upload, ApiError> {
        self.admit(&caller.user, Cost::QUESTION)?;
        let upload = self.uploads.get(id).await?.ok_or_else(absent)?;
        match self.handlers.require_member(caller, upload.chat).await {
            Ok(()) => Ok(upload),
            Err(operations::Error::Rejected(Reject::NoRoom | Reject::NotMember)) => Err(absent()),
            Err(other) => Err(other.into()),
        }
    }

    /// Of a thumbnail the type is told by its bytes.
    async fn serve(
        &self,
        upload: &Upload,
        part: Part,
        media_type: Option<String>,
        disposition: String,
    ) -> Result<Response, ApiError> {
        let (size, stream) = self.uploads.read(upload, part).await?;
        let mut stream = stream.peekable();
        let media_type = match media_type {
            Some(known) => known,
            None => match Pin::new(&mut stream).peek().await {
                Some(Ok(first)) => small_type(first).to_owned(),
                _ => "application/octet-stream".to_owned(),
            },
        };
        let mut response = Response::new(Body::from_stream(stream));
        let headers = response.headers_mut();
        let mut set = |name, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, media_type);
        set(header::CONTENT_LENGTH, size.to_string());
        set(header::CONTENT_DISPOSITION, disposition);
        // Whatever is in it: nothing is run, nothing is guessed, nothing is fetched, and no proxy keeps it.
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
        set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned());
        set(header::CACHE_CONTROL, "private, max-age=3600".to_owned());
        Ok(response)
    }
}

/// A form whose head has come.
struct Form(Multipart);

impl axum::extract::FromRequest<Rest> for Form {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, rest: &Rest) -> Result<Self, ApiError> {
        Multipart::from_request(request, rest).await.map(Self).map_err(|_| {
            let why = "the body is a form: say content-type: multipart/form-data, with a boundary";
            HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", why).into()
        })
    }
}

impl Form {
    /// Reads `chat`, then `file`, which takes a place: only those who may write into the chat are given one.
    async fn read(
        self,
        rest: &Rest,
        caller: &Caller,
    ) -> Result<(RoomId, String, Bytes, Option<UploadPermit>), ApiError> {
        let Self(mut form) = self;
        let mut chat = None;
        let begun = Instant::now();
        while let Some(field) = in_time(PIECE_DEADLINE, form.next_field()).await? {
            match field.name() {
                Some("chat") => {
                    let text = whole(field, FORM_BYTES, begun).await?;
                    let id = std::str::from_utf8(&text).ok().and_then(|text| Uuid::try_parse(text).ok());
                    let id = id.map(RoomId).ok_or_else(|| bad("chat is a uuid"))?;
                    rest.handlers.require_sender(caller, id).await?;
                    chat = Some(id);
                }
                Some("file") => {
                    let chat = chat.ok_or_else(|| bad("the form has `chat` first, then `file`"))?;
                    let name = field.file_name().unwrap_or_default().to_owned();
                    let place = rest.uploads.admit(&caller.user).await;
                    let bytes = whole(field, rest.uploads.most(), Instant::now()).await?;
                    if bytes.is_empty() {
                        return Err(bad("the file is empty"));
                    }
                    return Ok((chat, name, bytes, place));
                }
                _ => {
                    whole(field, FORM_BYTES, begun).await?;
                }
            }
        }
        Err(bad("the form has `chat` and `file`"))
    }
}

/// Reads a field that began at this time.
async fn whole(mut field: Field<'_>, most: usize, begun: Instant) -> Result<Bytes, ApiError> {
    let mut bytes = BytesMut::new();
    loop {
        let due = PIECE_DEADLINE + Duration::from_secs(bytes.len() as u64 / PACE);
        let left = due.saturating_sub(begun.elapsed()).min(PIECE_DEADLINE);
        let Some(piece) = in_time(left, field.chunk()).await? else { break };
        if bytes.len() + piece.len() > most {
            let why = format!("at most {most} bytes");
            return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why).into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

async fn in_time<T>(time: Duration, piece: impl Future<Output = Result<T, MultipartError>>) -> Result<T, ApiError> {
    match tokio::time::timeout(time, piece).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large").into())
        }
        Ok(Err(_)) => Err(bad("the form did not arrive whole")),
        Err(_) => Err(too_slow()),
    }
}

fn bad(why: &str) -> ApiError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why).into()
}

fn absent() -> ApiError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", "there is no such file, or you are not in its chat").into()
}

fn too_slow() -> ApiError {
    HttpError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the file came too slowly: nothing happened").into()
}
