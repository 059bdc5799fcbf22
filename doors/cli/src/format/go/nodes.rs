//! What a template is made of, and how Go writes each part when it says what is wrong with it.

use std::fmt;

use super::literals;

/// Where something stands: bytes from the beginning, and the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) line: usize,
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { place: Place, name: String, text: String, pipe: Option<Pipe> },
    Break(Place),
    Continue(Place),
}

/// What depends on a value.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) place: Place,
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) other: Option<Vec<Node>>,
}

/// Commands, each of which gets the value of the one before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    pub(super) place: Place,
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    /// A variable that is assigned to and was not there: Go finds out when it runs.
    pub(super) undefined: Option<String>,
    pub(super) commands: Vec<Command>,
}

/// A function or value, and what it is given.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) place: Place,
    pub(super) operands: Vec<Operand>,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) place: Place,
    pub(super) kind: Value,
}

/// What stands for a value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Dot,
    Nil,
    Bool(bool),
    Number(String, literals::Number),
    Text(String, String),
    Identifier(String),
    Field(Vec<String>),
    /// Its name, with the sign, and fields of it.
    Variable(Vec<String>),
    /// A variable that is there for the reader alone: it gets its value from what it stands in.
    Undefined(String),
    Pipe(Pipe),
    /// Fields of what is none of those.
    Chain(Box<Operand>, Vec<String>),
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if at > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, operand) in self.operands.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { " " } else { "" }, operand.kind)?;
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Dot => f.write_str("."),
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(text, _)
            | Value::Text(text, _)
            | Value::Identifier(text)
            | Value::Undefined(text) => f.write_str(text),
            Value::Field(names) => write!(f, ".{}", names.join(".")),
            Value::Variable(names) => f.write_str(&names.join(".")),
            Value::Pipe(pipe) => write!(f, "({pipe})"),
            Value::Chain(of, names) => write!(f, "{}.{}", of.kind, names.join(".")),
        }
    }
}
