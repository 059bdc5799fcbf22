//! One stream for several threads: each gets every piece, and none runs far ahead of the slowest.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::fill::fill;

/// Large enough that handing it over costs nothing, small enough for the processor's cache.
const PIECE: usize = 256 * 1024;
/// How far the fastest may be ahead.
const PIECES: usize = 8;

/// An empty one is the end; without it the stream was cut off.
type Piece = Arc<Vec<u8>>;

/// The end that is written to.
#[derive(Debug)]
pub(super) struct Source {
    takers: Vec<SyncSender<Piece>>,
    /// Pieces that were sent, the oldest first: whoever is done with one gives it back by dropping it.
    sent: VecDeque<Piece>,
}

/// An end that is read.
#[derive(Debug)]
pub(super) struct Taker {
    pieces: Receiver<Piece>,
    piece: Piece,
    at: usize,
    ended: bool,
}

/// A source and `N` that read it.
pub(super) fn fan<const N: usize>() -> (Source, [Taker; N]) {
    let mut takers = Vec::with_capacity(N);
    let ends = std::array::from_fn(|_| {
        let (taker, pieces) = sync_channel(PIECES);
        takers.push(taker);
        Taker { pieces, piece: Piece::default(), at: 0, ended: false }
    });
    (Source { takers, sent: VecDeque::new() }, ends)
}

impl Source {
    /// Copies all of `input` to all who read.
    ///
    /// # Errors
    /// What `input` says; [`io::ErrorKind::BrokenPipe`] when one of them has given up, which knows why.
    pub(super) fn pump(mut self, input: &mut dyn Read) -> io::Result<()> {
        loop {
            let mut piece = self.buffer();
            let buffer = Arc::make_mut(&mut piece);
            buffer.resize(PIECE, 0);
            let length = fill(input, buffer)?;
            buffer.truncate(length);
            for taker in &self.takers {
                taker.send(Arc::clone(&piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            }
            if length == 0 {
                return Ok(());
            }
            self.sent.push_back(piece);
        }
    }

    /// A piece that nobody holds any more, or a new one.
    fn buffer(&mut self) -> Piece {
        let free = self.sent.front().is_some_and(|piece| Arc::strong_count(piece) == 1);
        let used = if free { self.sent.pop_front() } else { None };
        used.unwrap_or_else(|| Arc::new(Vec::with_capacity(PIECE)))
    }
}

impl Taker {
    /// The next piece as it is; `None` is the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        if self.ended {
            return Ok(None);
        }
        let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was cut off");
        // Given back before the next one is waited for.
        self.piece = Piece::default();
        let piece = self.pieces.recv().map_err(|_| cut())?;
        self.ended = piece.is_empty();
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

impl Taker {
    /// Whether the next look waits for a piece.
    pub(super) fn is_used_up(&self) -> bool {
        self.at == self.piece.len() && !self.ended
    }
}

impl BufRead for Taker {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len()
            && let Some(piece) = self.next()?
        {
            (self.piece, self.at) = (piece, 0);
        }
        Ok(self.piece.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, length: usize) {
        self.at = (self.at + length).min(self.piece.len());
    }
}

impl Read for Taker {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn everybody_gets_everything_in_order() {
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
        let (source, [mut one, mut other]) = fan();
        thread::scope(|scope| {
            let whole = scope.spawn(move || {
                let mut all = Vec::new();
                other.read_to_end(&mut all).unwrap();
                all
            });
            let pieces = scope.spawn(move || {
                let mut all = Vec::new();
                while let Some(piece) = one.next().unwrap() {
                    all.extend_from_slice(&piece);
                }
                all
            });
            source.pump(&mut &bytes[..]).unwrap();
            assert!(whole.join().unwrap() == bytes && pieces.join().unwrap() == bytes);
        });
    }

    #[test]
    fn whoever_gives_up_ends_it_for_all_and_a_cut_is_no_end() {
        let (source, [one, mut other]) = fan();
        drop(one);
        let error = source.pump(&mut io::repeat(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut all = Vec::new();
        assert_eq!(other.read_to_end(&mut all).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
