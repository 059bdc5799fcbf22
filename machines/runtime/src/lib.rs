//! Starts one container and stays with it: OCI runtime, launcher, monitor.

pub mod capabilities;
pub mod cgroups;
pub mod command;
pub mod container;
pub mod host;
pub mod init_command;
pub mod launcher;
pub mod logs;
pub mod monitor;
pub mod own_binary;
pub mod port;
pub mod seccomp;
