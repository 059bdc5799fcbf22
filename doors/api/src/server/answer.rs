//! Answers without a stream: JSON, text, or nothing.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use serde::Serialize;

/// The body of an answer. An error breaks the connection off, which is how a client learns of it
/// once the head is sent.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer on its way to the client.
pub(crate) type Response = http::Response<Body>;

/// What a handler returns.
pub(crate) type Answer = dhow_model::Result<Response>;

/// `status` without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    with_body(status, Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// 204: done, nothing to say.
pub(crate) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

/// 200 with a value.
pub(crate) fn ok(value: &impl Serialize) -> Response {
    json(StatusCode::OK, value)
}

/// 201 with a value.
pub(crate) fn created(value: &impl Serialize) -> Response {
    json(StatusCode::CREATED, value)
}

/// `status` with a value. Every answer ends with a newline, as Go's encoder writes it.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            typed(status, "application/json", bytes.into())
        }
        // Our own types always serialize; a map with keys that are no text would be a fault of ours.
        Err(error) => typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string().into()),
    }
}

/// `status` with bytes of a media type.
pub(crate) fn typed(status: StatusCode, media_type: &'static str, bytes: Bytes) -> Response {
    let mut response = with_body(status, Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// `status` with a body.
pub(crate) fn with_body(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
