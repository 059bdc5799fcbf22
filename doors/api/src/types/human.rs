//! What a list says of the state of a container.

use dhow_model::container::{HealthStatus, State};
use dhow_model::{Timestamp, duration};

/// The `Status` of a listed container: `Up 5 minutes (healthy)`, `Exited (0) 3 seconds ago`, `Created`.
pub(crate) fn status(state: &State, health: Option<HealthStatus>, now: Timestamp) -> String {
    let since = |at: Timestamp| duration::in_words(now.unix_seconds() - at.unix_seconds());
    match state {
        State::Created { .. } => "Created".into(),
        State::Running(running) => format!("Up {}{}", since(running.started), words_of(health)),
        State::Paused(running) => format!("Up {} (Paused)", since(running.started)),
        State::Restarting(exit) => format!("Restarting ({}) {} ago", exit.code, since(exit.finished)),
        State::Exited(exit) => format!("Exited ({}) {} ago", exit.code, since(exit.finished)),
        State::Removing => "Removal In Progress".into(),
    }
}

fn words_of(health: Option<HealthStatus>) -> &'static str {
    match health {
        Some(HealthStatus::Starting) => " (health: starting)",
        Some(HealthStatus::Healthy) => " (healthy)",
        Some(HealthStatus::Unhealthy) => " (unhealthy)",
        None => "",
    }
}
