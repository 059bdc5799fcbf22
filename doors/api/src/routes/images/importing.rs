//! How far an import from a URL has come, told while it is read.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use dhow_model::ports::Fetched;
use serde_json::json;

use super::archive::line;
use crate::server::stream::AnswerWriter;

/// Nothing is told of less than this, nor of less than a hundredth of all.
const STEP: u64 = 512 * 1024;
/// How often it is told at most.
const PAUSE: Duration = Duration::from_millis(100);

/// What is fetched; reading it fails once the client is gone.
pub(super) struct Importing<'a> {
    fetched: Fetched,
    out: &'a mut AnswerWriter,
    read: u64,
    told: u64,
    at: Option<Instant>,
    ended: bool,
}

impl<'a> Importing<'a> {
    pub(super) const fn new(fetched: Fetched, out: &'a mut AnswerWriter) -> Self {
        Self { fetched, out, read: 0, told: 0, at: None, ended: false }
    }

    fn is_due(&self) -> bool {
        let step = self.fetched.length.map_or(STEP, |length| STEP.min(length / 100));
        self.read - self.told > step && self.at.is_none_or(|at| at.elapsed() >= PAUSE)
    }

    fn tell(&mut self) -> io::Result<()> {
        (self.told, self.at) = (self.read, Some(Instant::now()));
        // Docker says -1 of what it does not know.
        let total = self.fetched.length.map_or(json!(-1), |length| json!(length));
        let detail = json!({"current": self.read, "total": total});
        line(self.out, &json!({"status": "Importing", "progressDetail": detail})).map_err(io::Error::other)
    }
}

impl Read for Importing<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.fetched.body.read(bytes)?;
        self.read += count as u64;
        if count == 0 && !bytes.is_empty() && !self.ended {
            self.ended = true;
            self.tell()?;
            // It ends the line that a terminal shows.
            line(self.out, &json!({})).map_err(io::Error::other)?;
        } else if self.is_due() {
            self.tell()?;
        }
        Ok(count)
    }
}
