//! Carries a byte stream from one thread to another in large pieces, and hashes it on the way.
//!
//! One thread decompresses (or walks a tree), the other one writes: on two cores a layer takes as
//! long as the slower half. The buffers go round; nothing is allocated once the stream flows.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dhow_oci::Digest;
use dhow_oci::digest::Sha256;

use crate::fill::fill;

const PIECE: usize = 256 * 1024;
const PIECES: usize = 8;

/// One end writes, the other reads; dropping the reading end fails the next write.
pub(super) fn pipe(hash: Hashing) -> (PipeWriter, PipeReader) {
    let (full, pieces) = sync_channel(PIECES);
    let (spare, empty) = sync_channel(PIECES + 2);
    let (out_hash, in_hash) = match hash {
        Hashing::WhenWritten => (Some(Sha256::new()), None),
        Hashing::WhenRead => (None, Some(Sha256::new())),
        Hashing::Never => (None, None),
    };
    let writer = PipeWriter { full, empty, piece: Vec::new(), hash: out_hash, size: 0 };
    (writer, PipeReader { pieces, spare, piece: Vec::new(), at: 0, ended: false, hash: in_hash, size: 0 })
}

/// Which thread hashes: the one with less to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hashing {
    WhenWritten,
    WhenRead,
    /// Nobody asks what it was.
    Never,
}

/// What went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The last message is empty: without it the stream was cut off.
type Piece = Vec<u8>;

pub(super) struct PipeWriter {
    full: SyncSender<Piece>,
    empty: Receiver<Piece>,
    piece: Piece,
    hash: Option<Sha256>,
    size: u64,
}

pub(super) struct PipeReader {
    pieces: Receiver<Piece>,
    spare: SyncSender<Piece>,
    piece: Piece,
    at: usize,
    ended: bool,
    hash: Option<Sha256>,
    size: u64,
}

impl PipeWriter {
    /// Copies all of `input` and ends the stream.
    pub(super) fn pump(mut self, input: &mut dyn Read) -> io::Result<Option<Passed>> {
        loop {
            let mut piece = self.buffer();
            piece.resize(PIECE, 0);
            let length = fill(input, &mut piece)?;
            piece.truncate(length);
            if length == 0 {
                return self.end();
            }
            self.send(piece)?;
        }
    }

    /// Sends what is held and tells the reader that this was all.
    pub(super) fn end(mut self) -> io::Result<Option<Passed>> {
        let last = std::mem::take(&mut self.piece);
        if !last.is_empty() {
            self.send(last)?;
        }
        let size = self.size;
        self.full.send(Vec::new()).map_err(|_| gone())?;
        Ok(self.hash.map(|hash| passed(hash, size)))
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        self.size += piece.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&piece);
        }
        self.full.send(piece).map_err(|_| gone())
    }

    fn buffer(&mut self) -> Piece {
        self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE))
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.capacity() == 0 {
            self.piece = self.buffer();
            self.piece.clear();
        }
        let length = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..length]);
        if self.piece.len() == PIECE {
            let piece = std::mem::take(&mut self.piece);
            self.send(piece)?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PipeReader {
    /// Reads the rest and tells what went through, when this end hashes.
    pub(super) fn finish(self) -> io::Result<Option<Passed>> {
        let (digest, size) = self.drain()?;
        Ok(digest.map(|digest| Passed { digest, size }))
    }

    /// The same, with the bytes that went through in any case.
    pub(super) fn drain(mut self) -> io::Result<(Option<Digest>, u64)> {
        while !self.fill_buf()?.is_empty() {
            self.at = self.piece.len();
        }
        let digest = self.hash.map(Sha256::finish);
        Ok((digest, self.size))
    }

    fn receive(&mut self) -> io::Result<()> {
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was cut off");
        let next = self.pieces.recv().map_err(|_| cut())?;
        let done = std::mem::replace(&mut self.piece, next);
        // The other end may be gone already: then nobody wants the buffer.
        drop(self.spare.try_send(done));
        self.at = 0;
        self.size += self.piece.len() as u64;
        self.ended = self.piece.is_empty();
        if let Some(hash) = &mut self.hash {
            hash.update(&self.piece);
        }
        Ok(())
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() && !self.ended {
            self.receive()?;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at = (self.at + length).min(self.piece.len());
    }
}

impl Read for PipeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

fn passed(hash: Sha256, size: u64) -> Passed {
    Passed { digest: hash.finish(), size }
}

/// What the writing end fails with when the reading end has given up; the reader knows why.
fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
