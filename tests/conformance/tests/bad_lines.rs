//! Command lines that are wrong: every command of docker's with flags that are none, with too few and too many
//! arguments and names of what is not there, and every flag with values that are none of its own. What is said and the
//! status are compared to the letter; which commands and flags there are, docker's own help tells. (`export` of docker
//! leaves files where it fails, and is compared with its flags alone.)

use anyhow::Result;
use dhow_conformance::{difference, docker, engine};
use dhow_testkit::Engine;

/// Commands that are not compared: not served yet, of what versions differ in, or never at an end.
const LEFT_OUT: &[&str] = &[
    "attach",
    "build",
    "builder",
    "buildx",
    "checkpoint",
    "compose",
    "dial-stdio",
    "events",
    "export",
    "info",
    "init",
    "join",
    "login",
    "logout",
    "manifest",
    "pull",
    "push",
    "search",
    "stats",
    "swarm",
    "trust",
    "use",
    "version",
];

/// What follows each command.
const WRONG: &[&[&str]] = &[
    &["--nosuchflag"],
    &["-Z"],
    &["--help=x"],
    &["--format"],
    &["-f"],
    &[],
    &["nosuch"],
    &["nosuch", "nosuch2"],
    &["nosuch", "nosuch2", "nosuch3", "nosuch4"],
];

/// What follows a group of commands.
const OF_GROUPS: &[&str] = &["nosuch", "--nosuchflag", "-Z", "--help=x"];

/// Commands whose flags are tried, with what has to follow them.
const FLAGGED: &[&str] = &[
    "run nosuch",
    "create nosuch",
    "update nosuch",
    "exec nosuch x",
    "ps",
    "images",
    "logs nosuch",
    "stop nosuch",
    "kill nosuch",
    "rm nosuch",
    "start nosuch",
    "commit nosuch",
    "inspect nosuch",
    "history nosuch",
    "import /nosuch",
    "save nosuch",
    "rmi nosuch",
    "export nosuch",
    "network|create bridge",
    "network|connect nosuch other",
    "network|ls",
    "volume|create a/b",
    "volume|ls",
    "volume|rm nosuch",
    "system|df",
    "stats nosuch",
];

const VALUES: &[&str] = &["x", "", "-1", "99999999999999999999", "1:2:3:4"];

/// Flags whose words are another library version's, or that ask a notary.
const UNLIKE: &[&str] = &["platform", "disable-content-trust"];

/// The lines of a page of help below a heading.
fn listed<'p>(page: &'p str, headings: &'p str) -> impl Iterator<Item = &'p str> {
    let mut within = false;
    page.lines().filter(move |line| {
        if line.ends_with(':') && !line.starts_with(' ') {
            within = line.ends_with(headings);
        }
        within && line.starts_with("  ")
    })
}

fn commands(engine: &Engine, path: &[String]) -> Vec<Vec<String>> {
    let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let page = engine.docker(&words).stdout;
    let names = listed(&page, "Commands:").filter_map(|line| line.split_whitespace().next());
    let names = names.map(|name| name.trim_end_matches('*')).filter(|name| !LEFT_OUT.contains(name));
    let below: Vec<Vec<String>> =
        names.flat_map(|name| commands(engine, &[path, &[name.to_owned()]].concat())).collect();
    if below.is_empty() { vec![path.to_vec()] } else { below }
}

fn flags(engine: &Engine, command: &[&str]) -> Vec<String> {
    let page = engine.docker(&[command, &["--help"]].concat()).stdout;
    let named = listed(&page, "Options:").filter_map(|line| line.trim_start_matches(' ').split("--").nth(1));
    let name = |rest: &str| rest.split(' ').next().unwrap_or_default().to_owned();
    let is_flag = |name: &String| !name.is_empty() && name != "help" && !UNLIKE.contains(&name.as_str());
    named.map(name).filter(is_flag).collect()
}

/// Whether the line does something, ends with chance, or meets a slip of docker's own words.
fn is_passed_over(line: &[&str]) -> bool {
    let asks = line.contains(&"prune") || line.contains(&"leave");
    let makes = line.contains(&"create") && line[0] != "create" && line[0] != "container";
    let slip = (line[0] == "images" || line.starts_with(&["image", "ls"])) && line.len() > 2;
    (asks || makes) && !line.last().is_some_and(|word| word.starts_with('-')) || slip
}

fn compare(engine: &Engine, lines: &[Vec<&str>]) -> Result<()> {
    let differences: Vec<String> = lines.iter().filter_map(|line| difference(engine, line)).collect();
    assert!(lines.len() > 300, "only {} lines: has docker other pages of help?", lines.len());
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        lines.len(),
        differences.concat()
    );
    Ok(())
}

#[test]
fn commands_with_wrong_arguments_are_refused_as_docker_refuses_them() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    let commands = commands(&engine, &[]);
    let lines = commands.iter().flat_map(|command| {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        WRONG.iter().map(move |wrong| [&words, *wrong].concat())
    });
    let groups =
        ["container", "volume", "swarm", "system", "context", "image", "network", "plugin"].into_iter();
    let groups = groups.flat_map(|group| OF_GROUPS.iter().map(move |wrong| vec![group, *wrong]));
    compare(&engine, &lines.filter(|line| !is_passed_over(line)).chain(groups).collect::<Vec<_>>())
}

#[test]
fn flags_with_wrong_values_are_refused_as_docker_refuses_them() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    let mut given: Vec<(Vec<&str>, String)> = Vec::new();
    for line in FLAGGED {
        let words: Vec<&str> = line.split(' ').collect();
        let command: Vec<&str> = words[0].split('|').collect();
        for flag in flags(&engine, &command) {
            given.extend(VALUES.iter().map(|value| (words.clone(), format!("--{flag}={value}"))));
        }
    }
    let whole = |(words, flag): &'_ (Vec<&'static str>, String)| -> Vec<String> {
        let command = words[0].split('|').map(str::to_owned);
        command.chain([flag.clone()]).chain(words[1..].iter().map(|word| (*word).to_owned())).collect()
    };
    let lines: Vec<Vec<String>> = given.iter().map(whole).filter(|line| !is_too_great(line)).collect();
    let lines: Vec<Vec<&str>> = lines.iter().map(|line| line.iter().map(String::as_str).collect()).collect();
    compare(&engine, &lines)
}

/// Where docker's command line sends the least number for one that is too great.
fn is_too_great(line: &[String]) -> bool {
    line[0] == "update" && line[1].starts_with("--memory") && line[1].ends_with("99")
}
