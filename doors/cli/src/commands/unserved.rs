//! The commands of docker that the engine cannot serve yet, in one place: they answer one clear
//! error and never pretend.

const UNSERVED: &[&str] = &[
    "bake",
    "build",
    "buildx",
    "checkpoint",
    "compose",
    "login",
    "logout",
    "manifest",
    "pull",
    "push",
    "search",
    "trust",
    "image build",
    "image pull",
    "image push",
    "builder build",
    "stack config",
];

/// The error of a command that docker has and Dhow does not have yet.
pub(crate) fn unserved(words: &[String]) -> Option<String> {
    let first = words.first()?;
    let both = words.get(1).map(|second| format!("{first} {second}"));
    let path = match both {
        Some(both) if UNSERVED.contains(&both.as_str()) => both,
        _ if UNSERVED.contains(&first.as_str()) => first.clone(),
        _ => return None,
    };
    Some(format!("dhow {path}: not served yet"))
}
