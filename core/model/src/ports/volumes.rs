//! Volumes: storage that outlives containers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::Path;

use super::Durability;
use crate::{ContainerId, Result, Volume};

/// The volumes of this machine.
pub trait Volumes: Send + Sync {
    /// Makes a volume, or answers the one of that name.
    ///
    /// # Errors
    /// Not found for a driver that is not there; invalid argument for options of a new one, and for a size where the
    /// file system keeps no limits.
    fn create(&self, request: VolumeRequest) -> Result<Volume>;

    /// Whatever it was made for has come to be, and it stays.
    ///
    /// # Errors
    /// When that cannot be recorded.
    fn keep(&self, name: &str) -> Result<()>;

    /// The volume of that name.
    fn get(&self, name: &str) -> Result<Option<Volume>>;

    /// All volumes by name.
    fn list(&self) -> Result<Vec<Volume>>;

    /// Deletes a volume and its data; the engine has checked that no container uses it.
    fn remove(&self, name: &str) -> Result<()>;

    /// Fills an empty volume with what the container's image has at `path`: files, owners, modes, times.
    /// All of it or nothing, also when the power goes; `durability` is the container's.
    fn populate(
        &self,
        name: &str,
        container: &ContainerId,
        path: &Path,
        durability: Durability,
    ) -> Result<()>;

    /// Gives a volume another name; the engine has checked that no container uses it.
    ///
    /// # Errors
    /// Conflict when there is one of that name.
    fn rename(&self, name: &str, to: &str) -> Result<Volume>;

    /// Makes a volume that has what another one has now: all of it or nothing. Contents are shared where the file
    /// system can.
    ///
    /// # Errors
    /// Conflict when there is one of that name.
    fn copy(&self, name: &str, to: &str, kind: VolumeCopy) -> Result<Volume>;

    /// Writes a volume's files as a tar: names below `./`, which is the volume itself.
    ///
    /// # Errors
    /// What cannot be read or written.
    fn export(&self, name: &str, out: &mut dyn Write) -> Result<()>;

    /// Makes a volume of a tar, compressed or not: all of it or nothing.
    ///
    /// # Errors
    /// What is wrong with it; conflict when there is one of that name.
    fn import_new(&self, name: &str, tar: &mut dyn Read) -> Result<Volume>;

    /// Takes a tar in, so that who sends it slowly holds up nobody else: what is read of the file is that tar.
    ///
    /// # Errors
    /// What the sender or the disk says.
    fn receive(&self, tar: &mut dyn Read) -> Result<File>;

    /// Unpacks a tar, compressed or not, over what is in a volume that nobody uses: all of it or nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    fn import_whole(&self, name: &str, tar: &mut dyn Read) -> Result<()>;

    /// The same into a volume that somebody uses, who sees file after file come.
    ///
    /// # Errors
    /// What is wrong with it; what was unpacked until then stays.
    fn import(&self, name: &str, tar: &mut dyn Read) -> Result<()>;

    /// Mounts what a volume stands for, where its data are; nothing, when that is mounted already. Makes sure of its
    /// limit. Servers that are not in /etc/hosts are asked for with `look_up`.
    ///
    /// # Errors
    /// In Docker's words, with the kernel's.
    fn attach(&self, name: &str, look_up: LookUp<'_>) -> Result<()>;

    /// Takes that away again: nobody uses it any more.
    ///
    /// # Errors
    /// The kernel's.
    fn detach(&self, name: &str) -> Result<()>;

    /// Its limit, as the file system keeps it; nothing, when there is none.
    ///
    /// # Errors
    /// The kernel's.
    fn limit(&self, name: &str) -> Result<Option<VolumeLimit>>;

    /// Bytes that its files take of this store: nothing, for what is mounted from elsewhere.
    fn usage(&self, name: &str) -> Result<u64>;
}

/// Answers the addresses of a name.
pub type LookUp<'a> = &'a dyn Fn(&str) -> Result<Vec<IpAddr>>;

/// What a copy of a volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeCopy {
    /// To be used like any other.
    Clone,
    /// To be kept: nobody writes in it.
    Snapshot,
}

/// A volume to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeRequest {
    /// Its name.
    pub name: String,
    /// `local`.
    pub driver: String,
    /// Free pairs.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Made by a container that did not name it.
    pub anonymous: bool,
    /// Bytes that it may take; 0 is no limit.
    pub size: u64,
    /// Made for this container, which is being created: until [`keep`](Volumes::keep) the next start removes it
    /// again when that container is not on record.
    pub made_for: Option<ContainerId>,
}

/// The limit of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeLimit {
    /// Bytes that it may take.
    pub size: u64,
    /// Bytes that it takes, directories with it.
    pub used: u64,
    /// The number by which the file system counts them.
    pub project: u32,
}
