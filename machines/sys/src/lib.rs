//! System calls; the only crate with unsafe code.
//!
//! What rustix has is used from there. Here is what it lacks, and what must be right in one place:
//! [`clone`] makes processes in new namespaces, [`fork`] copies small ones; [`mount`] has the parts
//! of the mount interface that rustix has not; [`path`] resolves paths that somebody else wrote below
//! a held directory; [`procfs`] writes to /proc only after it has made sure that it is /proc;
//! [`identity`] sets users, groups and capabilities; [`channel`] passes messages and descriptors;
//! [`inherit`] takes the sockets that the service manager opened;
//! [`quota`] limits what trees take;
//! [`process`] has what a process does to itself before it executes another program, and [`descriptors`]
//! what it leaves that program; [`features`] tells what a kernel lacks; [`user_namespace`] makes user
//! namespaces that nobody is in; [`trace`] tells where the time of a start goes.

pub mod backtrace;
pub mod bpf;
pub mod channel;
pub mod clone;
pub mod descriptors;
pub mod features;
pub mod fork;
pub mod identity;
pub mod inherit;
pub mod mount;
pub mod netlink;
pub mod path;
pub mod process;
pub mod procfs;
pub mod quota;
pub mod seccomp;
pub mod signal;
pub mod signalfd;
pub mod terminal;
pub mod trace;
pub mod user_namespace;
