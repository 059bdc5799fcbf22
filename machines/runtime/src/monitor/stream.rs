//! The process's standard streams, seen from the monitor: pipes or the master of a terminal.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dhow_model::ports::{LogStream, StdioPlan};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::logs::split::Splitter;

/// The monitor's ends.
#[derive(Debug)]
pub struct Streams {
    /// Standard input; none when it is /dev/null or was closed.
    pub input: Option<Input>,
    /// Standard output and standard error, or the terminal alone.
    pub outputs: Vec<Output>,
    /// The terminal's master, for its size.
    pub terminal: Option<OwnedFd>,
}

/// The process's ends, in the order of their numbers.
#[derive(Debug)]
pub struct Ends {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// Where standard input goes.
#[derive(Debug)]
pub struct Input {
    sink: OwnedFd,
    /// What the sink had no room for.
    owed: Vec<u8>,
    /// It is closed when nothing is owed any more.
    ends: bool,
}

/// Where output comes from.
#[derive(Debug)]
pub struct Output {
    /// Which it is.
    pub stream: LogStream,
    /// None when it has ended.
    pub source: Option<OwnedFd>,
    /// Makes entries of the log of it.
    pub splitter: Splitter,
}

/// What reading an output gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// As many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// It has ended.
    End,
}

impl Streams {
    /// Pipes, and /dev/null where input is not wanted.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pipes(plan: &StdioPlan) -> io::Result<(Self, Ends)> {
        let (stdin, input) = if plan.open_stdin {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            (reader, Some(Input::new(writer)?))
        } else {
            let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            (null, None)
        };
        let (stdout_source, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr_source, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        let outputs = vec![
            Output::new(LogStream::Stdout, stdout_source)?,
            Output::new(LogStream::Stderr, stderr_source)?,
        ];
        Ok((Self { input, outputs, terminal: None }, Ends { stdin, stdout, stderr }))
    }

    /// The master of a terminal.
    ///
    /// # Errors
    /// The kernel's.
    pub fn terminal(master: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            input: Some(Input::new(master.try_clone()?)?),
            outputs: vec![Output::new(LogStream::Stdout, master.try_clone()?)?],
            terminal: Some(master),
        })
    }

    /// Whether every output has ended.
    #[must_use]
    pub fn have_ended(&self) -> bool {
        self.outputs.iter().all(|output| output.source.is_none())
    }
}

impl Input {
    fn new(sink: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&sink)?;
        Ok(Self { sink, owed: Vec::new(), ends: false })
    }

    /// The sink, to be polled for room.
    #[must_use]
    pub fn sink(&self) -> BorrowedFd<'_> {
        self.sink.as_fd()
    }

    /// Whether bytes wait for room.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Writes what there is room for, and keeps the rest.
    ///
    /// # Errors
    /// When nobody will read it any more.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.owed.extend_from_slice(bytes);
        while !self.owed.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::write(&self.sink, &self.owed)) {
                Ok(written) => drop(self.owed.drain(..written)),
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        self.ends = true;
    }

    /// Whether it can be closed now.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ends && self.owed.is_empty()
    }
}

impl Output {
    fn new(stream: LogStream, source: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&source)?;
        Ok(Self { stream, source: Some(source), splitter: Splitter::default() })
    }

    /// Reads what is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> Read {
        let Some(source) = &self.source else { return Read::End };
        match rustix::io::retry_on_intr(|| rustix::io::read(source, &mut *buffer)) {
            Ok(length) if length > 0 => Read::Bytes(length),
            Err(Errno::AGAIN) => Read::Nothing,
            // EIO is how a terminal says that nobody holds its other side.
            Ok(_) | Err(_) => {
                self.source = None;
                Read::End
            }
        }
    }
}

/// Only our end: the process's end is another open file and blocks as it is used to.
fn set_nonblocking(end: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(end)?;
    Ok(rustix::fs::fcntl_setfl(end, flags | OFlags::NONBLOCK)?)
}
