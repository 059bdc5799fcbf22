//! Takes compressed streams apart, in this process and within bounds.
//!
//! Which codec it is is told by the first bytes, never by a name or a header. No program is started:
//! a decompressor found in a container's path was once run by an engine (CVE-2026-41567).

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use dhow_oci::Digest;
use dhow_oci::digest::Sha256;
use liblzma::stream::{CONCATENATED, Stream};

use crate::tar::{Error, Limits, Result};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952; one member or many.
    Gzip,
    /// RFC 8878; one frame or many, skippable ones too.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// As many bytes as the longest magic.
const MAGIC: usize = 6;
const BUFFER: usize = 128 * 1024;

impl Compression {
    /// Looks at the first bytes of a stream: six are enough.
    #[must_use]
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

/// A stream, decompressed while it is read.
///
/// Counts both sides, and hashes the compressed one when asked to.
pub struct Decoder<R: Read> {
    codec: Codec<Input<R>>,
    compression: Compression,
    out: u64,
    limits: Limits,
}

enum Codec<R: BufRead> {
    Plain(R),
    Gzip(flate2::bufread::MultiGzDecoder<R>),
    Zstd(zstd::stream::read::Decoder<'static, R>),
    Bzip2(bzip2::bufread::MultiBzDecoder<R>),
    Xz(liblzma::bufread::XzDecoder<R>),
}

/// The compressed side.
struct Input<R: Read> {
    inner: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    taken: u64,
    hash: Option<Sha256>,
}

/// The compressed side of a stream that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest, when asked for.
    pub digest: Option<Digest>,
    /// Its bytes.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes of `input`; with `hash`, all of its bytes are hashed.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(mut input: R, hash: bool, limits: &Limits) -> Result<Self> {
        let mut start = Vec::with_capacity(MAGIC);
        (&mut input).take(MAGIC as u64).read_to_end(&mut start)?;
        let compression = Compression::detect(&start);
        let input = Input {
            inner: BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input)),
            taken: 0,
            hash: hash.then(Sha256::new),
        };
        let codec = Codec::new(compression, input, limits.window)?;
        Ok(Self { codec, compression, out: 0, limits: limits.clone() })
    }

    /// How the stream is compressed.
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// Compressed bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.codec.input().taken
    }

    /// Reads what is left of the compressed stream and tells what it was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn finish(mut self) -> Result<Blob> {
        let input = self.codec.input_mut();
        loop {
            let length = input.fill_buf()?.len();
            if length == 0 {
                break;
            }
            input.consume(length);
        }
        let digest = input.hash.take().map(Sha256::finish);
        Ok(Blob { digest, size: input.taken, compression: self.compression })
    }

    fn verify_limits(&self) -> Result<()> {
        let Limits { total, ratio, ratio_free, .. } = self.limits;
        if self.out > total {
            return Err(Error::limit(format!("archive is larger than {total} bytes when decompressed")));
        }
        let most = self.taken().saturating_mul(ratio).saturating_add(ratio_free);
        if self.compression != Compression::None && self.out > most {
            return Err(Error::limit(format!(
                "archive of {} bytes is larger than {most} bytes when decompressed: more than {ratio} to one",
                self.taken()
            )));
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.codec.read(out)?;
        self.out += length as u64;
        self.verify_limits()?;
        Ok(length)
    }
}

impl<R: Read> std::fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("compression", &self.compression).field("out", &self.out).finish()
    }
}

impl<R: BufRead> Codec<R> {
    fn new(compression: Compression, input: R, window: u64) -> Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(input),
            Compression::Gzip => Self::Gzip(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Bzip2 => Self::Bzip2(bzip2::bufread::MultiBzDecoder::new(input)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(window.max(1).ilog2())?;
                Self::Zstd(decoder)
            }
            Compression::Xz => {
                // The decoder's own tables come on top of the window.
                let stream = Stream::new_stream_decoder(window.saturating_add(1 << 20), CONCATENATED);
                let stream =
                    stream.map_err(|error| Error::stream("xz cannot be decompressed", error.into()))?;
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
        })
    }

    fn input(&self) -> &R {
        match self {
            Self::Plain(input) => input,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
            Self::Bzip2(decoder) => decoder.get_ref(),
            Self::Xz(decoder) => decoder.get_ref(),
        }
    }

    fn input_mut(&mut self) -> &mut R {
        match self {
            Self::Plain(input) => input,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Bzip2(decoder) => decoder.get_mut(),
            Self::Xz(decoder) => decoder.get_mut(),
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(out),
            Self::Gzip(decoder) => decoder.read(out),
            Self::Zstd(decoder) => decoder.read(out),
            Self::Bzip2(decoder) => decoder.read(out),
            Self::Xz(decoder) => decoder.read(out),
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        if let Some(hash) = &mut self.hash {
            hash.update(&self.inner.buffer()[..length]);
        }
        self.inner.consume(length);
        self.taken += length as u64;
    }
}
