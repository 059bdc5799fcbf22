//! Lengths of time as Docker words them: `About a minute`, `3 hours`.

use dhow_model::Timestamp;
use dhow_model::container::{HealthStatus, State};

/// `About an hour`, `5 days`, …, of whole seconds.
pub(crate) fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

/// The `Status` of a listed container: `Up 5 minutes (healthy)`, `Exited (0) 3 seconds ago`, `Created`.
pub(crate) fn status(state: &State, health: Option<HealthStatus>, now: Timestamp) -> String {
    let since = |at: Timestamp| duration(now.unix_seconds() - at.unix_seconds());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_worded_as_docker_words_them() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
    }
}
