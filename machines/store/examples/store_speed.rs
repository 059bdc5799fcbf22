//! How long the store takes: `store_speed <empty directory> [<archive to load> [tar|directory]]`.
//!
//! Prints what a container costs (prepare, root file system, one small file, record, remove), what a
//! start with a thousand containers costs, and load, save, commit and remove of an image.

use std::path::Path;
use std::time::{Duration, Instant};

use dhow_model::container::{Config, HostConfig, State};
use dhow_model::ports::{
    ArchiveTarget, CommitRequest, Durability, Images as _, ImportRequest, Records as _, SaveFormat, SaveItem,
    Snapshots as _,
};
use dhow_model::{Container, ContainerId, ImageId, Timestamp};
use dhow_oci::ImageConfig;
use dhow_store::{LayerFormat, Options, Result, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.first().ok_or("usage: store_speed <empty directory> [<archive>]")?;
    let root = Path::new(directory).join("store");
    let layers = match arguments.get(2).map(String::as_str) {
        Some("tar") => Some(LayerFormat::Tar),
        Some("directory") => Some(LayerFormat::Directory),
        _ => None,
    };
    let options = Options { layers };
    let store = Store::open_with(&root, options)?;
    let image = import(&store)?;
    containers(&store, image)?;
    many(store, &root, options, image)?;
    if let Some(archive) = arguments.get(1) {
        images(&root, options, Path::new(archive))?;
    }
    Ok(())
}

fn import(store: &Store) -> Result<ImageId> {
    let mut writer = dhow_store::tar::Writer::new(Vec::new());
    let text = "root:x:0:0:root:/root:/bin/sh\n";
    writer.append(&dhow_store::tar::Entry::directory("etc/"), &mut std::io::empty())?;
    let entry = dhow_store::tar::Entry::file("etc/passwd", text.len() as u64);
    writer.append(&entry, &mut text.as_bytes())?;
    let tar = writer.finish()?;
    store.images.import(ImportRequest::default(), &mut &tar[..])
}

fn containers(store: &Store, image: ImageId) -> Result<()> {
    for durability in [Durability::Relaxed, Durability::Committed] {
        let mut times = [const { Vec::new() }; 5];
        for number in 0..200 {
            let id = id(number);
            let mut step = |at: usize, work: &dyn Fn() -> Result<()>| -> Result<()> {
                let start = Instant::now();
                work()?;
                times[at].push(start.elapsed());
                Ok(())
            };
            step(0, &|| store.snapshots.prepare(&id, Some(&image), durability, 0))?;
            step(1, &|| store.records.put_container(&container(&id, image), durability))?;
            step(2, &|| store.snapshots.rootfs(&id, true, 0, None).map(drop))?;
            step(3, &|| store.snapshots.read_file(&id, None, Path::new("/etc/passwd"), 1 << 20).map(drop))?;
            step(4, &|| {
                store.records.delete_container(&id, durability)?;
                store.snapshots.remove(&id)
            })?;
        }
        println!("{durability:?}, median µs:");
        for (name, times) in ["prepare", "record", "rootfs", "read file", "remove"].iter().zip(&mut times) {
            times.sort();
            println!("  {name:10} {}", times[times.len() / 2].as_micros());
        }
    }
    Ok(())
}

fn many(store: Store, root: &Path, options: Options, image: ImageId) -> Result<()> {
    for number in 0..1_000 {
        let id = id(number);
        store.snapshots.prepare(&id, Some(&image), Durability::Relaxed, 0)?;
        store.records.put_container(&container(&id, image), Durability::Relaxed)?;
    }
    drop(store);
    let store = measured("open with 1,000 containers", || Store::open_with(root, options))?;
    measured("read 1,000 records", || store.records.containers())?;
    Ok(())
}

fn images(root: &Path, options: Options, archive: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open_with(root, options)?;
    let file = || std::fs::File::open(archive);
    let mut opened = file()?;
    let loaded = measured("load", || store.images.load(&mut opened, None, &mut |_| {}))?;
    let mut opened = file()?;
    measured("load again", || store.images.load(&mut opened, None, &mut |_| {}))?;
    let first = loaded.first().ok_or("the archive has no image")?;
    let item = SaveItem { id: first.id, references: first.references.clone() };
    measured("save", || store.images.save(&[item], SaveFormat::Both, &mut std::io::sink()))?;
    let id = id(5_000);
    store.snapshots.prepare(&id, Some(&first.id), Durability::Relaxed, 0)?;
    let upper = root.join("containers").join(id.as_str()).join("rw");
    for number in 0..5_000 {
        std::fs::write(upper.join(format!("file{number}")), vec![b'x'; 40_000])?;
    }
    let request = CommitRequest {
        container: id.clone(),
        parent: Some(first.id),
        config: ImageConfig::default(),
        created_by: String::new(),
        reference: None,
    };
    let committed = measured("commit 200 MB in 5,000 files", || store.images.commit(request))?;
    measured("changes", || store.snapshots.changes(&id))?;
    let target = ArchiveTarget {
        id: id.clone(),
        pid: None,
        mounts: Vec::new(),
        read_only: false,
        users: None,
        seen_by: None,
    };
    measured("export", || store.snapshots.export(&target, &mut std::io::sink()))?;
    measured("remove", || {
        store.snapshots.remove(&id)?;
        store.images.remove(&committed, false)
    })?;
    Ok(())
}

fn id(number: u32) -> ContainerId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ContainerId::from_random(bytes)
}

fn container(id: &ContainerId, image: ImageId) -> Container {
    Container {
        id: id.clone(),
        name: format!("c{}", id.short()).parse().unwrap_or_else(|_| unreachable!("digits are a name")),
        created: Timestamp::now(),
        image: Some(image),
        image_name: "image".into(),
        platform: None,
        config: Config::default(),
        host_config: HostConfig::default().into(),
        mounts: Vec::new(),
        state: State::created(),
        restart_count: 0,
        intent: dhow_model::container::Intent::default(),
        limits_pending: false,
        user_map: None,
        health: None,
        networks: std::collections::BTreeMap::new(),
    }
}

fn measured<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (start, used) = (Instant::now(), processor_time());
    let result = work()?;
    println!("{what:30} {:?} wall, {:?} processor", start.elapsed(), processor_time().saturating_sub(used));
    Ok(result)
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (seconds, nanos) = (time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0));
    Duration::new(seconds, nanos)
}
