//! `dhow completion`, and `dhow man`, which is made from the tables that the parser reads.

use std::path::Path;

use clap::builder::StyledStr;

use super::{Arity, Command, GROUPS, ROLES};
use crate::error::{Error, Result};
use crate::flags::{Flag, Parsed};
use crate::session::{GLOBAL_FLAGS, Session};

pub(crate) const COMMAND: Command = Command {
    paths: &["completion"],
    usage: "bash|zsh|fish",
    about: "Print the completion script of a shell",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[],
    run: completion,
};

/// For packagers; not shown on the help page.
pub(crate) const MAN: Command = Command {
    paths: &["man"],
    usage: "DIRECTORY",
    about: "",
    arity: Arity::Exactly(1),
    arguments_end_flags: false,
    flags: &[],
    run: |_, parsed| man(Path::new(parsed.argument(0))),
};

/// The scripts ask the program itself, by its hidden command, what may follow.
const SCRIPTS: &[(&str, &str)] = &[
    ("bash", include_str!("scripts/dhow.bash")),
    ("zsh", include_str!("scripts/dhow.zsh")),
    ("fish", include_str!("scripts/dhow.fish")),
];

fn completion(session: &Session, parsed: &Parsed) -> Result<()> {
    let shell = parsed.argument(0);
    let unknown = || Error::said(format!("completion: unknown shell \"{shell}\": bash, zsh or fish"));
    let (_, script) = SCRIPTS.iter().find(|(name, _)| *name == shell).ok_or_else(unknown)?;
    session.print(script)
}

fn man(folder: &Path) -> Result<()> {
    let context = || format!("write manual pages to {}", folder.display());
    std::fs::create_dir_all(folder).map_err(Error::io(context()))?;
    clap_mangen::generate_to(program(), folder).map_err(Error::io(context()))
}

/// The whole program as clap's tree.
fn program() -> clap::Command {
    let mut program = clap::Command::new("dhow")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Containers and images in one program")
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args(arguments(GLOBAL_FLAGS))
        .subcommands(ROLES.iter().map(|(name, about)| clap::Command::new(*name).about(*about)));
    for (group, about) in GROUPS {
        let inside = super::all().filter_map(|command| {
            let mut paths =
                command.paths.iter().filter_map(|path| path.strip_prefix(group)?.strip_prefix(' '));
            let name = paths.next()?;
            Some(tree_of(command, name).visible_aliases(paths.collect::<Vec<_>>()))
        });
        program = program.subcommand(clap::Command::new(*group).about(*about).subcommands(inside));
    }
    let plain = super::all().filter_map(|command| {
        let name = command.paths.iter().find(|path| !path.contains(' '))?;
        Some(tree_of(command, name).hide(command.about.is_empty()))
    });
    program.subcommands(plain)
}

fn tree_of(command: &Command, name: &'static str) -> clap::Command {
    let mut tree = clap::Command::new(name).about(command.about).disable_help_flag(true);
    for table in command.flags {
        tree = tree.args(arguments(table));
    }
    match command.usage.trim_start_matches("[OPTIONS]").trim() {
        "" => tree,
        usage => tree.arg(clap::Arg::new("arguments").value_name(usage).num_args(0..)),
    }
}

fn arguments(table: &'static [Flag]) -> impl Iterator<Item = clap::Arg> {
    table.iter().filter(|flag| !flag.hidden).map(|flag| {
        let argument = clap::Arg::new(flag.long).long(flag.long).help(StyledStr::from(flag.help));
        let argument = match flag.short {
            Some(short) => argument.short(short),
            None => argument,
        };
        match flag.kind.is_switch() {
            true => argument.action(clap::ArgAction::SetTrue),
            false => argument.action(clap::ArgAction::Append).value_name(flag.kind.word),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_make_a_sound_tree() {
        program().debug_assert();
    }

    #[test]
    fn pages_know_the_commands() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        let page = std::fs::read_to_string(folder.path().join("dhow-run.1")).unwrap();
        assert!(page.contains("cidfile") && page.contains("IMAGE"));
    }
}
