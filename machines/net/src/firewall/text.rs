//! A table in nft's own words: to be read by people, and by `nft -f`.

use std::fmt::{self, Write as _};

use super::language::{
    Chain, Element, Family, Field, Hook, Place, Set, Side, Table, Term, Value, Verdict, edge,
};

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "table {} {} {{", self.home.names().1, self.name)?;
        for set in &self.sets {
            self.write_set(set, out)?;
        }
        for chain in &self.chains {
            writeln!(out, "{chain}")?;
        }
        out.write_str("}\n")
    }
}

impl Table {
    fn write_set(&self, set: &Set, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\t{} {} {{", if set.data.is_empty() { "set" } else { "map" }, set.name)?;
        let data = if set.data.is_empty() { String::new() } else { format!(" : {}", types(set.data)) };
        writeln!(out, "\t\ttype {}{data}", types(set.key))?;
        if set.interval {
            out.write_str("\t\tflags interval\n")?;
        }
        let elements = self.elements.iter().filter(|element| element.set == set);
        let elements: Vec<String> = elements.map(ToString::to_string).collect();
        if !elements.is_empty() {
            writeln!(out, "\t\telements = {{ {} }}", elements.join(",\n\t\t\t     "))?;
        }
        out.write_str("\t}\n\n")
    }
}

impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&joined(&self.key, ToString::to_string))?;
        if self.data.is_empty() {
            return Ok(());
        }
        write!(out, " : {}", joined(&self.data, ToString::to_string))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(out, "\"{name}\""),
            Self::Protocol(protocol) => protocol.fmt(out),
            Self::Ports(first, last) if first == last => first.fmt(out),
            Self::Ports(first, last) => write!(out, "{first}-{last}"),
            Self::Address(address) => address.fmt(out),
            Self::Subnet(subnet) => write!(out, "{}/{}", edge(*subnet, false), subnet.prefix),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\tchain {} {{", self.name)?;
        if let Some(hook) = self.hook {
            writeln!(out, "\t\t{hook}")?;
        }
        for rule in &self.rules {
            writeln!(out, "\t\t{}", rule_text(rule))?;
        }
        out.write_str("\t}\n")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Prerouting => "prerouting",
            Place::Input => "input",
            Place::Forward => "forward",
            Place::Output => "output",
            Place::Postrouting => "postrouting",
        };
        write!(out, "type {} hook {place} priority {}; policy accept;", self.kind, self.priority)
    }
}

/// A rule in one line.
pub(super) fn rule_text(rule: &[Term]) -> String {
    joined_by(rule, " ", ToString::to_string)
}

impl fmt::Display for Term {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(family) => {
                write!(out, "meta nfproto {}", if *family == Family::Four { "ipv4" } else { "ipv6" })
            }
            Self::Grouped(Side::Source, group) => write!(out, "iifgroup {group}"),
            Self::Grouped(Side::Destination, group) => write!(out, "oifgroup {group}"),
            Self::NotFrom(name) => write!(out, "iifname != \"{name}\""),
            Self::In(fields, set) => write!(out, "{} @{}", words(fields), set.name),
            Self::Within(field, subnet) => write!(out, "{} {}", field.names().0, Value::Subnet(*subnet)),
            Self::Port(protocol, side, port) => write!(out, "{protocol} {} {port}", side.port_word()),
            Self::SetPort(protocol, side, port) => {
                write!(out, "{protocol} {} set {port}", side.port_word())
            }
            Self::State(state) => write!(out, "ct state {}", state.names().1),
            Self::Untracked => out.write_str("notrack"),
            Self::Translated => out.write_str("ct status dnat"),
            Self::Local => out.write_str("fib daddr type local"),
            Self::Masquerade => out.write_str("masquerade"),
            Self::Translate(side, family, fields, map) => {
                let side = if matches!(side, Side::Source) { "snat" } else { "dnat" };
                let family = if *family == Family::Four { "ip" } else { "ip6" };
                write!(out, "{side} {family} to {} map @{}", words(fields), map.name)
            }
            Self::Copy(family, link, _) => write!(out, "dup to {} device \"{link}\"", family.nobody()),
            Self::Verdict(verdict) => verdict.fmt(out),
        }
    }
}

impl Side {
    const fn port_word(self) -> &'static str {
        match self {
            Self::Source => "sport",
            Self::Destination => "dport",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => out.write_str("accept"),
            Self::Drop => out.write_str("drop"),
            Self::Return => out.write_str("return"),
            Self::Jump(chain) => write!(out, "jump {chain}"),
            Self::Goto(chain) => write!(out, "goto {chain}"),
        }
    }
}

fn types(fields: &[Field]) -> String {
    joined(fields, |field| field.names().1.to_owned())
}

fn words(fields: &[Field]) -> String {
    joined(fields, |field| field.names().0.to_owned())
}

fn joined<T>(parts: &[T], text: impl Fn(&T) -> String) -> String {
    joined_by(parts, " . ", text)
}

fn joined_by<T>(parts: &[T], between: &str, text: impl Fn(&T) -> String) -> String {
    let mut all = String::new();
    for (index, part) in parts.iter().enumerate() {
        let _ = write!(all, "{}{}", if index == 0 { "" } else { between }, text(part));
    }
    all
}
