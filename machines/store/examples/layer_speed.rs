//! How fast layers are unpacked and made: `layer_speed <layer.tar[.gz|.zst]> <empty directory>`.
//!
//! Prints wall and processor seconds of unpacking, making and comparing, beside nothing else: hold it
//! against `time tar -xf` on the same file.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use dhow_store::layer::{CreateOptions, ExtractOptions, create, extract, remove};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [archive, directory] = arguments.as_slice() else {
        return Err("usage: layer_speed <archive> <directory>".into());
    };
    std::fs::create_dir_all(directory)?;
    let into = File::open(directory)?;
    let extracted =
        measured("extract", || extract(File::open(archive)?, into.as_fd(), &ExtractOptions::layer()))?;
    println!("{} entries, {} bytes, {}", extracted.entries, extracted.size, extracted.diff_id);
    let created = measured("create", || create(into.as_fd(), &CreateOptions::layer(), &mut io::sink()))?;
    println!("{} bytes, {:?}", created.size, created.digest);
    let parent = File::open(std::path::Path::new(directory).join(".."))?;
    measured("remove", || {
        remove(parent.as_fd(), last(directory)).map_err(|error| std::io::Error::from(error).into())
    })
}

fn last(path: &str) -> &[u8] {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path).as_bytes()
}

fn measured<T>(
    what: &str,
    work: impl FnOnce() -> Result<T, dhow_store::tar::Error>,
) -> Result<T, Box<dyn std::error::Error>> {
    let (start, used) = (Instant::now(), processor_time());
    let result = work()?;
    println!(
        "{what}: {:.3} s, {:.3} s of processor",
        start.elapsed().as_secs_f64(),
        (processor_time() - used).as_secs_f64()
    );
    Ok(result)
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}
