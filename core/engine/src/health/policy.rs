//! When a container is probed and what a probe means (pure).

use std::time::Duration;

use dhow_model::container::{Config, Health, HealthAction, HealthStatus, Probe};
use dhow_model::{Error, Result, duration};
use dhow_oci::image::Healthcheck;

/// Times and numbers where nobody says, as Docker has them.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// The shortest time that may be asked for, in nanoseconds.
const SHORTEST: i64 = 1_000_000;
/// Probes that are remembered.
const REMEMBERED: usize = 5;
/// Bytes of a probe's output that are kept.
const OUTPUT: usize = 4096;
/// The label that says what is done when a container becomes unhealthy.
const ACTION: &str = "dhow.health-on-failure";
/// What is put behind output that was cut.
const CUT: &str = "...";

/// How a container is probed, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    interval: Duration,
    /// How long one probe may take.
    pub(crate) timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
    /// What is done when it becomes unhealthy.
    pub(crate) on_failure: HealthAction,
}

impl Check {
    /// The check of a container; none where nothing is to be probed.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let check = config.healthcheck.as_ref()?;
        let (kind, words) = check.test.as_deref()?.split_first()?;
        let shell = || config.shell.clone().filter(|shell| !shell.is_empty());
        let command = match kind.as_str() {
            "CMD" => words.to_vec(),
            "CMD-SHELL" => {
                let shell = shell().unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                shell.into_iter().chain(words.iter().cloned()).collect()
            }
            _ => return None,
        };
        let time = |nanos: i64, else_: Duration| match u64::try_from(nanos) {
            Ok(nanos @ 1..) => Duration::from_nanos(nanos),
            _ => else_,
        };
        Some(Self {
            command,
            interval: time(check.interval, INTERVAL),
            timeout: time(check.timeout, TIMEOUT),
            start_period: time(check.start_period, Duration::ZERO),
            start_interval: time(check.start_interval, START_INTERVAL),
            retries: u32::try_from(check.retries).ok().filter(|retries| *retries > 0).unwrap_or(RETRIES),
            on_failure: action(config).unwrap_or_default(),
        })
    }

    /// The health of a container that was just started; what was found before stays in the log.
    pub(crate) fn begun(before: Option<Health>) -> Health {
        let log = before.map(|health| health.log).unwrap_or_default();
        Health { status: HealthStatus::Starting, failing_streak: 0, log }
    }

    /// Time to the next probe of a container that has run for `ran`.
    pub(crate) fn wait(&self, status: HealthStatus, ran: Duration) -> Duration {
        if status == HealthStatus::Starting && ran < self.start_period {
            self.start_interval
        } else {
            self.interval
        }
    }

    /// What a probe that began `after` the container's start makes of its health.
    pub(crate) fn judge(&self, health: &Health, probe: Probe, after: Duration) -> Health {
        let mut health = health.clone();
        if probe.exit_code == 0 {
            health.failing_streak = 0;
            health.status = HealthStatus::Healthy;
        } else if health.status != HealthStatus::Starting || after >= self.start_period {
            health.failing_streak = health.failing_streak.saturating_add(1);
            if health.failing_streak >= self.retries {
                health.status = HealthStatus::Unhealthy;
            }
        }
        health.log.push(probe);
        let more = health.log.len().saturating_sub(REMEMBERED);
        health.log.drain(..more);
        health
    }
}

/// What a probe that took too long is remembered with.
pub(crate) fn too_long(timeout: Duration, output: &str) -> String {
    let length = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
    let words = format!("Health check exceeded timeout ({})", duration::in_go(length));
    if output.is_empty() { words } else { format!("{words}: {output}") }
}

/// What a program writes, both of its outputs in Docker's stream format: the first bytes of it are kept.
#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Vec<u8>,
    is_cut: bool,
    header: Vec<u8>,
    left_of_frame: usize,
}

impl Output {
    /// Takes a piece of the stream, however it is cut.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left_of_frame == 0 {
                let (byte, rest) = (bytes[0], &bytes[1..]);
                self.header.push(byte);
                bytes = rest;
                if let [_, _, _, _, a, b, c, d] = *self.header.as_slice() {
                    self.left_of_frame = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(0);
                    self.header.clear();
                }
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(self.left_of_frame));
            self.left_of_frame -= piece.len();
            let room = OUTPUT - self.kept.len();
            self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
            self.is_cut |= piece.len() > room;
            bytes = rest;
        }
    }

    /// The text that is remembered.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        if self.is_cut { format!("{text}{CUT}") } else { text.into_owned() }
    }
}

/// What is done when it becomes unhealthy: a setting of its own, or a label, for clients that have no flag
/// for it.
fn action(config: &Config) -> Option<HealthAction> {
    match config.healthcheck_on_failure_action {
        HealthAction::None => config.labels.get(ACTION).map_or(Some(HealthAction::None), |word| {
            HealthAction::ALL.into_iter().find(|action| action.word() == word)
        }),
        action => Some(action),
    }
}

/// Checks what a client asks for.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(crate) fn check(config: &Config) -> Result<()> {
    if action(config).is_none() {
        let word = config.labels.get(ACTION).map(|word| crate::registry::shorten(word)).unwrap_or_default();
        return Err(Error::invalid(format!(
            "invalid label {ACTION}={word}: use one of none, restart, stop, kill"
        )));
    }
    config.healthcheck.as_ref().map_or(Ok(()), times)
}

fn times(check: &Healthcheck) -> Result<()> {
    for (name, nanos) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if nanos != 0 && nanos < SHORTEST {
            return Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dhow_model::Timestamp;

    use super::*;

    fn config(test: &[&str]) -> Config {
        let test = Some(test.iter().map(|word| (*word).to_owned()).collect());
        let healthcheck = Healthcheck {
            test,
            interval: 20_000_000_000,
            start_period: 10_000_000_000,
            start_interval: 1_000_000_000,
            retries: 2,
            ..Healthcheck::default()
        };
        Config { healthcheck: Some(healthcheck), ..Config::default() }
    }

    fn probe(exit_code: i32) -> Probe {
        let (start, end) = (Timestamp::NEVER, Timestamp::NEVER);
        Probe { start, end, exit_code, output: exit_code.to_string() }
    }

    #[test]
    fn what_is_run_is_a_program_or_a_line_for_the_shell() {
        let command = |config: &Config| Check::of(config).map(|check| check.command.join(" "));
        assert_eq!(command(&config(&["CMD", "a", "b"])).as_deref(), Some("a b"));
        assert_eq!(command(&config(&["CMD-SHELL", "a b"])).as_deref(), Some("/bin/sh -c a b"));
        let shell = Some(vec!["/bin/ash".into(), "-ec".into()]);
        let own = Config { shell, ..config(&["CMD-SHELL", "a b"]) };
        assert_eq!(command(&own).as_deref(), Some("/bin/ash -ec a b"));
        for none in [config(&["NONE"]), config(&[]), config(&["OTHER", "x"]), Config::default()] {
            assert_eq!(command(&none), None);
        }
    }

    #[test]
    fn it_is_probed_often_until_it_is_up_and_seldom_after() {
        let check = Check::of(&config(&["CMD", "true"])).unwrap();
        let seconds = |status, ran| check.wait(status, Duration::from_secs(ran)).as_secs();
        assert_eq!(seconds(HealthStatus::Starting, 3), 1);
        assert_eq!(seconds(HealthStatus::Starting, 10), 20);
        assert_eq!(seconds(HealthStatus::Healthy, 3), 20);
    }

    #[test]
    fn failures_count_after_the_start_period_or_the_first_success() {
        let check = Check::of(&config(&["CMD", "true"])).unwrap();
        for (probes, status, streak) in [
            (&[(1, 1), (1, 2), (1, 9)][..], HealthStatus::Starting, 0),
            (&[(1, 1), (1, 11)], HealthStatus::Starting, 1),
            (&[(1, 11), (1, 12)], HealthStatus::Unhealthy, 2),
            (&[(0, 1), (1, 2)], HealthStatus::Healthy, 1),
            (&[(0, 1), (1, 2), (-1, 3)], HealthStatus::Unhealthy, 2),
            (&[(1, 11), (1, 12), (0, 13)], HealthStatus::Healthy, 0),
        ] {
            let judge = |health: Health, (code, after): &(i32, u64)| {
                check.judge(&health, probe(*code), Duration::from_secs(*after))
            };
            let health = probes.iter().fold(Check::begun(None), judge);
            assert_eq!((health.status, health.failing_streak), (status, streak), "{probes:?}");
        }
    }

    #[test]
    fn five_probes_are_remembered() {
        let check = Check::of(&config(&["CMD", "true"])).unwrap();
        let health = (1..=7).fold(Check::begun(None), |health, code| {
            check.judge(&health, probe(code), Duration::from_secs(60))
        });
        let kept: Vec<&str> = health.log.iter().map(|probe| probe.output.as_str()).collect();
        assert_eq!(kept, ["3", "4", "5", "6", "7"]);
        assert_eq!(Check::begun(Some(health)).log.len(), 5);
    }

    #[test]
    fn output_is_taken_out_of_its_frames_however_they_are_cut() {
        let frame = |stream: u8, text: &[u8]| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[stream, 0, 0, 0][..], &length, text].concat()
        };
        let stream = [frame(1, b"one "), frame(2, b""), frame(2, b"two")].concat();
        for size in 1..=stream.len() {
            let mut output = Output::default();
            stream.chunks(size).for_each(|piece| output.take(piece));
            assert_eq!(output.text(), "one two", "{size}");
        }
        let mut output = Output::default();
        output.take(&frame(1, &[b'x'; OUTPUT + 1]));
        assert_eq!(output.text().len(), OUTPUT + CUT.len());
        assert!(output.text().ends_with("x..."));
    }

    #[test]
    fn a_probe_that_takes_too_long_says_so_as_go_does() {
        for (millis, words) in [
            (1, "1ms"),
            (500, "500ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
        ] {
            let words = format!("Health check exceeded timeout ({words})");
            assert_eq!(too_long(Duration::from_millis(millis), ""), words);
            assert_eq!(too_long(Duration::from_millis(millis), "hi"), format!("{words}: hi"));
        }
    }

    #[test]
    fn wrong_checks_are_refused_in_dockers_words() {
        let short = Healthcheck { start_interval: 999_999, ..Healthcheck::default() };
        let words = "StartInterval in Healthcheck cannot be less than 1ms";
        assert_eq!(times(&short).unwrap_err().to_string(), words);
        let negative = Healthcheck { retries: -1, ..Healthcheck::default() };
        assert_eq!(times(&negative).unwrap_err().to_string(), "Retries in Healthcheck cannot be negative");
        assert!(times(&Healthcheck::default()).is_ok());
        let labelled =
            |word: &str| Config { labels: [(ACTION.into(), word.into())].into(), ..Config::default() };
        assert!(check(&labelled("kill")).is_ok());
        assert!(check(&labelled("explode")).unwrap_err().to_string().contains("use one of none, restart"));
    }
}
