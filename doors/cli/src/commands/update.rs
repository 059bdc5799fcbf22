//! `dhow update`: other limits, another restart policy, other ports and networks for containers.

use dhow_api::client::Request;
use serde::Deserialize;

use super::each::checked;
use super::{Arity, Command, nullable};
use crate::error::{self, Error, Result};
use crate::flags::container::{LIMITS, RECONNECT, RESTART};
use crate::flags::create::update::UpdateRequest;
use crate::flags::{Flag, Parsed};
use crate::session::Session;

const FLAGS: &[&[Flag]] = &[LIMITS, RESTART, RECONNECT];

pub(crate) const COMMAND: Command = Command {
    paths: &["container update", "update"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Change limits, the restart policy, ports and networks of containers",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: FLAGS,
    run,
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Updated {
    #[serde(deserialize_with = "nullable")]
    warnings: Vec<String>,
}

fn run(session: &Session, parsed: &Parsed) -> Result<()> {
    if !FLAGS.iter().copied().flatten().any(|flag| parsed.is_given(flag.long)) {
        return Err(Error::said("you must provide one or more flags when using this command"));
    }
    let request = UpdateRequest::of(parsed).map_err(Error::said)?;
    let client = session.client()?;
    let (mut failures, mut warnings) = (Vec::new(), Vec::new());
    for name in &parsed.arguments {
        let asked = Request::post(&["containers", checked(name)?, "update"]).json(&request)?;
        let answered = client.send(asked).and_then(|response| response.json::<Updated>());
        match answered {
            Ok(updated) => {
                session.print_line(name)?;
                warnings.extend(updated.warnings);
            }
            Err(error) => failures.push(error.into()),
        }
    }
    for warning in warnings {
        session.print_line(&warning)?;
    }
    error::join(failures)
}
