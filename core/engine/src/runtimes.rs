//! Which program makes a container: our own runtime, or another one by name or path.

use dhow_model::ports::RuntimeProgram;
use dhow_model::{Error, Result};

use crate::Engine;
use crate::registry::shorten;

/// Our own.
pub const OWN: &str = "dhow";

/// Runtimes that need not be configured: they take the same arguments, and are looked for in the search
/// path.
const KNOWN: [&str; 2] = ["runc", "crun"];

/// Whether a runtime may be asked for by this name where it is not configured.
#[must_use]
pub fn is_known(name: &str) -> bool {
    name == OWN || name.starts_with('/') || KNOWN.contains(&name)
}

impl Engine {
    /// The program of a runtime's name; none is our own.
    ///
    /// # Errors
    /// Invalid argument, in Docker's words, for a name that is none, or whose program is not there.
    pub(crate) fn runtime_program(&self, name: &str) -> Result<Option<RuntimeProgram>> {
        let unknown = || Error::invalid(format!("unknown or invalid runtime name: {}", shorten(name)));
        if name.is_empty() || name == OWN {
            return Ok(None);
        }
        let settings = self.settings();
        let configured = settings.runtimes.get(name);
        let (program, arguments) = match configured {
            Some(program) => (program.path.to_string_lossy().into_owned(), program.arguments.clone()),
            None if KNOWN.contains(&name) || name.starts_with('/') => (name.to_owned(), Vec::new()),
            None => return Err(unknown()),
        };
        let path = self.ports.host.program(&program).ok_or_else(|| match configured {
            Some(_) => Error::invalid(format!("runtime {name}: {program} is no program")),
            None => unknown(),
        })?;
        Ok(Some(RuntimeProgram { path, arguments }))
    }

    /// The names and programs of all runtimes that can be asked for.
    #[must_use]
    pub fn runtimes(&self) -> Vec<(String, RuntimeProgram)> {
        let own = RuntimeProgram { path: OWN.into(), arguments: Vec::new() };
        let settings = self.settings();
        let known = KNOWN.into_iter().filter(|name| !settings.runtimes.contains_key(*name));
        let found = known.filter_map(|name| {
            let path = self.ports.host.program(name)?;
            Some((name.to_owned(), RuntimeProgram { path, arguments: Vec::new() }))
        });
        let configured = settings.runtimes.clone().into_iter();
        std::iter::once((OWN.to_owned(), own)).chain(found).chain(configured).collect()
    }
}
