//! What the functions of templates take: how many arguments, and of which types.

use super::literals::Number;
use super::nodes::Value;

/// Functions of the language itself.
pub(super) const BUILT_IN: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];

/// A type that a function asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Any,
    Text,
    Texts,
    Integer,
}

/// What a function takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    types: &'static [Type],
    /// More of the last type may come.
    open: bool,
}

const SIGNATURES: &[(&[&str], Signature)] = &[
    (&["and", "or", "index", "slice", "call", "eq"], open(&[Type::Any])),
    (&["not", "len", "json"], exactly(&[Type::Any])),
    (&["ne", "lt", "le", "gt", "ge"], exactly(&[Type::Any, Type::Any])),
    (&["title", "lower", "upper"], exactly(&[Type::Text])),
    (&["split"], exactly(&[Type::Text, Type::Text])),
    (&["join"], exactly(&[Type::Texts, Type::Text])),
    (&["pad"], exactly(&[Type::Text, Type::Integer, Type::Integer])),
    (&["truncate"], exactly(&[Type::Text, Type::Integer])),
    (&["printf"], open(&[Type::Text])),
    (&["print", "println", "html", "js", "urlquery"], open(&[])),
];

const fn exactly(types: &'static [Type]) -> Signature {
    Signature { types, open: false }
}

const fn open(types: &'static [Type]) -> Signature {
    Signature { types, open: true }
}

/// What a function takes, if it is known.
pub(super) fn signature(name: &str) -> Option<Signature> {
    SIGNATURES.iter().find(|(names, _)| names.contains(&name)).map(|(_, signature)| *signature)
}

/// Functions that are told where they are called, because they say what is wrong with values.
pub(super) fn is_told(name: &str) -> bool {
    matches!(
        name,
        "index" | "slice" | "len" | "call" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "pad" | "truncate"
    )
}

impl Signature {
    /// What is wrong with so many arguments.
    pub(super) fn refusal(&self, name: &str, count: usize) -> Option<String> {
        let want = self.types.len();
        match count.cmp(&want) {
            std::cmp::Ordering::Less if self.open => {
                Some(format!("wrong number of args for {name}: want at least {want} got {count}"))
            }
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater if self.open => None,
            _ => Some(format!("wrong number of args for {name}: want {want} got {count}")),
        }
    }

    /// The type of the argument in this place, from 0.
    pub(super) fn type_at(&self, at: usize) -> Option<Type> {
        self.types.get(at).copied()
    }
}

impl Type {
    /// As Go calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Any => "interface {}",
            Type::Text => "string",
            Type::Texts => "[]string",
            Type::Integer => "int",
        }
    }

    pub(super) fn is_checked(self) -> bool {
        self != Type::Any
    }

    /// What is wrong with a constant in its place.
    pub(super) fn misfit(self, constant: &Value) -> Option<String> {
        let expected = match self {
            Type::Any => return None,
            Type::Text => "string",
            Type::Integer => "integer",
            Type::Texts => "",
        };
        let fits = match constant {
            Value::Nil => return Some(format!("cannot assign nil to {}", self.name())),
            Value::Text(..) => self == Type::Text,
            Value::Number(_, Number::Float(_)) => false,
            Value::Number(..) => self == Type::Integer,
            Value::Bool(_) => false,
            _ => true,
        };
        match fits {
            true => None,
            false if self == Type::Texts => Some(format!("can't handle {constant} for arg of type []string")),
            false => Some(format!("expected {expected}; found {constant}")),
        }
    }
}
