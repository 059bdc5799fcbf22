//! Writes the EROFS index of a tar: `erofs_index layer.tar index.erofs`; then
//! `mount -t erofs -o device=layer.tar index.erofs DIR`. Tells what each part took.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::time::Instant;

use dhow_oci::Digest;
use dhow_oci::digest::Sha256;
use dhow_store::erofs::{Options, Tar, index_of};
use dhow_store::tar::{Limits, Reader};

fn main() -> Result<(), Box<dyn Error>> {
    let [tar, image] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: erofs_index TAR IMAGE")?;
    let start = Instant::now();
    let (digest, size) = hashed(&mut File::open(&tar)?)?;
    println!("hashed   {:>9.1?}  {size} bytes", start.elapsed());
    let start = Instant::now();
    let input = BufReader::with_capacity(256 << 10, File::open(&tar)?);
    let index = index_of(&mut Reader::new(input, Limits::default()), Options::default())?;
    println!("read     {:>9.1?}", start.elapsed());
    let start = Instant::now();
    let summary = index.finish(&Tar { digest, size }, &mut File::create(&image)?)?;
    println!("written  {:>9.1?}  {} bytes, {} inodes", start.elapsed(), summary.size, summary.inodes);
    Ok(())
}

fn hashed(tar: &mut File) -> std::io::Result<(Digest, u64)> {
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        match tar.read(&mut piece)? {
            0 => return Ok((hash.finish(), size)),
            length => {
                hash.update(&piece[..length]);
                size += length as u64;
            }
        }
    }
}
