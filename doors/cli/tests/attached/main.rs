//! A command that stays with its container: input and output, the terminal, signals, leaving.
//!
//! The commands run as processes of their own against an engine that is played here, because what is
//! tested is what a process does to its terminal and how it ends. This program is both.

mod engine;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitCode, Stdio};

use engine::{Engine, Script};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "--host") {
        return dhow_cli::run(arguments.into_iter());
    }
    input_flows_in_and_both_outputs_flow_out();
    a_user_who_leaves_gets_the_terminal_back();
    the_terminal_is_given_back_when_the_container_ends();
    signals_reach_the_container();
    a_container_that_does_not_start_has_docker_s_status();
    println!("test result: ok. 5 passed");
    ExitCode::SUCCESS
}

fn command(engine: &Engine, words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--host", &engine.host]).args(words).env("HOME", engine.folder());
    command
}

fn input_flows_in_and_both_outputs_flow_out() {
    let engine = Engine::start(Script { status: 7, ..Script::default() });
    let mut child = command(&engine, &["run", "-i", "busybox"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start a command");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(b"hello").expect("write");
    drop(input);
    let output = child.wait_with_output().expect("wait");
    // The engine says what it got, after it saw the end of the input.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got hello");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "and its end");
    assert_eq!(output.status.code(), Some(7));
}

/// A terminal, and a command in it.
struct Terminal {
    user: std::fs::File,
    program: OwnedFd,
}

impl Terminal {
    fn open() -> Terminal {
        let user =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&user).expect("grant");
        unlockpt(&user).expect("unlock");
        let name = ptsname(&user, Vec::new()).expect("its name");
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let program = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).expect("its other end");
        let size = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program, size).expect("its size");
        Terminal { user: user.into(), program }
    }

    fn spawn(&self, mut command: Command) -> Child {
        let end = || self.program.try_clone().expect("a copy");
        command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("start a command")
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.program).expect("its modes").local_modes.contains(LocalModes::ECHO)
    }

    fn read_until(&mut self, words: &str) -> String {
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        while !String::from_utf8_lossy(&seen).contains(words) {
            let count = self.user.read(&mut buffer).expect("read the terminal");
            seen.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }
}

fn a_user_who_leaves_gets_the_terminal_back() {
    let engine = Engine::start(Script { tty: true, ..Script::default() });
    let mut terminal = Terminal::open();
    assert!(terminal.echoes());
    let mut child = terminal.spawn(command(&engine, &["run", "-it", "busybox"]));
    terminal.read_until("ready");
    engine.wait_for("resize?h=33&w=77");
    assert!(!terminal.echoes(), "the container's terminal echoes, not this one");
    terminal.user.write_all(b"ls\r").expect("type");
    terminal.read_until("got ls\r");
    terminal.user.write_all(&[16]).expect("type");
    terminal.user.write_all(&[17]).expect("type");
    assert_eq!(child.wait().expect("wait").code(), Some(0));
    assert!(terminal.echoes());
}

fn the_terminal_is_given_back_when_the_container_ends() {
    let engine = Engine::start(Script { tty: true, status: 3, ..Script::default() });
    let mut terminal = Terminal::open();
    // Whatever the modes were before, these come back.
    let mut modes = tcgetattr(&terminal.program).expect("its modes");
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal.program, OptionalActions::Now, &modes).expect("set modes");
    let mut child = terminal.spawn(command(&engine, &["run", "--rm", "-it", "busybox"]));
    terminal.read_until("ready");
    terminal.user.write_all(b"exit").expect("type");
    assert_eq!(child.wait().expect("wait").code(), Some(3));
    let after = tcgetattr(&terminal.program).expect("its modes");
    assert_eq!(after.local_modes, modes.local_modes);
    assert!(engine.was_asked("wait?condition=removed"));
}

fn signals_reach_the_container() {
    let engine = Engine::start(Script::default());
    let mut child =
        command(&engine, &["run", "busybox"]).stdout(Stdio::piped()).spawn().expect("start a command");
    let mut output = child.stdout.take().expect("its output");
    let mut ready = [0; 5];
    output.read_exact(&mut ready).expect("read");
    // Handlers are in place before the first output is copied.
    kill_process(Pid::from_child(&child), Signal::TERM).expect("send a signal");
    engine.wait_for("kill?signal=TERM");
    assert_eq!(child.wait().expect("wait").code(), Some(143));
}

fn a_container_that_does_not_start_has_docker_s_status() {
    for (words, status) in [
        ("exec: \"nope\": executable file not found in $PATH", 127),
        ("exec: \"/etc\": permission denied", 126),
        ("no space left on device", 125),
    ] {
        let engine = Engine::start(Script { refusal: Some(words), ..Script::default() });
        let output =
            command(&engine, &["run", "busybox"]).stdin(Stdio::null()).output().expect("run a command");
        let expected = format!(
            "dhow: Error response from daemon: {words}\n\nRun 'dhow run --help' for more information\n"
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(status), "{words}");
    }
}
