//! A view of the machine that every contender can run in.
//!
//! crun of Debian 12 refuses a hybrid of cgroups version 1 and 2. So where there is one, the benchmark runs
//! in a mount namespace of its own in which only version 1 is seen, and all contenders with it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Says that this process is in the view already.
const MARK: &str = "DHOW_BENCH_VIEW";

/// Makes the view, and runs this program in it: `$@`.
const SCRIPT: &str = r#"
set -e
view=$(mktemp -d)
mount -t tmpfs view "$view"
for hierarchy in /sys/fs/cgroup/*/; do
    name=$(basename "$hierarchy")
    [ "$name" = unified ] && continue
    mkdir "$view/$name"
    mount --bind "$hierarchy" "$view/$name"
done
mount --rbind "$view" /sys/fs/cgroup
umount -l "$view"
rmdir "$view"
exec "$@"
"#;

/// Runs this program again in the view, where the machine as it is would leave contenders out.
pub(crate) fn enter() -> Result<()> {
    if std::env::var_os(MARK).is_some() || !Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"]);
    command.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(MARK, "1");
    Err(command.exec()).context("run unshare")
}
