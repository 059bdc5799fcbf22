//! Finds the last entries of a log without reading all of it.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use super::binary::{self, LENGTH};
use super::files::LogFile;
use super::form::Form;

/// Read at once, from the end backwards.
const BLOCK: usize = 64 * 1024;

/// Leaves in `files` (the oldest first) those that have the last `wanted` entries, each standing at the
/// first byte to be read; returns how many entries of the first file are to be skipped before, which is
/// for a file where nobody can go backwards: a compressed or a damaged one.
///
/// # Errors
/// The kernel's.
pub fn keep_last(files: &mut Vec<LogFile>, form: Form, wanted: u64) -> io::Result<u64> {
    let mut left = wanted;
    let mut skip = 0;
    let mut first = files.len();
    while first > 0 && left > 0 {
        first -= 1;
        let candidate = &mut files[first];
        let found = match start_of_last(candidate, form, left)? {
            Some((start, found)) => {
                candidate.file.seek(SeekFrom::Start(start))?;
                found
            }
            None => {
                let count = count(candidate, form)?;
                skip = count.saturating_sub(left);
                count.min(left)
            }
        };
        left -= found;
    }
    if wanted == 0 {
        // Nothing of what is there; the newest stays, at its end, to be followed.
        first = files.len().saturating_sub(1);
        if let Some(newest) = files.last_mut().filter(|newest| !newest.compressed) {
            newest.file.seek(SeekFrom::End(0))?;
        }
    }
    files.drain(..first);
    Ok(skip)
}

/// Where the last `wanted` entries of a file begin, and how many they are; none when only reading it
/// from its begin can tell.
fn start_of_last(file: &LogFile, form: Form, wanted: u64) -> io::Result<Option<(u64, u64)>> {
    if file.compressed {
        return Ok(None);
    }
    let length = file.file.metadata()?.len();
    match form {
        Form::Json => start_of_last_lines(&file.file, length, wanted).map(Some),
        Form::Binary => start_of_last_records(&file.file, length, wanted),
    }
}

/// Each record ends with its length.
fn start_of_last_records(file: &File, length: u64, wanted: u64) -> io::Result<Option<(u64, u64)>> {
    let mut position = length;
    let mut found = 0;
    while position > 0 && found < wanted {
        let Some(end) = position.checked_sub(LENGTH as u64) else { return Ok(None) };
        let length = length_at(file, end)?;
        let Some(start) = end.checked_sub(length + LENGTH as u64) else { return Ok(None) };
        if !(1..=binary::LONGEST as u64).contains(&length) || length_at(file, start)? != length {
            return Ok(None);
        }
        position = start;
        found += 1;
    }
    Ok(Some((position, found)))
}

fn length_at(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; LENGTH];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u32::from_be_bytes(bytes).into())
}

/// Where the last `wanted` lines of the first `length` bytes begin, and how many they are.
fn start_of_last_lines(file: &File, length: u64, wanted: u64) -> io::Result<(u64, u64)> {
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

/// Counts the entries of a file, and leaves it where it began.
fn count(file: &mut LogFile, form: Form) -> io::Result<u64> {
    let mut records = file.records(form)?;
    let mut count = 0;
    while records.next_entry()?.is_some() {
        count += 1;
    }
    file.file.seek(SeekFrom::Start(0))?;
    Ok(count)
}
