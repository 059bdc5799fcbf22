//! `import`: an image of one layer from a flat tar; and the changes that `import` and `commit` take.

use std::io::Read;

use dhow_model::ports::{Fetched, Gone, ImportRequest};
use dhow_model::{Error, ImageId, Result, Timestamp};
use dhow_oci::image::{ContainerDefaults, Empty};
use dhow_oci::{ImageConfig, Platform, Reference};

use super::{healthcheck, words};
use crate::Engine;

/// What a client asks for.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// The name to give; nothing leaves it unnamed.
    pub reference: Option<Reference>,
    /// A comment.
    pub message: String,
    /// Lines of a Dockerfile.
    pub changes: Vec<String>,
    /// What it runs on; nothing is this machine.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Makes an image of a flat tar.
    ///
    /// # Errors
    /// A change that is none; what is wrong with the archive.
    pub fn import_image(&self, request: Import, tar: &mut dyn Read) -> Result<ImageId> {
        let platform = request.platform.unwrap_or_else(Platform::host);
        let mut config = ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            created: Some(Timestamp::now().to_string()),
            comment: request.message.clone(),
            ..ImageConfig::default()
        };
        apply_changes(&mut config.config, &request.changes)?;
        let name = request.reference.as_ref().map(Reference::familiar);
        let import = ImportRequest { config, message: request.message, reference: request.reference };
        let id = self.ports.images.import(import, tar)?;
        if let Some(name) = name {
            self.tell_image("tag", &id.to_string(), &name);
        }
        self.tell_image("import", &id.to_string(), &id.to_string());
        Ok(id)
    }
}

impl Engine {
    /// Asks for what is to be imported from a URL; one without a scheme is one of `http`.
    ///
    /// # Errors
    /// What is no URL, and what its server refuses.
    pub fn fetch(&self, source: &str, gone: Gone) -> Result<Fetched> {
        let scheme = if source.contains("://") { "" } else { "http://" };
        let look_up = |name: &str| self.ports.networks.look_up(name);
        self.ports.web.fetch(&format!("{scheme}{source}"), &look_up, gone)
    }
}

/// Applies lines of a Dockerfile to the defaults of an image.
///
/// # Errors
/// Invalid argument for an instruction that changes no metadata.
pub(crate) fn apply_changes(defaults: &mut ContainerDefaults, lines: &[String]) -> Result<()> {
    let mut instructions = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).peekable();
    if !lines.is_empty() && instructions.peek().is_none() {
        return Err(Error::invalid("file with no instructions"));
    }
    instructions.try_for_each(|line| apply(defaults, line))
}

/// Instructions that say nothing without arguments.
const WITH_ARGUMENTS: [&str; 10] =
    ["ENV", "LABEL", "USER", "WORKDIR", "STOPSIGNAL", "EXPOSE", "VOLUME", "ONBUILD", "SHELL", "HEALTHCHECK"];

fn apply(defaults: &mut ContainerDefaults, line: &str) -> Result<()> {
    let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let instruction = instruction.to_uppercase();
    if rest.is_empty() && WITH_ARGUMENTS.contains(&instruction.as_str()) {
        return Err(Error::invalid(format!("{instruction} requires at least one argument")));
    }
    match instruction.as_str() {
        "CMD" => defaults.cmd = Some(words_or_shell(rest, defaults.shell.as_deref())?),
        "ENTRYPOINT" => defaults.entrypoint = Some(words_or_shell(rest, defaults.shell.as_deref())?),
        "ENV" => {
            let pairs = pairs("ENV", rest, &defaults.env)?;
            pairs.into_iter().for_each(|(name, value)| set_env(defaults, &name, &value));
        }
        "LABEL" => {
            let pairs = pairs("LABEL", rest, &defaults.env)?;
            defaults.labels.get_or_insert_default().extend(pairs);
        }
        "USER" => defaults.user = words::expand(rest, &defaults.env)?,
        "WORKDIR" => {
            defaults.working_dir = absolute(&defaults.working_dir, &words::expand(rest, &defaults.env)?);
        }
        "STOPSIGNAL" => defaults.stop_signal = words::expand(rest, &defaults.env)?,
        "EXPOSE" => {
            let ports = words::expand(rest, &defaults.env)?;
            ports.split_whitespace().try_for_each(|port| expose(defaults, port))?;
        }
        "VOLUME" => {
            let paths =
                json_words(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
            defaults.volumes.get_or_insert_default().extend(paths.into_iter().map(|path| (path, Empty {})));
        }
        "ONBUILD" => defaults.on_build.get_or_insert_default().push(rest.into()),
        "SHELL" => {
            let words = json_words(rest)
                .ok_or_else(|| Error::invalid("SHELL requires the arguments to be in JSON form"))?;
            defaults.shell = Some(words);
        }
        "HEALTHCHECK" => defaults.healthcheck = Some(healthcheck::read(rest)?),
        other => {
            return Err(Error::invalid(format!("{} is not a valid change command", other.to_lowercase())));
        }
    }
    Ok(())
}

fn json_words(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn words_or_shell(text: &str, shell: Option<&[String]>) -> Result<Vec<String>> {
    if let Some(words) = json_words(text) {
        return Ok(words);
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut words = shell.map_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()], <[String]>::to_vec);
    words.push(text.into());
    Ok(words)
}

/// `NAME=value …` with quotes and variables, or the old form `NAME the rest`.
fn pairs(instruction: &str, text: &str, env: &[String]) -> Result<Vec<(String, String)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let pair = text.split_once(char::is_whitespace);
        let few = || Error::invalid(format!("{instruction} must have two arguments"));
        let (name, value) = pair.ok_or_else(few)?;
        return Ok(vec![(words::expand(name, env)?, words::expand(value.trim(), env)?)]);
    }
    let wrong = |word: &str| {
        Error::invalid(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))
    };
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').ok_or_else(|| wrong(word))?;
        let name = words::expand(name, env)?;
        if name.is_empty() {
            return Err(Error::invalid(format!("{instruction} names can not be blank")));
        }
        Ok((name, words::expand(value, env)?))
    };
    words::split(text)?.iter().map(pair).collect()
}

fn set_env(defaults: &mut ContainerDefaults, name: &str, value: &str) {
    let prefix = format!("{name}=");
    let pair = format!("{prefix}{value}");
    match defaults.env.iter_mut().find(|pair| pair.starts_with(&prefix)) {
        Some(old) => *old = pair,
        None => defaults.env.push(pair),
    }
}

fn expose(defaults: &mut ContainerDefaults, port: &str) -> Result<()> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    let (first, last) = number.split_once('-').unwrap_or((number, number));
    let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok()).filter(|(first, last)| first <= last);
    let range = range.filter(|_| matches!(protocol, "tcp" | "udp" | "sctp"));
    let (first, last) = range.ok_or_else(|| Error::invalid(format!("invalid containerPort: {port}")))?;
    let ports = (first..=last).map(|number| (format!("{number}/{protocol}"), Empty {}));
    defaults.exposed_ports.get_or_insert_default().extend(ports);
    Ok(())
}

fn absolute(base: &str, path: &str) -> String {
    if path.starts_with('/') { path.into() } else { format!("{}/{path}", base.trim_end_matches('/')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(lines: &[&str]) -> Result<ContainerDefaults> {
        let mut defaults = ContainerDefaults::default();
        apply_changes(&mut defaults, &lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>())?;
        Ok(defaults)
    }

    #[test]
    fn changes_are_lines_of_a_dockerfile() {
        let defaults = changed(&[
            "CMD [\"a\", \"b c\"]",
            "entrypoint run me",
            "ENV A=1 B=\"two words\" C=x\\ y",
            "ENV A 2 and more",
            "EXPOSE 80-81 53/udp",
            "ENV D=${A}:$A",
            "HEALTHCHECK --retries=2 CMD true",
            "WORKDIR /srv",
            "WORKDIR app",
            "LABEL a.b=c",
        ])
        .unwrap();
        assert_eq!(defaults.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(defaults.entrypoint.unwrap(), ["/bin/sh", "-c", "run me"]);
        assert_eq!(defaults.env, ["A=2 and more", "B=two words", "C=x y", "D=2 and more:2 and more"]);
        assert_eq!(
            defaults.exposed_ports.unwrap().into_keys().collect::<Vec<_>>(),
            ["53/udp", "80/tcp", "81/tcp"]
        );
        assert_eq!(defaults.working_dir, "/srv/app");
        assert_eq!(defaults.healthcheck.unwrap().test.unwrap(), ["CMD-SHELL", "true"]);
    }

    #[test]
    fn what_changes_no_metadata_is_refused() {
        for wrong in ["RUN ls", "FROM x", "ENV", "EXPOSE http", "SHELL sh -c", "ENV A=\"x"] {
            assert!(changed(&[wrong]).is_err(), "{wrong}");
        }
        for (wrong, words) in [
            ("ENV a", "ENV must have two arguments"),
            ("LABEL x", "LABEL must have two arguments"),
            ("ENV =x", "ENV names can not be blank"),
            ("EXPOSE 9-8", "invalid containerPort: 9-8"),
            ("", "file with no instructions"),
        ] {
            assert_eq!(changed(&[wrong]).unwrap_err().to_string(), words);
        }
    }
}
