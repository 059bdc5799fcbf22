//! `context create`, `context update`, `context use`, `context rm`.

use super::endpoint;
use crate::commands::{Arity, Command};
use crate::contexts::{Context, DEFAULT, check_name};
use crate::error::{Error, Result, join};
use crate::flags::{Flag, Kind, Parsed, STRING, SWITCH, anything, flag};
use crate::session::{Session, overriding_variable};
use crate::settings;

const PAIRS: Kind = Kind::new("stringToString", anything);
const DESCRIPTION: Flag = flag("description", STRING, "Description of the context");
const DOCKER: Flag = flag(
    "docker",
    PAIRS,
    "The engine: host=ADDRESS[,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=BOOL], or from=CONTEXT",
);

pub(crate) const CREATE: Command = Command {
    paths: &["context create"],
    usage: "[OPTIONS] CONTEXT",
    about: "Create a context",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[DESCRIPTION, DOCKER, flag("from", STRING, "create context from a named context")]],
    run: create,
};

pub(crate) const UPDATE: Command = Command {
    paths: &["context update"],
    usage: "[OPTIONS] CONTEXT",
    about: "Update a context",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[&[DESCRIPTION, DOCKER]],
    run: update,
};

pub(crate) const USE: Command = Command {
    paths: &["context use"],
    usage: "CONTEXT",
    about: "Make a context the present one",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[],
    run: choose,
};

pub(crate) const REMOVE: Command = Command {
    paths: &["context rm", "context remove"],
    usage: "CONTEXT [CONTEXT...]",
    about: "Remove contexts",
    arity: Arity::AtLeast(1),
    arguments_end_flags: false,
    flags: &[&[flag("force", SWITCH, "Remove one that is in use, too").short('f')]],
    run: remove,
};

fn create(session: &Session, parsed: &Parsed) -> Result<()> {
    let (store, name) = (session.contexts(), parsed.argument(0));
    check_name(name)?;
    if store.exists(name) {
        return Err(Error::said(format!("context \"{name}\" already exists")));
    }
    let from = parsed.text("from").map(|from| {
        let described = if from == DEFAULT { Ok(Context::default()) } else { store.read(from) };
        Ok::<_, Error>((described?, endpoint::of_context(session, from)?))
    });
    let (mut context, copied) = match from.transpose()? {
        Some((context, endpoint)) => (context, Some(endpoint)),
        None => (Context::default(), None),
    };
    let given = match endpoint::given(session, parsed)?.or(copied) {
        Some(given) => given,
        None => return Err(Error::said("docker endpoint configuration is required")),
    };
    context.name = name.to_owned();
    if let Some(description) = parsed.text("description") {
        context.describe(description);
    }
    context.endpoints.docker = given.endpoint;
    store.write_tls(name, &given.files)?;
    store.write(&context)?;
    session.print_line(name)?;
    eprintln!("Successfully created context \"{name}\"");
    Ok(())
}

fn update(session: &Session, parsed: &Parsed) -> Result<()> {
    let (store, name) = (session.contexts(), parsed.argument(0));
    check_name(name)?;
    let mut context = store.read(name)?;
    if let Some(description) = parsed.text("description") {
        context.describe(description);
    }
    if let Some(given) = endpoint::given(session, parsed)? {
        context.endpoints.docker = given.endpoint;
        store.write_tls(name, &given.files)?;
    }
    store.write(&context)?;
    session.print_line(name)?;
    eprintln!("Successfully updated context \"{name}\"");
    Ok(())
}

fn choose(session: &Session, parsed: &Parsed) -> Result<()> {
    let name = parsed.argument(0);
    if name != DEFAULT {
        check_name(name)?;
        session.contexts().read(name)?;
    }
    settings::set_context(&session.settings_folder(), name)?;
    session.print_line(name)?;
    eprintln!("Current context is now \"{name}\"");
    if let Some(variable) = overriding_variable().filter(|_| name != DEFAULT) {
        eprintln!(
            "Warning: {variable} environment variable overrides the active context. To use \"{name}\", either \
             set the global --context flag, or unset {variable} environment variable."
        );
    }
    Ok(())
}

fn remove(session: &Session, parsed: &Parsed) -> Result<()> {
    let present = session.context_name()?;
    let mut failures = Vec::new();
    for name in &parsed.arguments {
        match remove_one(session, name, &present, parsed.is_on("force")) {
            Ok(()) => session.print_line(name)?,
            Err(error) => failures.push(error),
        }
    }
    join(failures)
}

fn remove_one(session: &Session, name: &str, present: &str, force: bool) -> Result<()> {
    let store = session.contexts();
    if name == DEFAULT {
        return Err(Error::said("context \"default\" cannot be removed"));
    }
    check_name(name)?;
    if !store.exists(name) && !force {
        return Err(Error::said(format!("context \"{name}\" does not exist")));
    }
    if name == present {
        if !force {
            return Err(Error::said(format!("context \"{name}\" is in use, set -f flag to force remove")));
        }
        settings::set_context(&session.settings_folder(), DEFAULT)?;
    }
    store.remove(name)
}
