//! The engine's own log, on standard error: as text or as JSON, one line a message.

use anyhow::{Result, bail};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How the engine logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogStyle {
    /// The least that is told.
    pub(super) level: &'static str,
    /// As JSON.
    pub(super) json: bool,
    /// Without colours, even at a terminal.
    pub(super) raw: bool,
}

/// Changes how much is told while the engine runs.
pub(super) struct Log(reload::Handle<EnvFilter, Registry>);

impl LogStyle {
    /// Checks what was asked for, in dockerd's words.
    pub(super) fn new(level: Option<&str>, format: Option<&str>, debug: bool, raw: bool) -> Result<Self> {
        let level = match level.unwrap_or("info") {
            "trace" => "trace",
            "debug" => "debug",
            "info" | "" => "info",
            "warn" | "warning" => "warn",
            "error" | "fatal" | "panic" => "error",
            other => bail!("invalid logging level: {other}"),
        };
        let level = if debug && level != "trace" { "debug" } else { level };
        let json = match format.unwrap_or("text") {
            "text" | "" => false,
            "json" => true,
            other => bail!("invalid log format: {other}"),
        };
        Ok(Self { level, json, raw })
    }

    /// Messages go to standard error from here on.
    pub(super) fn start(self) -> Log {
        let (filter, handle) = reload::Layer::new(EnvFilter::new(self.level));
        let registry = tracing_subscriber::registry().with(filter);
        let ansi = !self.raw && rustix::termios::isatty(std::io::stderr());
        if self.json {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).init();
        } else {
            registry.with(fmt::layer().with_ansi(ansi).with_writer(std::io::stderr)).init();
        }
        Log(handle)
    }
}

impl Log {
    /// Tells more or less from here on.
    pub(super) fn set(&self, style: LogStyle) {
        if let Err(error) = self.0.reload(EnvFilter::new(style.level)) {
            tracing::warn!("the log level stays: {error}");
        }
    }
}
