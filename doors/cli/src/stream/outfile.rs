//! An archive on its way to a file or to standard output. A file appears under its name only when
//! all of it is there.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where an archive goes.
pub(crate) enum Output {
    Stdout,
    File { path: PathBuf, partial: PathBuf, file: File, whole: bool },
}

impl Output {
    /// Opens the output before the engine is asked to do any work.
    pub(crate) fn open(path: &str, failed: &str) -> Result<Output> {
        if path.is_empty() {
            if io::stdout().is_terminal() {
                let words = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
                return Err(Error::said(words));
            }
            return Ok(Output::Stdout);
        }
        let path = PathBuf::from(path);
        check(&path).map_err(|why| Error::said(format!("{failed}: {why}")))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".tmp-{name}-{}", std::process::id()));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = opened.map_err(Error::io(format!("{failed}: create {}", partial.display())))?;
        Ok(Output::File { path, partial, file, whole: false })
    }

    /// Takes the whole archive.
    pub(crate) fn take(mut self, mut archive: impl Read) -> Result<()> {
        match &mut self {
            Output::Stdout => {
                let mut out = io::stdout().lock();
                let copied = io::copy(&mut archive, &mut out).and_then(|_| out.flush());
                copied.map_err(Error::io("write the archive"))
            }
            Output::File { path, partial, file, whole } => {
                let written = io::copy(&mut archive, file).and_then(|_| std::fs::rename(&*partial, &*path));
                written.map_err(Error::io(format!("write {}", path.display())))?;
                *whole = true;
                Ok(())
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Output::File { partial, whole: false, .. } = self {
            let _ = std::fs::remove_file(partial);
        }
    }
}

fn check(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(match std::fs::metadata(folder) {
            Err(why) => format!("invalid output path: stat {}: {}", folder.display(), crate::go_words(&why)),
            Ok(_) => format!("invalid output path: directory \"{}\" does not exist", folder.display()),
        });
    }
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("cannot write to a directory".to_owned()),
        Ok(found) if !found.is_file() => {
            Err(format!("invalid output path: \"{}\" must be a regular file", path.display()))
        }
        _ => Ok(()),
    }
}
