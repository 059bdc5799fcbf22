//! What only we can do with logs: empty them, and tell what they take.

use http::StatusCode;
use serde_json::json;

use crate::server::answer::{self, Answer};
use crate::server::call::Call;

pub(super) async fn clear(call: Call, id: String) -> Answer {
    call.run(move |engine| engine.clear_container_log(&id)).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn sizes(call: Call) -> Answer {
    let sizes = call.run(|engine| engine.log_sizes()).await?;
    let shown = sizes.iter().map(|(container, size)| {
        let driver = &container.host_config.log_config.kind;
        json!({"Id": container.id, "Name": container.name, "Driver": driver, "Size": size})
    });
    Ok(answer::ok(&shown.collect::<Vec<_>>()))
}
