//! Where errors and warnings go: standard error, and the file of `--log` in the form that runc's
//! callers read.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use dhow_model::{Error, Result, Timestamp};

use super::arguments::Parsed;

/// The log of one command.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// Opens the file of `--log`, appending.
    pub(super) fn open(global: &Parsed) -> Result<Self> {
        let json = match global.value("log-format").unwrap_or("text") {
            "json" => true,
            "text" => false,
            other => return Err(Error::invalid(format!("unknown log-format {other:?}"))),
        };
        let open = |path: &str| {
            let mut options = File::options();
            options.create(true).append(true).mode(0o644);
            options
                .open(path)
                .map_err(|error| Error::invalid(format!("cannot open the log {path}")).because(error))
        };
        let file = global.value("log").filter(|path| !path.is_empty()).map(open).transpose()?;
        Ok(Self { file, json, debug: global.has("debug") })
    }

    /// The command failed.
    pub(super) fn error(&self, message: &str) {
        self.write("error", message);
        // Nobody can be told when nobody listens.
        let _ = writeln!(std::io::stderr(), "{message}");
    }

    /// Something cannot be had; the command goes on.
    pub(super) fn warn(&self, message: &str) {
        self.write("warning", message);
        if self.file.is_none() && self.debug {
            let _ = writeln!(std::io::stderr(), "warning: {message}");
        }
    }

    fn write(&self, level: &str, message: &str) {
        let Some(mut file) = self.file.as_ref() else { return };
        let time = Timestamp::now();
        let line = if self.json {
            let line = serde_json::json!({"level": level, "msg": message, "time": time.to_string()});
            format!("{line}\n")
        } else {
            format!("time=\"{time}\" level={level} msg={message:?}\n")
        };
        // One write, so that lines of commands beside each other stay whole.
        let _ = file.write_all(line.as_bytes());
    }
}
