//! Whether and when a container that ended is started again (pure).

use std::time::Duration;

use dhow_model::container::{Intent, RestartPolicy, State};
use dhow_model::{Container, Error, Result};

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60);
/// Who ran so long is no longer one that ends again and again.
const SETTLED: Duration = Duration::from_secs(10);

/// How long the starts of one container are held back: it doubles from end to end.
///
/// It is kept in memory: a new engine begins anew with each container that it finds, as Docker's does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backoff(Option<Duration>);

impl Backoff {
    /// The next one, of a container that ran for `ran`.
    pub(crate) fn after(self, ran: Duration) -> Self {
        let last = self.0.filter(|_| ran < SETTLED);
        Self(Some(last.map_or(FIRST, |last| (last * 2).min(LONGEST))))
    }

    /// How long to wait.
    pub(crate) fn wait(self) -> Duration {
        self.0.unwrap_or(FIRST)
    }
}

/// Whether a container whose process has just ended with `code` is started again.
pub(crate) fn starts_again(container: &Container, intent: Intent, code: i32) -> bool {
    let policy = &container.host_config.restart_policy;
    if intent.ends {
        return false;
    }
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !intent.stopped,
        "on-failure" => code != 0 && has_retries(policy, container.restart_count),
        _ => false,
    }
}

/// Whether a new engine starts a container that does not run.
///
/// As Docker means it: `always` is also for those that somebody stopped, and nothing is started that never
/// ran. A start that the last engine owed is made good.
pub(crate) fn starts_at_boot(container: &Container) -> bool {
    let policy = &container.host_config.restart_policy;
    let code = match &container.state {
        State::Restarting(_) => return true,
        State::Exited(exit) => exit.code,
        State::Created { .. } | State::Running(_) | State::Paused(_) | State::Removing => return false,
    };
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !container.intent.stopped,
        "on-failure" => {
            code != 0 && !container.intent.stopped && has_retries(policy, container.restart_count)
        }
        _ => false,
    }
}

/// No number means no limit.
fn has_retries(policy: &RestartPolicy, count: u32) -> bool {
    policy.maximum_retry_count == 0 || i64::from(count) < policy.maximum_retry_count
}

/// Whether there is a policy that could start it.
pub(crate) fn is_set(policy: &RestartPolicy) -> bool {
    !matches!(policy.name.as_str(), "" | "no")
}

/// Checks a policy.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(crate) fn check(policy: &RestartPolicy) -> Result<()> {
    let wrong = |what: String| Err(Error::invalid(format!("invalid restart policy: {what}")));
    let count = policy.maximum_retry_count;
    match policy.name.as_str() {
        "" => Ok(()),
        "always" | "unless-stopped" | "no" if count < 0 => {
            wrong("maximum retry count can only be used with 'on-failure' and cannot be negative".into())
        }
        "always" | "unless-stopped" | "no" if count > 0 => {
            wrong("maximum retry count can only be used with 'on-failure'".into())
        }
        "on-failure" if count < 0 => wrong("maximum retry count cannot be negative".into()),
        "always" | "unless-stopped" | "no" | "on-failure" => Ok(()),
        other => wrong(format!(
            "unknown policy '{}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            crate::registry::shorten(other)
        )),
    }
}

#[cfg(test)]
mod tests {
    use dhow_model::container::{Exit, HostConfig};
    use dhow_model::{ContainerId, Timestamp};

    use super::*;

    const HANDS_OFF: Intent = Intent { stopped: false, ends: false };
    const STOPPED: Intent = Intent { stopped: true, ends: true };
    const SIGNALLED: Intent = Intent { stopped: true, ends: false };

    fn container(policy: &str, state: State) -> Container {
        let (name, most) = policy.split_once(':').unwrap_or((policy, "0"));
        let restart_policy = RestartPolicy { name: name.into(), maximum_retry_count: most.parse().unwrap() };
        Container {
            id: ContainerId::from_random([1; 32]),
            name: "one".parse().unwrap(),
            created: Timestamp::NEVER,
            image: None,
            image_name: String::new(),
            platform: None,
            config: dhow_model::container::Config::default(),
            host_config: HostConfig { restart_policy, ..HostConfig::default() }.into(),
            mounts: Vec::new(),
            state,
            restart_count: 2,
            intent: HANDS_OFF,
            limits_pending: false,
            user_map: None,
            health: None,
            networks: std::collections::BTreeMap::new(),
        }
    }

    fn exited(code: i32) -> State {
        State::Exited(Exit { code, ..Exit::default() })
    }

    #[test]
    fn waits_double_to_a_minute_and_begin_anew_after_ten_seconds() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            backoff = backoff.after(Duration::from_secs(9));
            waits.push(backoff.wait().as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert_eq!(backoff.after(SETTLED).wait(), FIRST);
    }

    #[test]
    fn the_policy_decides_on_each_end() {
        for (policy, intent, code, again) in [
            ("no", HANDS_OFF, 1, false),
            ("", HANDS_OFF, 1, false),
            ("always", HANDS_OFF, 0, true),
            ("always", SIGNALLED, 0, true),
            ("always", STOPPED, 0, false),
            ("unless-stopped", HANDS_OFF, 0, true),
            ("unless-stopped", SIGNALLED, 0, false),
            ("unless-stopped", STOPPED, 0, false),
            ("on-failure", HANDS_OFF, 0, false),
            ("on-failure", HANDS_OFF, 1, true),
            ("on-failure", STOPPED, 137, false),
            ("on-failure:3", HANDS_OFF, 1, true),
            ("on-failure:2", HANDS_OFF, 1, false),
        ] {
            let found = starts_again(&container(policy, exited(code)), intent, code);
            assert_eq!(found, again, "{policy} {intent:?} {code}");
        }
    }

    #[test]
    fn a_new_engine_starts_what_should_run() {
        for (policy, stopped, state, starts) in [
            ("no", false, exited(255), false),
            ("always", false, exited(0), true),
            ("always", true, exited(0), true),
            ("always", false, State::created(), false),
            ("unless-stopped", false, exited(255), true),
            ("unless-stopped", true, exited(255), false),
            ("on-failure", false, exited(255), true),
            ("on-failure", false, exited(0), false),
            ("on-failure", true, exited(137), false),
            ("on-failure:2", false, exited(1), false),
            ("on-failure:2", false, State::Restarting(Exit::default()), true),
            ("always", false, State::Removing, false),
        ] {
            let mut container = container(policy, state);
            container.intent.stopped = stopped;
            assert_eq!(starts_at_boot(&container), starts, "{policy} {stopped} {:?}", container.state);
        }
    }

    #[test]
    fn a_wrong_policy_is_refused_in_dockers_words() {
        let policy =
            |name: &str, maximum_retry_count| RestartPolicy { name: name.into(), maximum_retry_count };
        for good in [policy("", 7), policy("no", 0), policy("on-failure", 3), policy("unless-stopped", 0)] {
            assert!(check(&good).is_ok(), "{good:?}");
        }
        for (wrong, words) in [
            (policy("always", 3), "maximum retry count can only be used with 'on-failure'"),
            (
                policy("no", -1),
                "maximum retry count can only be used with 'on-failure' and cannot be negative",
            ),
            (policy("on-failure", -1), "maximum retry count cannot be negative"),
            (
                policy("never", 0),
                "unknown policy 'never'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            ),
        ] {
            let error = check(&wrong).unwrap_err().to_string();
            assert_eq!(error, format!("invalid restart policy: {words}"));
        }
    }
}
