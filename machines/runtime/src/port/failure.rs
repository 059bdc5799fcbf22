//! The words of a start that failed. Docker's clients match on them and on the exit code.

use std::io;

use dhow_model::ports::StartFailure;
use dhow_model::{Error, Kind};

use crate::container;

/// What users mostly did, where the kernel misses a directory.
const NOT_A_DIRECTORY: &str = "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The start of a container.
    Start,
    /// The start of one more process.
    Exec,
}

/// A failure of ours: nothing about the configuration is wrong.
#[must_use]
pub fn own(verb: Verb, what: &str, error: &io::Error) -> StartFailure {
    let error = Error::internal(words(verb, &format!("{what}: {error}")));
    StartFailure { exit_code: 128, error }
}

/// A failure to make the container or to execute the program.
///
/// 127 is "no such program" and 126 "it may not be executed", as a shell says it.
#[must_use]
pub fn of_container(verb: Verb, error: &container::Error) -> StartFailure {
    let kind = match error.stage {
        container::Stage::Configuration
        | container::Stage::ProgramNotFound
        | container::Stage::ProgramNotExecutable => Kind::InvalidArgument,
        _ => Kind::Internal,
    };
    let message = words(verb, &format!("unable to start container process: {error}"));
    if verb == Verb::Start && message.contains("not a directory") {
        // Docker goes by the kernel's words too, whatever the step.
        let error = Error::invalid(format!("{message}: {NOT_A_DIRECTORY}"));
        return StartFailure { exit_code: 127, error };
    }
    StartFailure { exit_code: error.exit_code(), error: Error::new(kind, message) }
}

fn words(verb: Verb, message: &str) -> String {
    match verb {
        Verb::Start => format!(
            "failed to create task for container: failed to create shim task: \
             OCI runtime create failed: {message}: unknown"
        ),
        Verb::Exec => format!("OCI runtime exec failed: exec failed: {message}: unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use container::Stage;

    #[test]
    fn clients_find_the_words_and_codes_they_look_for() {
        for (stage, code, kind) in [
            (Stage::ProgramNotFound, 127, Kind::InvalidArgument),
            (Stage::ProgramNotExecutable, 126, Kind::InvalidArgument),
            (Stage::Configuration, 128, Kind::InvalidArgument),
            (Stage::Setup, 128, Kind::Internal),
        ] {
            let what = "exec: \"foo\": executable file not found in $PATH".to_owned();
            let error = container::Error { stage, what, errno: None };
            let failure = of_container(Verb::Start, &error);
            assert_eq!((failure.exit_code, failure.error.kind()), (code, kind));
            assert_eq!(
                failure.error.to_string(),
                "failed to create task for container: failed to create shim task: OCI runtime create \
                 failed: unable to start container process: exec: \"foo\": executable file not found in \
                 $PATH: unknown"
            );
        }
    }
}
