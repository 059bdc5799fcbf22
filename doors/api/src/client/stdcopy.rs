//! The frames in which standard output and error share one stream: eight bytes (stream number,
//! three zeros, length big-endian), then so many bytes.

use std::io::{self, Read, Write};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// The engine reports its own failure in the middle of a stream with this number.
const SYSTEM_ERROR: u8 = 3;
/// A message about a failure is never longer.
const ERROR_LIMIT: u64 = 64 * 1024;

/// Copies a framed stream to where its parts belong, until it ends. A sink that is `None` swallows
/// its part.
pub fn copy<'a>(
    source: &mut impl Read,
    mut stdout: Option<&'a mut dyn Write>,
    mut stderr: Option<&'a mut dyn Write>,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let mut header = [0; 8];
        if !read_header(source, &mut header)? {
            return Ok(());
        }
        let length = u64::from(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
        let sink = match header[0] {
            STDIN | STDOUT => &mut stdout,
            STDERR => &mut stderr,
            SYSTEM_ERROR => return Err(system_error(source, length)),
            other => return Err(invalid(format!("unrecognized stream: {other}"))),
        };
        copy_frame(source, length, sink, &mut buffer)?;
    }
}

/// Fills the header; false at a clean end between two frames.
fn read_header(source: &mut impl Read, header: &mut [u8; 8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < header.len() {
        match source.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn copy_frame(
    source: &mut impl Read,
    mut left: u64,
    sink: &mut Option<&mut dyn Write>,
    buffer: &mut [u8],
) -> io::Result<()> {
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = match source.read(&mut buffer[..limit]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(sink) = sink {
            sink.write_all(&buffer[..count])?;
        }
        left -= count as u64;
    }
    if let Some(sink) = sink {
        sink.flush()?;
    }
    Ok(())
}

fn system_error(source: &mut impl Read, length: u64) -> io::Error {
    let mut words = Vec::new();
    match source.take(length.min(ERROR_LIMIT)).read_to_end(&mut words) {
        Ok(_) => invalid(format!("error from daemon in stream: {}", String::from_utf8_lossy(&words))),
        Err(error) => error,
    }
}

fn invalid(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text].concat()
    }

    #[test]
    fn both_streams_arrive_where_they_belong() {
        let source = [frame(1, b"out"), frame(2, b"err"), frame(1, b""), frame(1, b"put")].concat();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        copy(&mut source.as_slice(), Some(&mut out), Some(&mut err)).unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"output"[..], &b"err"[..]));
    }

    #[test]
    fn a_cut_or_foreign_stream_is_an_error() {
        let cut = &frame(1, b"output")[..9];
        assert_eq!(copy(&mut &cut[..], None, None).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let foreign = b"plain text, no frames";
        assert_eq!(copy(&mut &foreign[..], None, None).unwrap_err().to_string(), "unrecognized stream: 112");
        let broken = frame(3, b"disk full");
        let words = copy(&mut broken.as_slice(), None, None).unwrap_err().to_string();
        assert_eq!(words, "error from daemon in stream: disk full");
    }
}
