//! Finds the last lines of a log without reading all of it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use super::files::LogFile;

/// Read at once, from the end backwards.
const BLOCK: usize = 64 * 1024;

/// Leaves in `files` (the oldest first) those that have the last `lines` lines, each standing at the
/// first byte to be read; returns how many lines of the first file are to be skipped before, which
/// is for a compressed file, where nobody can seek.
///
/// # Errors
/// The kernel's, and a compressed file that is none.
pub fn keep_last(files: &mut Vec<LogFile>, lines: u64) -> io::Result<u64> {
    let mut wanted = lines;
    let mut skip = 0;
    let mut first = files.len();
    while first > 0 && wanted > 0 {
        first -= 1;
        let candidate = &mut files[first];
        if candidate.compressed {
            let count = count_lines(candidate)?;
            skip = count.saturating_sub(wanted);
            wanted = wanted.saturating_sub(count);
        } else {
            let length = candidate.file.metadata()?.len();
            let (start, found) = start_of_last(&candidate.file, length, wanted)?;
            candidate.file.seek(SeekFrom::Start(start))?;
            wanted -= found;
        }
    }
    if lines == 0 {
        // Nothing of what is there; the newest stays, at its end, to be followed.
        first = files.len().saturating_sub(1);
        if let Some(newest) = files.last_mut().filter(|newest| !newest.compressed) {
            newest.file.seek(SeekFrom::End(0))?;
        }
    }
    files.drain(..first);
    Ok(skip)
}

/// Where the last `wanted` lines of the first `length` bytes begin, and how many they are.
fn start_of_last(file: &File, length: u64, wanted: u64) -> io::Result<(u64, u64)> {
    let mut block = vec![0; BLOCK];
    let mut ends = 0;
    let mut position = length;
    while position > 0 {
        let size = usize::try_from(position).unwrap_or(BLOCK).min(BLOCK);
        let block = &mut block[..size];
        position -= size as u64;
        file.read_exact_at(block, position)?;
        for (at, byte) in block.iter().enumerate().rev() {
            if *byte != b'\n' {
                continue;
            }
            if ends == wanted {
                return Ok((position + at as u64 + 1, wanted));
            }
            ends += 1;
        }
    }
    Ok((0, ends))
}

fn count_lines(file: &mut LogFile) -> io::Result<u64> {
    let mut contents = BufReader::with_capacity(BLOCK, file.contents()?);
    let mut count = 0;
    loop {
        let block = contents.fill_buf()?;
        if block.is_empty() {
            file.file.seek(SeekFrom::Start(0))?;
            return Ok(count);
        }
        count += block.iter().filter(|b| **b == b'\n').count() as u64;
        let length = block.len();
        contents.consume(length);
    }
}
