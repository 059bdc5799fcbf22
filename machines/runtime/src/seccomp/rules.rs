//! A profile's rules, sorted by architecture and number.

use dhow_model::error::{Error, Result};
use dhow_oci::runtime::{Seccomp, SeccompArgument, SeccompRule};

use super::action::Action;
use super::architecture::Architecture;
use super::syscalls::SystemCall;

/// More rules than this no profile has; Docker's has two dozen.
const MOST_RULES: usize = 16_384;

/// What is done with every call of every architecture.
#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    /// What no rule is about.
    pub default: Action,
    /// The native architecture first, each once.
    pub architectures: Vec<Calls>,
    /// Some calls are answered by a listener.
    pub notifies: bool,
}

/// The calls of one architecture.
#[derive(Debug, PartialEq, Eq)]
pub struct Calls {
    /// Which.
    pub architecture: Architecture,
    /// By number, in order.
    pub decisions: Vec<(u32, Decision)>,
    /// Above this number the profile knows nothing, and calls are answered with ENOSYS.
    pub newest: Option<u32>,
}

/// What is done with one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Always the same.
    Always(Action),
    /// The first one that holds, or else the default.
    First(Vec<Alternative>),
}

/// An action if all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// On arguments.
    pub conditions: Vec<Condition>,
    /// What is done.
    pub action: Action,
}

/// A condition on one argument, of which all 64 bits are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u8,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// The operators of profiles, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Equal after all bits but these are cleared.
    MaskedEqual(u64),
}

/// The names of operators in profiles, for `features`.
pub const OPERATORS: [&str; 7] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];

/// A rule in our terms.
struct Rule<'a> {
    calls: Vec<SystemCall>,
    alternatives: Vec<Alternative>,
    source: &'a SeccompRule,
}

impl Policy {
    /// Sorts the rules of a profile.
    ///
    /// # Errors
    /// When a word is unknown or a number out of its range. A name of a system call that is unknown is
    /// none: a profile names calls of newer kernels too.
    pub fn of(seccomp: &Seccomp, native: Architecture) -> Result<Self> {
        let default = Action::parse(&seccomp.default_action, seccomp.default_errno_ret)?;
        if default == Action::NOTIFY {
            return Err(Error::invalid("seccomp: SCMP_ACT_NOTIFY cannot be used as default action"));
        }
        if seccomp.syscalls.len() > MOST_RULES {
            return Err(Error::invalid(format!("seccomp: more than {MOST_RULES} rules")));
        }
        let rules = seccomp.syscalls.iter().map(Rule::parse).collect::<Result<Vec<_>>>()?;
        let mut architectures = vec![native];
        for name in &seccomp.architectures {
            architectures.extend(Architecture::parse(name)?.filter(|each| !architectures.contains(each)));
        }
        let architectures = architectures.into_iter().map(|each| Calls::of(each, &rules, default)).collect();
        let notifies = rules.iter().any(Rule::notifies);
        Ok(Self { default, architectures, notifies })
    }
}

impl<'a> Rule<'a> {
    fn parse(source: &'a SeccompRule) -> Result<Self> {
        let action = Action::parse(&source.action, source.errno_ret)?;
        if action == Action::NOTIFY && source.names.iter().any(|name| name == "write") {
            // Init writes to the process that will pass the listener on, after the filter is in force.
            return Err(Error::invalid("seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall"));
        }
        let conditions = source.args.iter().map(condition).collect::<Result<Vec<_>>>()?;
        let calls = source.names.iter().filter_map(|name| SystemCall::find(name)).collect();
        Ok(Self { calls, alternatives: alternatives(conditions, action), source })
    }

    fn notifies(&self) -> bool {
        self.alternatives.iter().any(|alternative| alternative.action == Action::NOTIFY)
            && !self.source.names.is_empty()
    }
}

/// All conditions together; but where two are on one argument, each for itself.
///
/// So runc and crun do, since libseccomp takes one comparison of an argument in a rule, and profiles are
/// written for them: "not to file 1, not to file 2" are two conditions on one argument.
fn alternatives(conditions: Vec<Condition>, action: Action) -> Vec<Alternative> {
    let arguments = conditions.iter().fold(0u8, |seen, condition| seen | 1 << condition.argument);
    let is_repeated = usize::try_from(arguments.count_ones()) != Ok(conditions.len());
    if is_repeated {
        let alone = |condition| Alternative { conditions: vec![condition], action };
        conditions.into_iter().map(alone).collect()
    } else {
        vec![Alternative { conditions, action }]
    }
}

fn condition(source: &SeccompArgument) -> Result<Condition> {
    let argument = u8::try_from(source.index).ok().filter(|index| *index < 6).ok_or_else(|| {
        Error::invalid(format!("seccomp: index {} of an argument is above 5", source.index))
    })?;
    let comparison = match source.op.as_str() {
        "SCMP_CMP_NE" => Comparison::NotEqual,
        "SCMP_CMP_LT" => Comparison::Less,
        "SCMP_CMP_LE" => Comparison::LessOrEqual,
        "SCMP_CMP_EQ" => Comparison::Equal,
        "SCMP_CMP_GE" => Comparison::GreaterOrEqual,
        "SCMP_CMP_GT" => Comparison::Greater,
        "SCMP_CMP_MASKED_EQ" => {
            let comparison = Comparison::MaskedEqual(source.value);
            return Ok(Condition { argument, comparison, value: source.value_two });
        }
        unknown => return Err(Error::invalid(format!("seccomp: unknown operator {unknown:?}"))),
    };
    Ok(Condition { argument, comparison, value: source.value })
}

/// An alternative of a rule, or what a rule comes to for a collecting call.
enum Found<'a> {
    Rule(&'a Alternative),
    Collected(u64, Action),
}

impl Found<'_> {
    fn always(&self) -> Option<Action> {
        match self {
            Self::Rule(alternative) => alternative.conditions.is_empty().then_some(alternative.action),
            Self::Collected(..) => None,
        }
    }

    fn alternative(&self) -> Alternative {
        match self {
            Self::Rule(alternative) => (*alternative).clone(),
            Self::Collected(which, action) => {
                let condition = Condition { argument: 0, comparison: Comparison::Equal, value: *which };
                Alternative { conditions: vec![condition], action: *action }
            }
        }
    }
}

impl Calls {
    fn of(architecture: Architecture, rules: &[Rule<'_>], default: Action) -> Self {
        let mut found: Vec<(u32, Found<'_>)> = Vec::with_capacity(512);
        let mut newest = None;
        for rule in rules {
            for call in &rule.calls {
                let number = call.number(architecture);
                newest = newest.max(number);
                // What does the same as no rule is none: it must not hide another one.
                let wanted = rule.alternatives.iter().filter(|alternative| alternative.action != default);
                for alternative in wanted {
                    found.extend(number.map(|number| (number, Found::Rule(alternative))));
                    found.extend(collected(*call, architecture, alternative, default));
                }
            }
        }
        // Stable: rules of one call stay in the order of the profile.
        found.sort_by_key(|(number, _)| *number);
        newest = newest.max(found.last().map(|(number, _)| *number));
        let decisions = found.chunk_by(|one, other| one.0 == other.0).map(decide).collect();
        Self { architecture, decisions, newest: newest.filter(|_| !default.is_permissive()) }
    }
}

/// The same rule for the call that collects others on x86.
///
/// Arguments of a collected call are in memory, where no filter can look. A rule with conditions is
/// left out when it would open what the profile closes, and holds without them when it would close.
fn collected<'a>(
    call: SystemCall,
    architecture: Architecture,
    alternative: &Alternative,
    default: Action,
) -> Option<(u32, Found<'a>)> {
    let opens_unseen = !alternative.conditions.is_empty() && !default.is_permissive();
    if architecture != Architecture::X86 || opens_unseen {
        return None;
    }
    let (name, which) = call.multiplexed()?;
    let number = SystemCall::find(name)?.number(Architecture::X86)?;
    Some((number, Found::Collected(which, alternative.action)))
}

fn decide(group: &[(u32, Found<'_>)]) -> (u32, Decision) {
    let decision = match group.iter().find_map(|(_, found)| found.always()) {
        Some(action) => Decision::Always(action),
        None => Decision::First(group.iter().map(|(_, found)| found.alternative()).collect()),
    };
    (group[0].0, decision)
}
