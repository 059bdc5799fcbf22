//! Tries a bundle by hand: `try BUNDLE`.
use dhow_model::ports::RootfsPlan;
use dhow_runtime::container::{ExecRequest, Gate, InitRequest, Placement, Stdio, spawn_exec, spawn_init};
fn main() {
    let bundle = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let spec: dhow_oci::runtime::Spec =
        serde_json::from_slice(&std::fs::read(bundle.join("config.json")).unwrap()).unwrap();
    let start = std::time::Instant::now();
    let init = spawn_init(InitRequest {
        id: "try",
        spec: &spec,
        bundle: &bundle,
        rootfs: RootfsPlan::Directory("rootfs".into()),
        stdio: Stdio::Inherit,
        placement: Placement::default(),
        gate: Gate::Parent,
        preserve: 0,
        no_pivot: false,
        no_new_keyring: false,
    });
    let init = match init {
        Ok(init) => init,
        Err(e) => return println!("create failed: {e:?}"),
    };
    let created = start.elapsed();
    let pid = init.pid;
    if let Err(e) = init.start() {
        return println!("start failed: {e:?}");
    }
    let started = start.elapsed();
    if std::env::args().nth(2).is_some() {
        let mut process = spec.process.clone().unwrap();
        process.args = std::env::args().skip(2).collect();
        let exec = spawn_exec(ExecRequest {
            spec: &spec,
            process: &process,
            pid,
            stdio: Stdio::Inherit,
            placement: Placement::default(),
            preserve: 0,
        });
        match exec {
            Ok(exec) => {
                let p = exec.pid;
                println!("exec start {:?}", exec.start());
                println!(
                    "exec {:?}",
                    rustix::process::waitpid(Some(p), rustix::process::WaitOptions::empty())
                );
            }
            Err(e) => println!("exec failed {e:?}"),
        }
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    let status = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    println!("status {:?} created {created:?} started {started:?} all {:?}", status.1, start.elapsed());
}
