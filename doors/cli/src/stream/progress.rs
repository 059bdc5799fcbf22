//! The messages by which the engine tells how a load, an import or a pull goes on: JSON documents,
//! one after the other. On a terminal each id keeps its line; elsewhere only what is final is said.

use std::collections::BTreeMap;
use std::io::{BufReader, IsTerminal as _, Read, Write};

use serde::Deserialize;
use serde_json::Value as Json;

use super::terminal;
use crate::error::{Error, Result};
use crate::format::units::human_size;

/// Signs of a bar, and columns up to which a terminal gets none.
const BAR: usize = 50;
const WIDE: u16 = 110;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    stream: String,
    status: String,
    id: String,
    progress: String,
    progress_detail: Detail,
    error: String,
    error_detail: Option<ErrorDetail>,
    aux: Option<Json>,
}

/// How far it is; engines before 1.50 also draw the bar themselves.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Detail {
    current: i64,
    total: i64,
}

#[derive(Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    code: u8,
    #[serde(default)]
    message: String,
}

/// Shows the messages on standard output.
pub(crate) fn show_to_stdout(body: impl Read) -> Result<()> {
    let out = std::io::stdout();
    let is_terminal = out.is_terminal();
    show(body, &mut out.lock(), is_terminal)
}

/// Shows the messages on standard error, where standard output is for data.
pub(crate) fn show_to_stderr(body: impl Read) -> Result<()> {
    let out = std::io::stderr();
    let is_terminal = out.is_terminal();
    show(body, &mut out.lock(), is_terminal)
}

/// Shows the messages until they end; a message of failure ends the command.
pub(crate) fn show(body: impl Read, out: &mut dyn Write, is_terminal: bool) -> Result<()> {
    let messages = serde_json::Deserializer::from_reader(BufReader::new(body)).into_iter::<Message>();
    let mut screen = Screen { out, is_terminal, lines: BTreeMap::new() };
    for message in messages {
        let message =
            message.map_err(|error| Error::said(format!("reading the engine's messages: {error}")))?;
        if let Some(failure) = message.failure() {
            return Err(failure);
        }
        if message.aux.is_none() {
            screen.show(&message).map_err(Error::io("write to the terminal"))?;
        }
    }
    Ok(())
}

impl Detail {
    /// Docker's bar, as wide as the terminal lets it be; nothing when there is nothing to tell.
    #[expect(clippy::cast_precision_loss, reason = "four digits of it are shown")]
    fn bar(&self) -> String {
        let current = human_size(self.current as f64);
        if self.total <= 0 {
            return if self.current > 0 { format!("{current:>8}") } else { String::new() };
        }
        let numbers = match self.current > self.total {
            true => format!("{current:>8}"),
            false => format!("{current:>8}/{}", human_size(self.total as f64)),
        };
        if (1..=WIDE).contains(&terminal::size()[1]) {
            return numbers;
        }
        let share = self.current.saturating_mul(50) / self.total;
        let done = usize::try_from(share).unwrap_or_default().min(BAR);
        format!("[{}>{}] {numbers}", "=".repeat(done), " ".repeat(BAR - done))
    }
}

impl Message {
    fn bar(&self) -> String {
        if self.progress.is_empty() { self.progress_detail.bar() } else { self.progress.clone() }
    }

    fn failure(&self) -> Option<Error> {
        let (code, words) = match &self.error_detail {
            Some(detail) if !detail.message.is_empty() => (detail.code, &detail.message),
            _ if !self.error.is_empty() => (0, &self.error),
            _ => return None,
        };
        Some(Error::Status { code: if code == 0 { 1 } else { code }, words: words.clone() })
    }
}

struct Screen<'a> {
    out: &'a mut dyn Write,
    is_terminal: bool,
    /// The line of each id, counted from the top of what was drawn.
    lines: BTreeMap<String, usize>,
}

impl Screen<'_> {
    fn show(&mut self, message: &Message) -> std::io::Result<()> {
        if !message.stream.is_empty() {
            self.lines.clear();
            self.out.write_all(message.stream.as_bytes())?;
            return self.out.flush();
        }
        if !self.is_terminal {
            // Bars are for people; a log keeps what is final.
            if message.bar().is_empty() {
                writeln!(self.out, "{}", line(message))?;
            }
            return Ok(());
        }
        if message.id.is_empty() {
            self.lines.clear();
            if message.bar().is_empty() {
                return writeln!(self.out, "{}", line(message));
            }
            write!(self.out, "\x1b[2K{}\r", line(message))?;
            return self.out.flush();
        }
        let count = self.lines.len();
        let at = *self.lines.entry(message.id.clone()).or_insert(count);
        let up = self.lines.len() - at;
        if at == count {
            return writeln!(self.out, "{}", line(message));
        }
        write!(self.out, "\x1b[{up}A\x1b[2K\r{}\x1b[{up}B\r", line(message))?;
        self.out.flush()
    }
}

fn line(message: &Message) -> String {
    let mut text = String::new();
    if !message.id.is_empty() {
        text.push_str(&message.id);
        text.push_str(": ");
    }
    text.push_str(&message.status);
    let bar = message.bar();
    if !bar.is_empty() {
        text.push(' ');
        text.push_str(&bar);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(messages: &str, is_terminal: bool) -> (String, Result<()>) {
        let mut out = Vec::new();
        let result = show(messages.as_bytes(), &mut out, is_terminal);
        (String::from_utf8(out).unwrap(), result)
    }

    #[test]
    fn a_log_gets_what_is_final_and_a_terminal_everything() {
        let messages = r#"{"status":"Loading layer","id":"ab12","progress":"[=>  ]","progressDetail":{"current":1,"total":2}}
            {"status":"Loading layer","id":"ab12","progress":"[===>]"}
            {"stream":"Loaded image: x:latest\n"}{"aux":{"ID":"1"}}"#;
        assert_eq!(shown(messages, false).0, "Loaded image: x:latest\n");
        let drawn = "ab12: Loading layer [=>  ]\n\x1b[1A\x1b[2K\rab12: Loading layer [===>]\x1b[1B\rLoaded image: x:latest\n";
        assert_eq!(shown(messages, true).0, drawn);
    }

    #[test]
    fn how_far_it_is_is_drawn_where_the_engine_draws_no_bar() {
        let messages = r#"{"status":"Importing","progressDetail":{"current":500000,"total":1000000}}
            {"status":"Importing","progressDetail":{"current":1000,"total":-1}}{}"#;
        assert_eq!(shown(messages, false).0, "\n");
        let half = format!("[{}>{}]", "=".repeat(25), " ".repeat(25));
        let drawn = format!("\x1b[2KImporting {half}    500kB/1MB\r\x1b[2KImporting      1kB\r\n",);
        assert_eq!(shown(messages, true).0, drawn);
    }

    #[test]
    fn a_failure_in_the_stream_is_the_command_s() {
        let (text, result) =
            shown(r#"{"status":"a"}{"errorDetail":{"message":"no space left"},"error":"x"}"#, false);
        assert_eq!(text, "a\n");
        assert_eq!(result.unwrap_err().to_string(), "no space left");
    }
}
