//! The program: found, connected, executed.

use std::borrow::Cow;
use std::ffi::{CString, OsStr};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use dhow_sys::{process, terminal};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::Stdio;
use super::super::error::{Context as _, Error, Result, Stage, words};
use super::super::plan::ProgramPlan;

/// A program that was found.
pub(in super::super) struct Program<'a> {
    path: CString,
    plan: &'a ProgramPlan,
    environment: Cow<'a, [CString]>,
}

/// What is read of /etc/passwd.
const LONGEST_PASSWD: u64 = 1 << 20;

impl<'a> Program<'a> {
    /// Enters the program's directory and looks the program up, as execvp(3) does.
    pub(in super::super) fn find(plan: &'a ProgramPlan, home: Option<CString>) -> Result<Self> {
        enter(&plan.directory)?;
        let path = look_up(&plan.name, search_path(plan))?;
        let path =
            CString::new(path.into_os_string().into_vec()).map_err(|_| Error::configuration("a NUL byte"))?;
        let environment = match home {
            Some(home) => plan.environment.iter().cloned().chain([home]).collect::<Vec<_>>().into(),
            None => plan.environment.as_slice().into(),
        };
        Ok(Self { path, plan, environment })
    }

    /// Becomes the program; returns only when that fails.
    pub(in super::super) fn execute(&self) -> Error {
        let cause = process::execute(&self.path, &self.plan.arguments, &self.environment);
        let name = self.path.to_string_lossy();
        refusal(&format!("exec {name}"), &cause)
    }
}

/// Leaves the program the descriptors that it is to have, and signals as they are by default.
pub(super) fn prepare(preserve: u32) -> Result<()> {
    let first = i32::try_from(preserve).ok().and_then(|n| n.checked_add(3)).unwrap_or(i32::MAX);
    dhow_sys::descriptors::close_on_exec_from(first).doing(|| "close descriptors")?;
    process::reset_signals().doing(|| "reset signals")
}

/// `HOME=…` of a user, where the environment has none: as its /etc/passwd says, or else `/`. Programs
/// of images rely on it.
pub(in super::super) fn home(plan: &ProgramPlan, uid: u32) -> Option<CString> {
    if plan.environment.iter().any(|pair| pair.to_bytes().starts_with(b"HOME=")) {
        return None;
    }
    CString::new(format!("HOME={}", home_of(uid).unwrap_or_else(|| "/".into()))).ok()
}

fn home_of(uid: u32) -> Option<String> {
    // The root is the container's by now, so that no link leads anywhere else. What is no plain file
    // could keep us waiting.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open("/etc/passwd", flags, Mode::empty()).ok()?;
    let lines = BufReader::new(std::fs::File::from(file).take(LONGEST_PASSWD)).lines();
    lines.map_while(|line| line.ok()).find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.nth(2)?.parse::<u32>().ok()? == uid;
        fields.nth(2).filter(|home| found && !home.is_empty()).map(str::to_owned)
    })
}

/// Connects the standard streams; a terminal becomes the controlling one.
pub(in super::super) fn connect_streams(streams: Stdio) -> Result<()> {
    let Stdio::Files(files) = streams else { return Ok(()) };
    if rustix::termios::isatty(&files[0]) {
        terminal::control(&files[0]).doing(|| "take the terminal")?;
    }
    for (number, file) in (0..).zip(&files) {
        process::duplicate_to(file.as_fd(), number).doing(|| "connect the standard streams")?;
    }
    Ok(())
}

/// Goes to the program's directory, which must be in the container: a descriptor of the host's that
/// leaked would be a way out (CVE-2024-21626).
fn enter(directory: &str) -> Result<()> {
    let what = || format!("chdir to cwd ({directory:?}) set in config.json failed");
    rustix::process::chdir(directory).doing(what)?;
    let here = rustix::process::getcwd(Vec::new()).doing(what)?;
    if !here.to_bytes().starts_with(b"/") {
        return Err(Error::configuration(
            "current working directory is outside of container mount namespace root -- possible container breakout detected",
        ));
    }
    Ok(())
}

fn search_path(plan: &ProgramPlan) -> &OsStr {
    let path = plan.environment.iter().rev().find_map(|pair| pair.to_bytes().strip_prefix(b"PATH="));
    OsStr::from_bytes(path.unwrap_or_default())
}

fn look_up(name: &str, search: &OsStr) -> Result<PathBuf> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match executable(&path) {
            Ok(()) => Ok(path),
            Err(Errno::NOENT) => Err(refusal(&format!("exec: {name:?}: stat {name}"), &Errno::NOENT.into())),
            Err(error) => Err(refusal(&format!("exec: {name:?}"), &error.into())),
        };
    }
    let mut denied = None;
    for directory in std::env::split_paths(search) {
        let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
        let path = directory.join(name);
        match executable(&path) {
            Ok(()) => return Ok(path),
            Err(Errno::ACCESS) => denied = Some(Errno::ACCESS),
            Err(_) => {}
        }
    }
    match denied {
        Some(error) => Err(refusal(&format!("exec: {name:?}"), &error.into())),
        None => Err(Error::at(
            Stage::ProgramNotFound,
            format!("exec: {name:?}: executable file not found in $PATH"),
        )),
    }
}

fn executable(path: &Path) -> rustix::io::Result<()> {
    let stat = rustix::fs::statat(CWD, path, AtFlags::empty())?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        // With capabilities root may execute what has any execute bit; access(2) knows.
        _ => rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS),
    }
}

fn refusal(what: &str, cause: &std::io::Error) -> Error {
    let stage = match cause.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Stage::ProgramNotFound,
        _ => Stage::ProgramNotExecutable,
    };
    Error { stage, what: format!("{what}: {}", words(cause)), errno: cause.raw_os_error() }
}
