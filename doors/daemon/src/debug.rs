//! `dhow debug trace start`: where the time of a start goes, step by step.
//!
//! An engine of its own, in a directory of its own, runs a container some times; all its processes leave
//! marks on their way ([`dhow_sys::trace`]), and the marks of all rounds are put side by side. What is
//! measured is the very way that every start takes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use dhow_sys::trace;

/// The step with which a round begins.
const FIRST: &str = "create asked";

/// Rounds that only warm caches.
const WARM: usize = 2;

/// What a bare prototype takes for the same (µs, ARCHITECTURE.md): the kernel's own part.
const LIMITS: &[(&str, u32)] = &[
    ("cgroup made", 275),
    ("process made", 490),
    ("in its cgroup", 56),
    ("root mounted", 80),
    ("mounts made", 132),
    ("root filled", 109),
    ("root entered", 58),
    ("identity assumed", 26),
    ("executes", 126),
    ("end seen", 130),
    ("cgroup removed", 127),
];

/// Tools for whoever works on Dhow.
#[derive(Parser)]
#[command(name = "dhow debug")]
enum Debug {
    /// Where time goes.
    #[command(subcommand)]
    Trace(Trace),
}

#[derive(clap::Subcommand)]
enum Trace {
    /// The steps of a start: `run --rm` in an engine of its own.
    Start {
        /// The network that it is in. An engine that is to make one belongs into a namespace of networks of its own
        /// (`unshare --net`): it makes this machine a router.
        #[arg(long, default_value = "none")]
        network: String,
        /// How often.
        #[arg(long, default_value_t = 30)]
        rounds: usize,
        /// Fails where a step takes more than so many times its limit even at its best, or is not seen at all.
        #[arg(long, value_name = "TIMES")]
        most: Option<u32>,
    },
}

/// Runs the command; `arguments` begin after `dhow debug`.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match Debug::try_parse_from(std::iter::once("dhow debug".into()).chain(arguments)) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * 125);
        }
    };
    let Debug::Trace(Trace::Start { network, rounds, most }) = command;
    match trace_start(&network, rounds, most) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dhow debug: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn trace_start(network: &str, rounds: usize, most: Option<u32>) -> Result<()> {
    let bench = Bench::start()?;
    let image = bench.image()?;
    if !matches!(network, "none" | "host" | "bridge") {
        bench.dhow(&["network", "create", network])?;
    }
    for _ in 0..rounds + WARM {
        bench.dhow(&["run", "--rm", "--network", network, &image])?;
    }
    let marks = std::fs::read_to_string(bench.marks()).context("read the marks")?;
    drop(bench);
    let steps = rounds_of(&marks);
    print(&steps);
    most.map_or(Ok(()), |most| hold(&steps, most))
}

/// On a busy machine a median says nothing, and the least of many rounds is some times that of a quiet one. What is
/// far beyond that is no noise: a wait for the disk, for a grace period of the kernel, for another process.
fn hold(steps: &Steps, most: u32) -> Result<()> {
    let mut broken = Vec::new();
    for (name, limit) in LIMITS {
        let times = steps.iter().find(|(step, _)| step == name).map(|(_, times)| times);
        match times.and_then(|times| times.iter().min()) {
            None => broken.push(format!("{name} is not seen")),
            Some(least) if *least > limit * most => broken.push(format!("{name} takes {least} µs at least")),
            Some(_) => {}
        }
    }
    ensure!(broken.is_empty(), "more than {most} times the limit: {}", broken.join(", "));
    Ok(())
}

/// An engine that leaves marks, and its directory; both go with the value.
struct Bench {
    directory: PathBuf,
    program: PathBuf,
    engine: Child,
}

impl Bench {
    fn start() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("dhow-debug-{}", std::process::id()));
        std::fs::create_dir(&directory).with_context(|| format!("make {}", directory.display()))?;
        let program = std::env::current_exe().context("find our own program")?;
        let path = |name: &str| directory.join(name);
        let engine = Command::new(&program)
            .arg("daemon")
            .args([
                OsString::from("--data-root"),
                path("data").into(),
                "--exec-root".into(),
                path("run").into(),
            ])
            .args([OsString::from("--pidfile"), path("pid").into(), "-H".into(), host(&directory).into()])
            .env(trace::VARIABLE, path("marks"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("log"))?)
            .spawn()
            .context("start an engine")?;
        let mut bench = Self { directory, program, engine };
        bench.wait()?;
        Ok(bench)
    }

    fn wait(&mut self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(self.directory.join("socket")).is_err() {
            let ended = self.engine.try_wait()?.is_some() || Instant::now() > end;
            ensure!(!ended, "the engine does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn marks(&self) -> PathBuf {
        self.directory.join("marks")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// An image of nothing but this program.
    fn image(&self) -> Result<String> {
        let empty = self.directory.join("empty.tar");
        std::fs::write(&empty, [0; 1024])?;
        let nothing = self.dhow(&["import", &empty.to_string_lossy()])?;
        let container = self.dhow(&["create", &nothing, "/dhow"])?;
        self.dhow(&["cp", &self.program.to_string_lossy(), &format!("{container}:/dhow")])?;
        self.dhow(&["commit", "--change", r#"CMD ["/dhow", "--version"]"#, &container])
    }

    fn dhow(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(words).env("DOCKER_HOST", host(&self.directory));
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("dhow {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.engine.id()).unwrap_or(0)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.engine.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn host(directory: &Path) -> String {
    format!("unix://{}/socket", directory.display())
}

/// What one step took in each round, in µs, in the order in which the steps come.
type Steps = Vec<(String, Vec<u32>)>;

/// Puts the marks of all rounds side by side; a step is as long as the time since the mark before it.
fn rounds_of(marks: &str) -> Steps {
    let mut marks: Vec<(u64, &str)> = marks.lines().filter_map(parse).collect();
    marks.sort_unstable();
    let starts: Vec<usize> =
        marks.iter().enumerate().filter(|(_, (_, step))| *step == FIRST).map(|(index, _)| index).collect();
    // The image's container is created first, and is no round; the first rounds warm caches.
    let counted = starts.windows(2).skip(1 + WARM).map(|pair| &marks[pair[0]..pair[1]]);
    let mut steps: Steps = Vec::new();
    for round in counted {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for pair in round.windows(2) {
            let (took, step) = (pair[1].0 - pair[0].0, pair[1].1);
            let times = seen.entry(step).or_default();
            *times += 1;
            let name = if *times == 1 { step.to_owned() } else { format!("{step} ({times})") };
            let took = u32::try_from(took / 1000).unwrap_or(u32::MAX);
            match steps.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(took),
                None => steps.push((name, vec![took])),
            }
        }
    }
    steps
}

/// `<ns> <pid> <step>`.
fn parse(line: &str) -> Option<(u64, &str)> {
    let (nanoseconds, rest) = line.split_once(' ')?;
    let (_, step) = rest.split_once(' ')?;
    Some((nanoseconds.parse().ok()?, step))
}

fn print(steps: &Steps) {
    println!("{:<24} {:>8} {:>8} {:>8}", "STEP", "LEAST", "MEDIAN", "LIMIT");
    let mut sums = [0, 0];
    for (step, times) in steps {
        let mut times = times.clone();
        times.sort_unstable();
        let (least, median) = (times[0], times[times.len() / 2]);
        sums[0] += least;
        sums[1] += median;
        let limit = LIMITS.iter().find(|(name, _)| name == step).map(|(_, limit)| limit.to_string());
        println!("{step:<24} {least:>8} {median:>8} {:>8}", limit.unwrap_or_default());
    }
    println!("{:<24} {:>8} {:>8}   µs", "sum", sums[0], sums[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_waits_breaks_its_limit_and_noise_does_not() {
        let all = |least| {
            LIMITS.iter().map(|(name, limit)| ((*name).into(), vec![90_000, limit * least])).collect()
        };
        hold(&all(10), 10).unwrap();
        let broken = hold(&all(11), 10).unwrap_err().to_string();
        assert!(broken.contains("in its cgroup takes 616 µs at least"), "{broken}");
        assert!(hold(&Vec::new(), 10).unwrap_err().to_string().contains("executes is not seen"));
    }

    #[test]
    fn steps_of_all_rounds_are_put_side_by_side() {
        let round = |at: u64| {
            format!(
                "{at}000 1 {FIRST}\n{}000 2 born\n{}000 1 record written\n{}000 1 record written\n",
                at + 5,
                at + 7,
                at + 8
            )
        };
        // A round to make the image, two to warm caches, two that count, and one that has not ended.
        let marks: String = (0..6).map(|number| round(1000 * number)).collect();
        let steps = rounds_of(&marks);
        let expected: Vec<(String, Vec<u32>)> = vec![
            ("born".into(), vec![5, 5]),
            ("record written".into(), vec![2, 2]),
            ("record written (2)".into(), vec![1, 1]),
        ];
        assert_eq!(steps, expected);
    }
}
