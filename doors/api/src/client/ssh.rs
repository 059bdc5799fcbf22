//! An engine on another machine, by way of ssh(1): the program there speaks to the engine there.

use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use super::Error;
use super::carrier::Carrier;

/// What is run there: whichever of both is installed.
const DIAL: &str = "if command -v dhow >/dev/null 2>&1; then exec dhow WHERE system dial-stdio; \
                    else exec docker WHERE system dial-stdio; fi";

/// `[user@]host[:port][/path of the socket]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    socket: String,
}

impl Remote {
    /// Reads what follows `ssh://`.
    pub(crate) fn parse(text: &str) -> Result<Remote, Error> {
        let wrong = |why: &str| Error::Host(format!("invalid SSH URL: {why}"));
        let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        if text.contains(['?', '#']) {
            return Err(wrong("query parameters or fragments are not allowed"));
        }
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err(wrong("plain-text password is not supported"));
            }
            Some((user, place)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().map_err(|_| wrong("invalid port"))?))
            }
            _ => (place, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(wrong("hostname is empty"));
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+@:".contains(letter);
        // It goes through the shell of the other machine.
        if !path.chars().all(plain) {
            return Err(wrong("the path of the socket has letters that a shell reads"));
        }
        Ok(Remote { user, host: host.into(), port, socket: path.trim_end_matches('/').into() })
    }

    /// Starts ssh, whose input and output are one stream.
    pub(crate) fn open(&self) -> Result<(UnixStream, Carrier), Error> {
        let arguments = self.arguments();
        let failed = |source| Error::Transport { context: "starting ssh", source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let second = theirs.try_clone().map_err(failed)?;
        let mut command = Command::new("ssh");
        command.args(&arguments).stdin(Stdio::from(OwnedFd::from(theirs)));
        // What it complains of is for the user to read.
        command.stdout(Stdio::from(OwnedFd::from(second)));
        let child = command.spawn().map_err(failed)?;
        Ok((ours, Carrier::Program(child, format!("ssh {}", arguments.join(" ")))))
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = ["-o", "ConnectTimeout=30", "-T"].map(str::to_owned).into();
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        let socket =
            if self.socket.is_empty() { String::new() } else { format!("-H unix://{}", self.socket) };
        // The shell there may be of any kind; sh is not.
        let dial = format!("sh -c '{}'", DIAL.replace("WHERE", &socket));
        arguments.extend(["--".to_owned(), self.host.clone(), dial]);
        arguments
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(out, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(out, "[{}]", self.host)?,
            false => write!(out, "{}", self.host)?,
        }
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        out.write_str(&self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_the_arguments_of_ssh() {
        let arguments = Remote::parse("me@there:2222/run/x.sock").unwrap().arguments();
        let (dial, rest) = arguments.split_last().unwrap();
        assert_eq!(rest, ["-o", "ConnectTimeout=30", "-T", "-l", "me", "-p", "2222", "--", "there"]);
        assert!(dial.contains("exec dhow -H unix:///run/x.sock system dial-stdio"), "{dial}");
        assert_eq!(Remote::parse("-oProxyCommand=x").unwrap().arguments()[3..5], ["--", "-oProxyCommand=x"]);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, words) in [
            ("", "hostname is empty"),
            ("me@", "hostname is empty"),
            ("me:secret@there", "plain-text password is not supported"),
            ("there:port", "invalid port"),
            ("there?x", "query parameters or fragments are not allowed"),
            ("there/run/$(x)", "the path of the socket has letters that a shell reads"),
        ] {
            assert_eq!(Remote::parse(text).unwrap_err().to_string(), format!("invalid SSH URL: {words}"));
        }
    }
}
