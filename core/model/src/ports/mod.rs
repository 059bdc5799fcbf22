//! The traits by which rules reach the world.
//!
//! All but [`Names`] are blocking: a verb of the engine runs from its first step to its last on a thread of its
//! own, so a client that goes away cannot leave it half done. What takes long without working
//! (waiting for an exit, following a log) is told by [`RuntimeEvent`]s instead.
//!
//! A machine implements each trait; `testkit` has a fake of those that are slow or need rights, and
//! one contract suite both pass.

mod host;
mod images;
mod logs;
mod names;
mod networks;
mod records;
mod runtime;
mod sample;
mod snapshots;
mod upkeep;
mod user_space;
mod volumes;
mod web;

pub use host::{DeviceNode, Host, HostFacts, OwnUse, PathKind, PathMount};
pub use images::{CommitRequest, Images, ImportRequest, LoadProgress, SaveFormat, SaveItem};
pub use logs::{
    LogEntries, LogEntry, LogFileKind, LogFileOptions, LogOptions, LogQuery, LogReceiver, LogService,
    LogStream, Syslog, SyslogAddress, SyslogFormat, SyslogTls,
};
pub use names::{Addresses, Names, Servers, Upstreams};
pub use networks::{
    Carrier, LinkPlan, NetworkSpace, Networks, Publication, ShouldBe, SpareListeners, SparePair, Way,
};
pub use records::{Durability, Records};
pub use runtime::{
    Adopted, AttachOptions, Donor, ExecPlan, MountedTree, RootfsPlan, Runtime, RuntimeEvent, RuntimeProgram,
    StartFailure, StartPlan, StdioPlan, Target, TerminalSize,
};
pub use sample::{BlockCount, CpuSample, DirectionCounts, InterfaceCounts, MemorySample, Sample};
pub use snapshots::{ArchiveOptions, ArchiveTarget, Change, ChangeKind, PathStat, SnapshotUsage, Snapshots};
pub use upkeep::{CheckReport, Finding, FindingState, Upkeep};
pub use user_space::UserSpace;
pub use volumes::{LookUp, VolumeCopy, VolumeLimit, VolumeRequest, Volumes};
pub use web::{Fetched, Gone, Web};
