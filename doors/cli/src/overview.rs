//! The help pages: of the program, of a group, of a command.

use std::fmt::Write as _;

use crate::commands::{self, Command, GROUPS, ROLES};
use crate::flags::help;
use crate::session::GLOBAL_FLAGS;

/// Shown first, because most people want these.
const COMMON: &[&str] = &["run", "exec", "ps", "images", "version", "info"];

/// The page of `dhow --help`.
pub(crate) fn of_program() -> String {
    let mut page = String::from("Usage:  dhow [OPTIONS] COMMAND\n\nContainers and images in one program\n");
    let plain = |command: &&Command| command.paths.iter().any(|path| !path.contains(' '));
    let name = |command: &Command| command.paths.iter().rev().find(|path| !path.contains(' ')).copied();
    let mut commands: Vec<(&str, &str)> = commands::all()
        .filter(plain)
        .filter(|command| !command.about.is_empty())
        .filter_map(|command| Some((name(command)?, command.about)))
        .collect();
    commands.sort_unstable();
    let (common, others): (Vec<_>, Vec<_>) =
        commands.into_iter().partition(|(name, _)| COMMON.contains(name));
    section(&mut page, "Common Commands", &common);
    section(&mut page, "Management Commands", GROUPS);
    section(&mut page, "Commands", &others);
    section(&mut page, "Other Roles of the Program", ROLES);
    let _ = write!(page, "\nGlobal Options:\n{}", help::options(&[GLOBAL_FLAGS]));
    page.push_str("\nRun 'dhow COMMAND --help' for more information on a command.\n");
    page
}

/// The page of a group such as `container`.
pub(crate) fn of_group(group: &str) -> Option<String> {
    let (_, about) = GROUPS.iter().find(|(name, _)| *name == group)?;
    let mut commands: Vec<(&str, &str)> = commands::all()
        .filter_map(|command| {
            let path = command.paths.iter().find_map(|path| path.strip_prefix(group)?.strip_prefix(' '))?;
            Some((path, command.about))
        })
        .collect();
    commands.sort_unstable();
    let mut page = format!("Usage:  dhow {group} COMMAND\n\n{about}\n");
    section(&mut page, "Commands", &commands);
    let _ = writeln!(page, "\nRun 'dhow {group} COMMAND --help' for more information on a command.");
    Some(page)
}

/// The page of one command, called by this path.
pub(crate) fn of_command(command: &Command, path: &str) -> String {
    let mut page = format!("Usage:  dhow {path} {}", command.usage).trim_end().to_owned();
    let _ = writeln!(page, "\n\n{}", command.about);
    if command.paths.len() > 1 {
        let names: Vec<String> = command.paths.iter().map(|path| format!("dhow {path}")).collect();
        let _ = writeln!(page, "\nAliases:\n  {}", names.join(", "));
    }
    if command.flags.iter().any(|table| table.iter().any(|flag| !flag.hidden)) {
        let _ = write!(page, "\nOptions:\n{}", help::options(command.flags));
    }
    page
}

fn section(page: &mut String, title: &str, commands: &[(&str, &str)]) {
    let _ = writeln!(page, "\n{title}:");
    let width = commands.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(11);
    for (name, about) in commands {
        // What is said beyond the first line is for the command's own page.
        let _ = writeln!(page, "  {name:width$} {}", about.lines().next().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_one_line_on_the_pages_of_many() {
        for page in [Some(of_program()), of_group("container"), of_group("image")] {
            let page = page.unwrap();
            let (_, listed) = page.split_once("Commands:\n").unwrap();
            let listed =
                listed.lines().take_while(|line| !line.starts_with("Global") && !line.starts_with("Run"));
            let odd = |line: &&str| !line.is_empty() && !line.ends_with(':') && !line.starts_with("  ");
            assert_eq!(listed.filter(odd).collect::<Vec<_>>(), Vec::<&str>::new());
        }
    }
}
