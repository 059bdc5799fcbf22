//! Values and their fields, as calls of what asks for them.

use gotmpl::parse::{CommandNode, Expr, Number, PipeNode};

use super::super::literals;
use super::super::nodes::{Command, Operand, Pipe, Value};
use super::super::signatures::Type;
use super::{CALLABLE, FIELD, LABEL, WITHIN, Writer, hidden, piped, pos, string};

impl Writer<'_> {
    /// A field that is given something, which none takes but a row's `Label`: `\0label (\0callable …) WHERE KEY`.
    pub(super) fn called(&self, head: &Operand, given: &[Operand], is_piped: bool) -> CommandNode {
        let mut args = self.field_of(head);
        args[0] = hidden(head.place, CALLABLE);
        let names = match &head.kind {
            Value::Field(names) | Value::Chain(_, names) => names.as_slice(),
            Value::Variable(names) => &names[1..],
            _ => &[],
        };
        args.truncate(3);
        let count = i64::try_from(given.len() + usize::from(is_piped)).unwrap_or(i64::MAX);
        let misfit = given.first().and_then(|key| {
            let why = Type::Text.misfit(&key.kind)?;
            Some(format!("{}: {why}", self.at(key.place, &key.kind.to_string())))
        });
        args.extend([
            string(head.place, names.join(".")),
            Expr::Number(pos(head.place), Number::Int(count)),
            string(head.place, misfit.unwrap_or_default()),
        ]);
        let key = given.first().unwrap_or(head);
        let seen = string(key.place, self.at(key.place, &key.kind.to_string()));
        let mut whole = vec![hidden(head.place, LABEL), piped(head.place, args), seen];
        whole.extend(given.iter().take(1).map(|key| self.operand(key)));
        CommandNode { pos: pos(head.place), args: whole }
    }

    pub(super) fn operand(&self, operand: &Operand) -> Expr {
        let place = pos(operand.place);
        match &operand.kind {
            Value::Dot => Expr::Dot(place),
            Value::Nil => Expr::Nil(place),
            Value::Bool(value) => Expr::Bool(place, *value),
            Value::Number(_, literals::Number::Int(number)) => Expr::Number(place, Number::Int(*number)),
            Value::Number(_, literals::Number::Float(number)) => Expr::Number(place, Number::Float(*number)),
            Value::Number(text, literals::Number::TooGreat) => {
                self.failed(operand, &format!("{text} overflows int"))
            }
            Value::Undefined(name) => self.failed(operand, &format!("undefined variable: {name}")),
            Value::Text(_, meant) => string(operand.place, meant),
            Value::Variable(names) if names.len() == 1 => {
                Expr::Variable(place, names[0].as_str().into(), Vec::new())
            }
            Value::Identifier(_) => {
                let command = Command { place: operand.place, operands: vec![operand.clone()] };
                let mut commands = Vec::new();
                self.command(&command, false, &mut commands);
                Expr::Pipe(place, PipeNode { pos: place, decl: Vec::new(), commands, is_assign: false })
            }
            Value::Pipe(pipe) => Expr::Pipe(place, self.pipe(pipe)),
            Value::Field(_) | Value::Variable(_) | Value::Chain(..) => {
                piped(operand.place, self.field_of(operand))
            }
        }
    }

    fn failed(&self, operand: &Operand, why: &str) -> Expr {
        let failing = self.failing(operand.place, &operand.kind.to_string(), why);
        piped(operand.place, failing.args)
    }

    /// `\0field VALUE WHERE NAME…`
    fn field_of(&self, operand: &Operand) -> Vec<Expr> {
        let place = operand.place;
        let seen = |operand: &Operand| self.at(operand.place, &operand.kind.to_string());
        let (value, seen, names) = match &operand.kind {
            Value::Field(names) => (Expr::Dot(pos(place)), seen(operand), names.as_slice()),
            Value::Variable(names) => {
                let variable = Expr::Variable(pos(place), names[0].as_str().into(), Vec::new());
                (variable, seen(operand), &names[1..])
            }
            Value::Chain(inner, names) => {
                let last = match &inner.kind {
                    Value::Pipe(pipe) => last_operand(pipe).unwrap_or(inner),
                    _ => inner,
                };
                (self.operand(inner), seen(last), names.as_slice())
            }
            _ => (self.operand(operand), seen(operand), &[][..]),
        };
        let within = match &operand.kind {
            Value::Field(_) => self.ranges.get(),
            Value::Variable(names) => self.ranged.borrow().contains(&names[0]),
            _ => false,
        };
        let names = names.iter().map(|name| string(place, name));
        [hidden(place, if within { WITHIN } else { FIELD }), value, string(place, seen)]
            .into_iter()
            .chain(names)
            .collect()
    }
}

/// What is looked at last before a pipeline has its value: that is where Go says that it went wrong.
pub(super) fn last_operand(pipe: &Pipe) -> Option<&Operand> {
    let last = pipe.commands.last()?.operands.last()?;
    match &last.kind {
        Value::Pipe(inner) => last_operand(inner).or(Some(last)),
        _ => Some(last),
    }
}
