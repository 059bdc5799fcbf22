//! `docker-init -- PROGRAM [ARGUMENT…]`: this program as the first process of a container that another OCI runtime
//! makes (`--init --runtime runc`).
//!
//! Our own runtime leaves its init behind by itself. Another one is given a bundle with this program in it, at the
//! place where Docker has its own.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use dhow_oci::runtime::{Mount, Spec};

use crate::container::stay_behind;

/// Where it is in a container.
pub const PLACE: &str = "/sbin/docker-init";
/// What a shell answers for a program that is not there, and for one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Whether the program was called by that name.
#[must_use]
pub fn is_called(name: &Path) -> bool {
    name.file_name() == Path::new(PLACE).file_name()
}

/// Executes the program as a child, passes signals on to it and ends as it does.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut words = arguments.skip_while(|word| word == "--");
    let Some(program) = words.next() else {
        eprintln!("docker-init: no program to run");
        return ExitCode::from(NOT_EXECUTABLE);
    };
    if let Err(error) = stay_behind() {
        eprintln!("docker-init: {error}");
        return ExitCode::from(NOT_EXECUTABLE);
    }
    let error = Command::new(&program).args(words).exec();
    eprintln!("docker-init: exec {}: {error}", program.display());
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    ExitCode::from(if is_missing { NOT_FOUND } else { NOT_EXECUTABLE })
}

/// Puts it in front of a container's program; `name` is its name in the tree that is mounted there.
pub(crate) fn put_in_front(spec: &mut Spec, name: &str) {
    let Some(process) = &mut spec.process else { return };
    process.args.splice(0..0, [PLACE.to_owned(), "--".to_owned()]);
    spec.mounts.push(Mount {
        destination: PLACE.into(),
        kind: "bind".into(),
        source: name.to_owned(),
        options: ["bind", "ro", "rprivate"].map(str::to_owned).to_vec(),
        ..Mount::default()
    });
}
