//! Errors on the wire: the status of each kind, and `{"message": …}`.

use dhow_model::{Error, Kind};
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{self, Response};

/// The one place where kinds become status codes.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::InvalidArgument => StatusCode::BAD_REQUEST,
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Corrupt | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer that tells `error`.
pub(crate) fn answer(error: &Error) -> Response {
    match status(error.kind()) {
        StatusCode::NOT_MODIFIED => answer::empty(StatusCode::NOT_MODIFIED),
        status => answer::json(status, &Message { message: error.report() }),
    }
}

/// The line that tells `error` in a stream of JSON whose head has been sent.
pub(crate) fn line(error: &Error) -> Value {
    let message = error.report();
    json!({"errorDetail": {"message": message}, "error": message})
}

/// What no route is for.
pub(crate) fn page_not_found() -> Error {
    Error::not_found("page not found")
}

#[derive(serde::Serialize)]
struct Message {
    message: String,
}
