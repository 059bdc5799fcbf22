//! Pipelines: declarations, commands, and the values that they are made of.

use super::super::lex::{Item, Kind};
use super::super::literals;
use super::super::nodes::{Command, Operand, Pipe, Place, Value};
use super::{DEEPEST, Read, Reader};

impl Reader<'_> {
    pub(super) fn pipe(&mut self, context: &str, end: Kind) -> Read<Pipe> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("exceeded maximum depth".into());
        }
        self.skip_spaces();
        let mut pipe =
            Pipe { place: Place { at: self.peek().at, line: self.peek().line }, ..Pipe::default() };
        self.declarations(&mut pipe, context)?;
        let coming = self.coming.len();
        let known = self.variables.len() - pipe.variables.len();
        let new = pipe.variables.iter().filter(|name| !self.variables[..known].contains(name));
        self.coming.extend(new.cloned());
        pipe.undefined = pipe.undefined.filter(|_| pipe.assigns);
        loop {
            let begin = self.next;
            let item = self.take_word();
            match item.kind {
                kind if kind == end => break,
                _ if begins_operand(&item) => {
                    self.next = begin;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&item, context),
            }
        }
        self.coming.truncate(coming);
        self.depth -= 1;
        checked(pipe, context)
    }

    /// `$a := `, `$a, $b := `, `$a = `.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Read<()> {
        while self.peek_word().kind == Kind::Variable {
            let begin = self.next;
            let name = self.take().text;
            let next = self.peek_word().clone();
            let more = next.kind == Kind::Char && next.text == ",";
            if !more && !matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.next = begin;
                return Ok(());
            }
            self.take();
            if !self.variables.contains(&name) && pipe.undefined.is_none() {
                pipe.undefined = Some(name.clone());
            }
            self.variables.push(name.clone());
            pipe.variables.push(name);
            if !more {
                pipe.assigns = next.kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() > 1 {
                return Err(format!("too many declarations in {context}"));
            }
            if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return Err("range can only initialize variables".into());
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Read<Command> {
        let place = Place { at: self.peek_word().at, line: self.peek_word().line };
        let mut operands = Vec::new();
        loop {
            self.skip_spaces();
            operands.extend(self.operand()?);
            let item = self.peek().clone();
            match item.kind {
                Kind::Space => drop(self.take()),
                Kind::RightDelim | Kind::RightParen => break,
                Kind::Pipe => {
                    self.take();
                    break;
                }
                _ => return self.unexpected(&item, "operand"),
            }
        }
        if operands.is_empty() { Err("empty command".into()) } else { Ok(Command { place, operands }) }
    }

    fn operand(&mut self) -> Read<Option<Operand>> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        let place = Place { at: self.peek().at, line: self.peek().line };
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.take().text[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        operand = match operand.kind {
            Value::Field(names) => Operand { place, kind: Value::Field([names, fields].concat()) },
            Value::Variable(names) => Operand { place, kind: Value::Variable([names, fields].concat()) },
            Value::Identifier(_) | Value::Pipe(_) | Value::Chain(..) => {
                Operand { place, kind: Value::Chain(Box::new(operand), fields) }
            }
            _ => return Err(format!("unexpected . after term {:?}", operand.kind.to_string())),
        };
        Ok(Some(operand))
    }

    fn term(&mut self) -> Read<Option<Operand>> {
        let item = self.peek_word().clone();
        let place = Place { at: item.at, line: item.line };
        let kind = match item.kind {
            Kind::Identifier if !(self.knows)(&item.text) => {
                return Err(format!("function {:?} not defined", item.text));
            }
            Kind::Identifier => Value::Identifier(item.text),
            Kind::Keyword if item.text == "." => Value::Dot,
            Kind::Keyword if item.text == "nil" => Value::Nil,
            Kind::Variable if !self.variables.contains(&item.text) => {
                return Err(format!("undefined variable {:?}", item.text));
            }
            Kind::Variable if self.coming.contains(&item.text) => Value::Undefined(item.text),
            Kind::Variable => Value::Variable(vec![item.text]),
            Kind::Field => Value::Field(vec![item.text[1..].to_owned()]),
            Kind::Bool => Value::Bool(item.text == "true"),
            Kind::CharConstant | Kind::Number => {
                let number = literals::number(&item.text)?;
                Value::Number(item.text, number)
            }
            Kind::String | Kind::RawString => {
                let meant = literals::unquoted(&item.text).ok_or("invalid syntax")?;
                Value::Text(item.text, meant)
            }
            Kind::LeftParen => {
                self.take();
                let pipe = self.pipe("parenthesized pipeline", Kind::RightParen)?;
                return Ok(Some(Operand { place: pipe.place, kind: Value::Pipe(pipe) }));
            }
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(Operand { place, kind }))
    }
}

fn checked(pipe: Pipe, context: &str) -> Read<Pipe> {
    if pipe.commands.is_empty() {
        return Err(format!("missing value for {context}"));
    }
    let constant = |command: &Command| {
        let first = command.operands.first().map(|operand| &operand.kind);
        matches!(first, Some(Value::Bool(_) | Value::Dot | Value::Nil | Value::Number(..) | Value::Text(..)))
    };
    match pipe.commands.iter().skip(1).position(constant) {
        Some(stage) => Err(format!("non executable command in pipeline stage {}", stage + 2)),
        None => Ok(pipe),
    }
}

fn begins_operand(item: &Item) -> bool {
    match item.kind {
        Kind::Keyword => matches!(item.text.as_str(), "." | "nil"),
        kind => matches!(
            kind,
            Kind::Bool
                | Kind::CharConstant
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen
        ),
    }
}
