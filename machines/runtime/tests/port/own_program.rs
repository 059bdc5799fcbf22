//! Stories of containers that go for our own program (CVE-2019-5736: the file of the runtime was
//! overwritten through `/proc/self/exe`).

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use dhow_model::ports::{LogQuery, Runtime, Target};
use rustix::fs::{Mode, OFlags};

use crate::stage::{OVERWRITER, Stage, new_id};

/// What a container has our program do: first it is written to by its name, then through a
/// descriptor that says nothing of how it was opened.
pub(crate) fn overwrite() {
    let (own, name) = (std::fs::metadata("/proc/self/exe").unwrap(), "/proc/self/exe");
    println!("file {}:{}", own.dev(), own.ino());
    for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::WRONLY | OFlags::TRUNC] {
        let held = rustix::fs::open(name, OFlags::PATH, Mode::empty()).unwrap();
        let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
        for path in [name, "/proc/1/exe", &again] {
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(file) if rustix::io::write(&file, b"overwritten").is_ok() => println!("overwritten"),
                _ => println!("refused"),
            }
        }
    }
}

/// The program is the container's own, or the interpreter of its script.
pub(crate) fn no_container_reaches_our_program(stage: &Stage) {
    let program = std::env::current_exe().unwrap();
    let (before, file) = (std::fs::read(&program).unwrap(), std::fs::metadata(&program).unwrap());
    let script = stage.directory.join("rootfs/loop");
    std::fs::write(&script, format!("#!/proc/self/exe {OVERWRITER}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [&["/proc/self/exe", OVERWRITER][..], &["/loop"]] {
        let id = new_id();
        let mut plan = stage.plan(&id, "");
        let words = arguments.iter().map(|word| (*word).to_owned()).collect();
        Arc::make_mut(&mut plan.spec).process.as_mut().unwrap().args = words;
        stage.start(plan);
        assert_eq!(stage.exit_of(&Target::container(id.clone())).code, 0, "{arguments:?}");
        let log = String::from_utf8(stage.log(&id, LogQuery::default())).unwrap();
        assert_eq!(log.matches("refused").count(), 9, "{log}");
        assert!(!log.contains("overwritten"), "{log}");
        assert!(!log.contains(&format!("file {}:{}\n", file.dev(), file.ino())), "it is the file itself");
        stage.runtime.release(&id).unwrap();
    }
    assert!(std::fs::read(&program).unwrap() == before, "our program was changed");
}
