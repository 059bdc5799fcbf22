//! Programs that a test runs, and what they answered.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// What a program answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Exit status; 128 + n when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Answer {
    /// Standard output without the last line's end, of a program that succeeded.
    ///
    /// # Panics
    /// With all that it printed when it did not.
    pub fn ok(&self) -> &str {
        assert!(self.status == 0, "status {}\n{}{}", self.status, self.stdout, self.stderr);
        self.stdout.trim_end_matches('\n')
    }
}

impl Answer {
    /// Fails when the program did.
    ///
    /// # Errors
    /// With all that it printed.
    pub fn check(&self) -> Result<()> {
        if self.status != 0 {
            bail!("ended with {}: {}{}", self.status, self.stdout, self.stderr);
        }
        Ok(())
    }
}

/// Runs `command` to its end, with `input` on its standard input.
///
/// # Errors
/// When it cannot be run.
pub fn answer(command: &mut Command, input: &[u8]) -> Result<Answer> {
    let program = command.get_program().to_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let input = input.to_vec();
    // A program that ends without reading its input closes the pipe: that is no error of the test.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output()?;
    writer.join().ok();
    Ok(read(&output))
}

fn read(output: &Output) -> Answer {
    use std::os::unix::process::ExitStatusExt as _;
    let status = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s));
    Answer {
        status: status.unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Where a program is on the PATH.
#[must_use]
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    places.map(|directory| directory.join(program.as_ref())).find(|file| file.is_file())
}

/// Fails when a command does.
///
/// # Errors
/// With what it printed.
pub fn must(command: &mut Command) -> Result<String> {
    let answer = answer(command, b"")?;
    if answer.status != 0 {
        bail!("{:?} ended with {}: {}{}", command.get_program(), answer.status, answer.stdout, answer.stderr);
    }
    Ok(answer.stdout)
}
