//! The first command starts the engine, and many first commands start one.
//!
//! The command line starts itself again as `dhow daemon`, so this program plays all the parts: the
//! story, the commands, and (by that name) an engine that answers one question.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match arguments.get(1).and_then(|first| first.to_str()) {
        Some("daemon") => engine(&arguments),
        Some(word) if word == "ps" || word.starts_with("__") || word == "--autostart" => {
            dhow_cli::run(arguments.into_iter())
        }
        // The test runner's own arguments.
        _ => {
            many_first_commands_start_one_engine();
            an_engine_that_ends_at_once_is_told_of();
            an_explicit_host_starts_nothing();
            println!("test result: ok. 3 passed");
            ExitCode::SUCCESS
        }
    }
}

/// Listens, writes down that it was started, answers `[]` to a few questions, and ends.
fn engine(arguments: &[OsString]) -> ExitCode {
    if std::env::var_os("REFUSE").is_some() {
        eprintln!("the disk is full");
        return ExitCode::FAILURE;
    }
    let at = arguments.iter().position(|argument| argument == "--host").expect("--host");
    let host = arguments[at + 1].to_str().expect("a host");
    let socket = Path::new(host.strip_prefix("unix://").expect("a unix socket"));
    let mut starts = std::fs::OpenOptions::new();
    let list = socket.with_file_name("starts");
    writeln!(starts.append(true).create(true).open(list).expect("a list"), "started").expect("write");
    // An engine needs its time; the commands have to wait for it.
    std::thread::sleep(Duration::from_millis(100));
    let listener = UnixListener::bind(socket).expect("listen");
    let end = socket.with_file_name("end");
    // The story's folder, and the sign in it, may be gone before this looks.
    while !end.exists() && socket.exists() {
        let (stream, _) = listener.accept().expect("accept");
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
            reader.get_mut().write_all(answer.as_bytes())
        });
    }
    ExitCode::SUCCESS
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env("DHOW_DATA_ROOT", folder.join("data")).env("HOME", folder).env_remove("DOCKER_HOST");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn host(folder: &Path) -> String {
    format!("unix://{}", folder.join("run/dhow.sock").display())
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn many_first_commands_start_one_engine() {
    let folder = tempfile::tempdir().expect("make a folder");
    let start = |_| {
        let mut command = command(folder.path());
        command
            .args(["--autostart", "--host", &host(folder.path()), "ps", "-q"])
            .spawn()
            .expect("start a command")
    };
    let commands: Vec<Child> = (0..8).map(start).collect();
    for command in commands {
        let output = command.wait_with_output().expect("wait");
        assert!(output.status.success(), "{}", words(&output));
    }
    let starts = std::fs::read_to_string(folder.path().join("run/starts")).expect("the list");
    std::fs::write(folder.path().join("run/end"), "").expect("end the engine");
    let _ = std::os::unix::net::UnixStream::connect(folder.path().join("run/dhow.sock"));
    assert_eq!(starts, "started\n");
}

fn an_engine_that_ends_at_once_is_told_of() {
    let folder = tempfile::tempdir().expect("make a folder");
    let mut command = command(folder.path());
    command.env("REFUSE", "1").args(["--autostart", "--host", &host(folder.path()), "ps"]);
    let output = command.output().expect("run a command");
    assert_eq!(output.status.code(), Some(1));
    let words = words(&output);
    assert!(words.contains("the engine did not start") && words.contains("the disk is full"), "{words}");
}

fn an_explicit_host_starts_nothing() {
    let folder = tempfile::tempdir().expect("make a folder");
    let mut command = command(folder.path());
    let output = command.env("DOCKER_HOST", host(folder.path())).arg("ps").output().expect("run a command");
    let expected = format!(
        "Cannot connect to the Docker daemon at {}. Is the docker daemon running?\n",
        host(folder.path())
    );
    assert_eq!((output.status.code(), words(&output)), (Some(1), expected));
    assert!(!folder.path().join("run").exists());
}
