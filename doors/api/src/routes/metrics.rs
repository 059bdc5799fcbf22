//! The address for metrics, apart from the sockets of the API: nothing can be changed there.

use std::sync::Arc;

use dhow_engine::Engine;
use http::{Request, StatusCode};
use hyper::body::Incoming;

use crate::server::accept::Service;
use crate::server::answer::{self, Response};
use crate::server::end::End;
use crate::server::problem;
use crate::types::metrics;

/// Answers `/metrics`.
#[derive(Clone)]
pub(crate) struct Exposition(pub(crate) Arc<Engine>);

impl Service for Exposition {
    async fn answer(&self, request: Request<Incoming>, _end: End) -> Response {
        if request.uri().path() != "/metrics" || !matches!(request.method().as_str(), "GET" | "HEAD") {
            return problem::answer(&problem::page_not_found());
        }
        let engine = Arc::clone(&self.0);
        let counted =
            tokio::task::spawn_blocking(move || engine.metrics().map(|counted| metrics::text(&counted)));
        match counted.await {
            Ok(Ok(text)) => answer::typed(StatusCode::OK, metrics::MEDIA_TYPE, text.into()),
            Ok(Err(error)) => problem::answer(&error),
            Err(error) => {
                problem::answer(&dhow_model::Error::internal("counting was broken off").because(error))
            }
        }
    }
}
