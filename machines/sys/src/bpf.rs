//! bpf(2), as far as device programs of cgroups need it.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

// linux/bpf.h
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// The most programs the kernel attaches to one cgroup.
const MOST_PROGRAMS: usize = 64;

/// A loaded program; it lives as long as this or where it is attached.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// `union bpf_attr` for `BPF_PROG_LOAD`, as far as 4.15 knows it.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// For `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// For `BPF_PROG_QUERY`; the kernel writes into all of it, also what older headers do not have.
#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    program_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// Loads a program for the devices of a cgroup; instructions are as `struct bpf_insn` lies in memory.
///
/// # Errors
/// The kernel's: the right to do so, or a program that its verifier refuses.
pub fn load_device_program(instructions: &[u64]) -> io::Result<Program> {
    let count = u32::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let license = c"Apache-2.0";
    let mut attributes = Load {
        kind: TYPE_CGROUP_DEVICE,
        instruction_count: count,
        instructions: instructions.as_ptr().addr() as u64,
        license: license.as_ptr().addr() as u64,
        ..Load::default()
    };
    let fd = bpf(PROG_LOAD, &mut attributes)?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(Program(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Attaches a program beside those that are there.
///
/// # Errors
/// The kernel's.
pub fn attach_device_program(cgroup: impl AsFd, program: &Program) -> io::Result<()> {
    attach(&cgroup, program, ALLOW_MULTI, None)
}

/// Puts a program in the place of another one in one step (5.6 and later; else EINVAL).
///
/// # Errors
/// The kernel's.
pub fn replace_device_program(cgroup: impl AsFd, program: &Program, old: &Program) -> io::Result<()> {
    attach(&cgroup, program, ALLOW_MULTI | REPLACE, Some(old))
}

/// Takes a program away.
///
/// # Errors
/// The kernel's.
pub fn detach_device_program(cgroup: impl AsFd, program: &Program) -> io::Result<()> {
    let mut attributes = Attach { kind: ATTACH_CGROUP_DEVICE, ..Attach::new(&cgroup, program) };
    bpf(PROG_DETACH, &mut attributes).map(drop)
}

/// The programs attached to this very cgroup. One that a security module keeps from us is passed over:
/// it can only take more away.
///
/// # Errors
/// The kernel's.
pub fn attached_device_programs(cgroup: impl AsFd) -> io::Result<Vec<Program>> {
    let mut ids = [0u32; MOST_PROGRAMS];
    let mut attributes = Query {
        target: descriptor(&cgroup),
        kind: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr().addr() as u64,
        count: u32::try_from(MOST_PROGRAMS).unwrap_or(u32::MAX),
        ..Query::default()
    };
    bpf(PROG_QUERY, &mut attributes)?;
    let count = usize::try_from(attributes.count).unwrap_or(usize::MAX).min(MOST_PROGRAMS);
    let mut programs = Vec::new();
    for id in &ids[..count] {
        match program_of_id(*id) {
            Ok(program) => programs.push(program),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(programs)
}

fn program_of_id(id: u32) -> io::Result<Program> {
    // union bpf_attr { u32 prog_id; u32 next_id; u32 open_flags; }
    let mut attributes = [id, 0, 0];
    let fd = bpf(PROG_GET_FD_BY_ID, &mut attributes)?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(Program(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn attach(cgroup: &impl AsFd, program: &Program, flags: u32, replaced: Option<&Program>) -> io::Result<()> {
    let mut attributes = Attach { flags, ..Attach::new(cgroup, program) };
    if let Some(replaced) = replaced {
        attributes.replaced = descriptor(&replaced.0);
    }
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

impl Attach {
    fn new(cgroup: &impl AsFd, program: &Program) -> Self {
        Self {
            target: descriptor(cgroup),
            program: descriptor(&program.0),
            kind: ATTACH_CGROUP_DEVICE,
            ..Self::default()
        }
    }
}

fn descriptor(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

/// The call itself. Every pointer inside of `attributes` must be valid for what the command does.
fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = size_of::<T>();
    // SAFETY: `attributes` is a plain structure of `size` bytes that outlives the call; the private
    // callers above point only to buffers that outlive it too and are as long as they say.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}
