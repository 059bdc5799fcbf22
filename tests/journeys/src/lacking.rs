//! `lacking CALL[,CALL…] PROGRAM [ARGUMENT…]`: runs a program as on a kernel that has not these calls.
//!
//! A filter of system calls answers ENOSYS to them, for the program and all that it starts.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// `struct sock_filter`, as it lies in memory.
const fn instruction(code: u16, if_true: u8, if_false: u8, value: u32) -> u64 {
    code as u64 | (if_true as u64) << 16 | (if_false as u64) << 24 | (value as u64) << 32
}

// linux/bpf_common.h, linux/seccomp.h
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const ENOSYS: u32 = 38;

/// Numbers that are the same on all architectures, but for the two that are older than that agreement.
const CALLS: &[(&str, u32)] = &[
    ("pidfd_send_signal", 424),
    ("io_uring_setup", 425),
    ("open_tree", 428),
    ("move_mount", 429),
    ("fsopen", 430),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("fspick", 433),
    ("pidfd_open", 434),
    ("clone3", 435),
    ("close_range", 436),
    ("openat2", 437),
    ("pidfd_getfd", 438),
    ("faccessat2", 439),
    ("mount_setattr", 442),
    ("landlock_create_ruleset", 444),
    ("fchmodat2", 452),
    #[cfg(target_arch = "x86_64")]
    ("name_to_handle_at", 303),
    #[cfg(target_arch = "x86_64")]
    ("renameat2", 316),
    #[cfg(target_arch = "x86_64")]
    ("seccomp", 317),
    #[cfg(target_arch = "x86_64")]
    ("memfd_create", 319),
    #[cfg(target_arch = "x86_64")]
    ("bpf", 321),
    #[cfg(target_arch = "x86_64")]
    ("copy_file_range", 326),
    #[cfg(target_arch = "x86_64")]
    ("statx", 332),
    #[cfg(target_arch = "x86_64")]
    ("keyctl", 250),
    #[cfg(target_arch = "x86_64")]
    ("fallocate", 285),
];

fn number(name: &str) -> Result<u32> {
    let found = CALLS.iter().find(|(call, _)| *call == name);
    found.map(|(_, number)| *number).with_context(|| format!("no call {name} is known here"))
}

fn filter(calls: &str) -> Result<Vec<u64>> {
    let mut program = vec![instruction(LOAD_WORD, 0, 0, 0)];
    for call in calls.split(',') {
        program.push(instruction(JUMP_IF_EQUAL, 0, 1, number(call)?));
        program.push(instruction(RETURN, 0, 0, ERRNO | ENOSYS));
    }
    program.push(instruction(RETURN, 0, 0, ALLOW));
    Ok(program)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(calls), Some(program)) = (arguments.next(), arguments.next()) else {
        bail!("usage: lacking CALL[,CALL...] PROGRAM [ARGUMENT...]");
    };
    let calls = calls.to_str().context("names of calls are ASCII")?;
    dhow_sys::seccomp::install(&filter(calls)?, 0).context("cannot install the filter")?;
    Err(Command::new(&program).args(arguments).exec()).context("cannot execute the program")
}
