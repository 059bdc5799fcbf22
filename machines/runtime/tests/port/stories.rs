//! The stories.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use dhow_model::Kind;
use dhow_model::ports::{
    Adopted, AttachOptions, Donor, LogOptions, LogQuery, Runtime, StdioPlan, Target, TerminalSize,
};

use dhow_oci::runtime::NamespaceKind;
use serde_json::json;

use crate::own_program::no_container_reaches_our_program;
use crate::stage::{BOTH, ENGINE, OUTPUT, Stage, exec_target, frames, json_log, new_id, read_until};

/// A story's sentence, and what happens in it.
type Story = (&'static str, fn(&Stage));

pub(crate) const ALL: &[Story] = &[
    ("output_is_logged_and_the_exit_is_told", output_is_logged_and_the_exit_is_told),
    ("a_client_that_waits_gets_the_first_byte", a_client_that_waits_gets_the_first_byte),
    ("standard_input_can_be_closed_alone", standard_input_can_be_closed_alone),
    ("a_terminal_echoes_and_knows_its_size", a_terminal_echoes_and_knows_its_size),
    ("a_slow_reader_gets_every_byte", a_slow_reader_gets_every_byte),
    ("a_client_that_vanishes_is_forgotten", a_client_that_vanishes_is_forgotten),
    ("the_log_is_rotated_while_it_is_followed", the_log_is_rotated_while_it_is_followed),
    ("a_program_that_is_not_there_is_told_in_dockers_words", a_program_that_is_not_there),
    ("execs_have_exit_codes_of_their_own", execs_have_exit_codes_of_their_own),
    ("a_killed_engine_leaves_containers_to_the_next", a_killed_engine_leaves_containers_to_the_next),
    ("a_killed_launcher_is_replaced", a_killed_launcher_is_replaced),
    ("a_killed_monitor_takes_its_container_with_it", a_killed_monitor_takes_its_container_with_it),
    ("a_hundred_start_side_by_side", a_hundred_start_side_by_side),
    ("who_joins_one_that_ends_meanwhile_is_not_started", who_joins_one_that_ends_meanwhile),
    ("no_container_reaches_our_program", no_container_reaches_our_program),
];

fn output_is_logged_and_the_exit_is_told(stage: &Stage) {
    let id = new_id();
    let running = stage.start(stage.plan(&id, "echo out; echo err >&2; exit 7"));
    let exit = stage.exit_of(&Target::container(id.clone()));
    assert_eq!((exit.code, exit.oom_killed, exit.started), (7, false, running.started));
    assert!(exit.finished > exit.started);
    let log = stage.directory.join(format!("containers/{id}/{id}-json.log"));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(r#"{"log":"out\n","stream":"stdout","time":""#), "{log}");
    assert!(log.contains(r#"{"log":"err\n","stream":"stderr","time":""#), "{log}");
    assert!(matches!(stage.runtime.adopt(&id).unwrap(), Adopted::Exited(found) if found == exit));
    stage.runtime.release(&id).unwrap();
    stage.runtime.release(&id).unwrap();
    assert_eq!(stage.runtime.adopt(&id).unwrap(), Adopted::Gone);
}

fn a_client_that_waits_gets_the_first_byte(stage: &Stage) {
    let id = new_id();
    let target = Target::container(id.clone());
    let client = stage.attach(&target, OUTPUT);
    let half = stage.attach(&target, AttachOptions { stderr: false, ..OUTPUT });
    stage.start(stage.plan(&id, "echo out; echo err >&2"));
    assert_eq!(frames(&client), (b"out\n".to_vec(), b"err\n".to_vec()));
    assert_eq!(frames(&half), (b"out\n".to_vec(), vec![]));
    assert_eq!(stage.exit_of(&target).code, 0);
    stage.runtime.release(&id).unwrap();

    let never_started = stage.attach(&target, OUTPUT);
    stage.runtime.release(&id).unwrap();
    assert_eq!(frames(&never_started), (vec![], vec![]));
}

fn standard_input_can_be_closed_alone(stage: &Stage) {
    let id = new_id();
    let target = Target::container(id.clone());
    let stdio = StdioPlan { open_stdin: true, stdin_once: true, ..StdioPlan::default() };
    let mut client = stage.attach(&target, BOTH);
    stage.start(dhow_model::ports::StartPlan { stdio, ..stage.plan(&id, "cat; echo end") });
    // More than fits into a pipe, so that some of it must wait.
    let input: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let reading = client.try_clone().unwrap();
    let reading = std::thread::spawn(move || frames(&reading));
    client.write_all(&input).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (stdout, _) = reading.join().unwrap();
    assert_eq!(stdout.len(), input.len() + 4);
    assert!(stdout.starts_with(&input) && stdout.ends_with(b"end\n"));
    assert_eq!(stage.exit_of(&target).code, 0);
    stage.runtime.release(&id).unwrap();
}

fn a_terminal_echoes_and_knows_its_size(stage: &Stage) {
    let id = new_id();
    let target = Target::container(id.clone());
    let size = Some(TerminalSize { rows: 24, columns: 80 });
    let stdio =
        StdioPlan { terminal: true, open_stdin: true, stdin_once: true, size, ..StdioPlan::default() };
    let mut plan = dhow_model::ports::StartPlan { stdio, ..stage.plan(&id, "stty size; exec sh") };
    Arc::make_mut(&mut plan.spec).process.as_mut().unwrap().terminal = true;
    let mut client = stage.attach(&target, BOTH);
    stage.start(plan);
    read_until(&client, "24 80\r\n");
    stage.runtime.resize(&target, TerminalSize { rows: 50, columns: 132 }).unwrap();
    client.write_all(b"stty size\n").unwrap();
    let echoed = read_until(&client, "50 132\r\n");
    assert!(echoed.contains("stty size\r\n"), "{echoed:?}");
    client.write_all(b"exit 3\n").unwrap();
    assert_eq!(stage.exit_of(&target).code, 3);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    stage.runtime.release(&id).unwrap();
}

fn a_slow_reader_gets_every_byte(stage: &Stage) {
    const LENGTH: usize = 10 * 1024 * 1024;
    let id = new_id();
    let target = Target::container(id.clone());
    let mut client = stage.attach(&target, OUTPUT);
    let plan = stage.plan(&id, "dd if=/dev/zero bs=64k count=160 2>/dev/null | tr '\\0' 'x'");
    stage.start(dhow_model::ports::StartPlan { log: LogOptions::default(), ..plan });
    // Reads a little and then waits until the container is stopped by that.
    client.read_exact(&mut [0; 8]).unwrap();
    let (mut received, mut piece) = (8, vec![0; 4096]);
    let mut frames_left = Vec::new();
    while let Ok(length @ 1..) = client.read(&mut piece) {
        received += length;
        frames_left.extend_from_slice(&piece[..length]);
        std::thread::yield_now();
    }
    assert_eq!(frames_left.iter().filter(|byte| **byte == b'x').count(), LENGTH, "of {received}");
    assert_eq!(stage.exit_of(&target).code, 0);
    stage.runtime.release(&id).unwrap();
}

fn a_client_that_vanishes_is_forgotten(stage: &Stage) {
    let id = new_id();
    let target = Target::container(id.clone());
    let stdio = StdioPlan { open_stdin: true, stdin_once: true, ..StdioPlan::default() };
    let client = stage.attach(&target, BOTH);
    let witness = stage.attach(&target, OUTPUT);
    let script = "echo ready; cat; echo on; exit 5";
    stage.start(dhow_model::ports::StartPlan { stdio, ..stage.plan(&id, script) });
    read_until(&client, "ready");
    drop(client);
    let (stdout, _) = frames(&witness);
    assert_eq!(stdout, b"ready\non\n");
    assert_eq!(stage.exit_of(&target).code, 5);
    stage.runtime.release(&id).unwrap();
}

fn the_log_is_rotated_while_it_is_followed(stage: &Stage) {
    let id = new_id();
    let log = json_log(Some(100_000));
    let script = "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done";
    let query = LogQuery { follow: true, ..LogQuery::default() };
    stage.start(dhow_model::ports::StartPlan { log, ..stage.plan(&id, script) });
    let text = String::from_utf8(stage.log(&id, query)).unwrap();
    assert!(text.lines().enumerate().all(|(n, line)| line == format!("line {n}")));
    assert_eq!(text.lines().count(), 5000);
    let rotated = stage.directory.join(format!("containers/{id}/{id}-json.log.2"));
    assert!(std::fs::metadata(rotated).unwrap().len() >= 100_000);
    let tail = stage.log(&id, LogQuery { tail: Some(2), ..LogQuery::default() });
    assert_eq!(tail, b"line 4998\nline 4999\n");
    stage.exit_of(&Target::container(id.clone()));
    stage.runtime.release(&id).unwrap();
}

fn a_program_that_is_not_there(stage: &Stage) {
    let id = new_id();
    for (program, code, words) in [
        ("foo", 127, "exec: \"foo\": executable file not found in $PATH: unknown"),
        ("/etc", 126, "exec: \"/etc\": is a directory: unknown"),
    ] {
        let mut plan = stage.plan(&id, "");
        Arc::make_mut(&mut plan.spec).process.as_mut().unwrap().args = vec![program.into()];
        let failure = stage.runtime.start(plan).unwrap_err();
        let report = failure.error.report();
        assert_eq!(failure.exit_code, code, "{report}");
        assert_eq!(failure.error.kind(), Kind::InvalidArgument);
        assert!(report.starts_with("failed to create task for container: "), "{report}");
        assert!(report.ends_with(words), "{report}");
        assert_eq!(stage.runtime.adopt(&id).unwrap(), Adopted::Gone);
    }
}

fn execs_have_exit_codes_of_their_own(stage: &Stage) {
    let id = new_id();
    let running = stage.start(stage.plan(&id, "exec sleep 1000"));
    let stdio = StdioPlan::default;
    let (target, result) = stage.exec(&id, running.pid, stdio(), &["/bin/sh", "-c", "exit 42"]);
    result.unwrap();
    assert_eq!(stage.exit_of(&target).code, 42);

    let target = exec_target(&id);
    let client = stage.attach(&target, OUTPUT);
    let plan = stage.exec_plan(&target, running.pid, stdio(), &["/bin/sh", "-c", "echo $$; kill -9 $$"]);
    stage.runtime.exec(plan).unwrap();
    assert_eq!(stage.exit_of(&target).code, 137);
    assert!(!frames(&client).0.is_empty());

    let (_, result) = stage.exec(&id, running.pid, stdio(), &["nothing"]);
    let failure = result.unwrap_err();
    assert_eq!(failure.exit_code, 127);
    assert!(failure.error.report().contains("exec: \"nothing\": executable file not found in $PATH"));

    let target = Target::container(id.clone());
    stage.runtime.signal(&target, 9).unwrap();
    assert_eq!(stage.exit_of(&target).code, 137);
    let names: Vec<_> = std::fs::read_dir(stage.directory.join(format!("run/containers/{id}")))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(names.iter().all(|name| name == "exit.json" || name == "state.json"), "{names:?}");
    stage.runtime.release(&id).unwrap();
    let (_, result) = stage.exec(&id, running.pid, stdio(), &["/bin/true"]);
    assert_eq!(result.unwrap_err().error.kind(), Kind::Conflict);
}

/// Starts two containers, says so, and waits to be killed.
pub(crate) fn engine_that_will_be_killed(directory: &Path) {
    let stage = Stage::at(directory);
    let mut ids = String::new();
    for script in ["echo first; cat; echo bye; exit 9", "exit 4"] {
        let id = new_id();
        let stdio = StdioPlan { open_stdin: true, stdin_once: true, ..StdioPlan::default() };
        stage.start(dhow_model::ports::StartPlan { stdio, ..stage.plan(&id, script) });
        ids.push_str(&format!("{id} "));
    }
    println!("{ids}");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn a_killed_engine_leaves_containers_to_the_next(stage: &Stage) {
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args([ENGINE.as_ref(), stage.directory.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut told = std::io::BufReader::new(engine.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut told, &mut line).unwrap();
    engine.kill().unwrap();
    engine.wait().unwrap();
    let ids: Vec<dhow_model::ContainerId> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();

    let running = Target::container(ids[0].clone());
    let adopted = stage.runtime.adopt(&ids[0]).unwrap();
    assert!(matches!(adopted, Adopted::Running(_)), "{adopted:?}");
    let mut client = stage.attach(&running, BOTH);
    client.write_all(b"hello again\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(frames(&client).0, b"hello again\nbye\n");
    assert_eq!(stage.exit_of(&running).code, 9);
    assert_eq!(stage.log(&ids[0], LogQuery::default()), b"first\nhello again\nbye\n");

    let ended = stage.runtime.adopt(&ids[1]).unwrap();
    match ended {
        Adopted::Exited(exit) => assert_eq!(exit.code, 4),
        Adopted::Running(_) => assert_eq!(stage.exit_of(&Target::container(ids[1].clone())).code, 4),
        Adopted::Gone => panic!("the exit record was lost"),
    }
    ids.iter().for_each(|id| stage.runtime.release(id).unwrap());
}

fn a_killed_launcher_is_replaced(stage: &Stage) {
    let (first, second) = (new_id(), new_id());
    let running = stage.start(stage.plan(&first, "exec sleep 1000"));
    let launcher = parent_of(parent_of(running.pid));
    kill(launcher);
    stage.start(stage.plan(&second, "exit 2"));
    assert_eq!(stage.exit_of(&Target::container(second.clone())).code, 2);
    let first_target = Target::container(first.clone());
    stage.runtime.signal(&first_target, 15).unwrap();
    stage.runtime.signal(&first_target, 9).unwrap();
    assert_eq!(stage.exit_of(&first_target).code, 137);
    [first, second].iter().for_each(|id| stage.runtime.release(id).unwrap());
}

fn a_killed_monitor_takes_its_container_with_it(stage: &Stage) {
    let id = new_id();
    let running = stage.start(stage.plan(&id, "exec sleep 1000"));
    kill(parent_of(running.pid));
    let exit = stage.exit_of(&Target::container(id.clone()));
    assert_eq!(exit.code, 137);
    assert!(!Path::new(&format!("/proc/{}", running.pid)).exists() || is_zombie(running.pid));
    assert!(matches!(stage.runtime.adopt(&id).unwrap(), Adopted::Exited(found) if found.code == 137));
    stage.runtime.release(&id).unwrap();
}

/// The number of a process that has ended may be another's at once: whose namespaces would these be?
fn who_joins_one_that_ends_meanwhile(stage: &Stage) {
    let (id, joiner) = (new_id(), new_id());
    let pid = stage.start(stage.plan(&id, "exec sleep 1000")).pid;
    let joining = |hook: Option<String>| {
        let mut plan = stage.plan(&joiner, "true");
        plan.donors = vec![Donor { id: id.clone(), pid }];
        let spec = Arc::make_mut(&mut plan.spec);
        let namespaces = &mut spec.linux.as_mut().unwrap().namespaces;
        let ipc = namespaces.iter_mut().find(|one| one.kind == NamespaceKind::Ipc).unwrap();
        ipc.path = Some(format!("/proc/{pid}/ns/ipc").into());
        if let Some(script) = hook {
            let hooks = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
            spec.hooks = serde_json::from_value(hooks).unwrap();
        }
        stage.runtime.start(plan)
    };
    joining(None).unwrap_or_else(|failure| panic!("{}", failure.error.report()));
    assert_eq!(stage.exit_of(&Target::container(joiner.clone())).code, 0);
    stage.runtime.release(&joiner).unwrap();
    assert!(stage.runtime.lives(&id, pid) && !stage.runtime.lives(&id, pid + 1));

    // All is opened when hooks run, and nothing of the container has run.
    let end = format!("kill -9 {pid}; while [ -e /proc/{pid} ]; do :; done");
    let words = joining(Some(end)).unwrap_err().error.report();
    assert!(words.contains("cannot join the namespaces of a container that has ended"), "{words}");
    assert_eq!(stage.exit_of(&Target::container(id.clone())).code, 137);
    assert!(!stage.runtime.lives(&id, pid));
    let words = joining(None).unwrap_err().error.report();
    assert_eq!(words, format!("container {id} is not running"));
    stage.runtime.release(&joiner).unwrap();
    stage.runtime.release(&id).unwrap();
}

fn a_hundred_start_side_by_side(stage: &Stage) {
    let ids: Vec<_> = (0..100).map(|_| new_id()).collect();
    std::thread::scope(|scope| {
        for part in ids.chunks(10) {
            scope.spawn(move || {
                for id in part {
                    stage.start(stage.plan(id, "echo hi"));
                }
            });
        }
    });
    for _ in &ids {
        let dhow_model::ports::RuntimeEvent::Exited { exit, .. } = stage.next_event() else {
            panic!("not an exit");
        };
        assert_eq!(exit.code, 0);
    }
    for id in &ids {
        assert_eq!(stage.log(id, LogQuery::default()), b"hi\n");
        stage.runtime.release(id).unwrap();
    }
    assert_eq!(std::fs::read_dir(stage.directory.join("run/containers")).unwrap().count(), 0);
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn parent_of(pid: i32) -> i32 {
    stat_field(pid, 1).parse().unwrap()
}

fn is_zombie(pid: i32) -> bool {
    stat_field(pid, 0) == "Z"
}

fn stat_field(pid: i32, index: usize) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
    fields.split(' ').nth(index).unwrap_or_default().to_owned()
}
