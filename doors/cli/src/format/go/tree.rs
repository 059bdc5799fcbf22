//! A template that was read, made to ask for fields, to print and to fail as Go does.
//!
//! The tree of [`grammar`](super::grammar) becomes the library's: each `.A.B` a call of `\0field`, each value that is
//! written goes through `\0print`, what is ranged over through `\0items`, what functions are given through what checks
//! its type. Calls that cannot be are calls of `\0fail`, so that nothing is said of what is never run.

use std::sync::Arc;

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, TemplateNode, TextNode,
};
use gotmpl::{FuncMap, TemplateError, Value as Data};

use super::grammar::Grammar;
use super::literals;
use super::nodes::{self, Command, Operand, Pipe, Place, Value};
use super::signatures::{BUILT_IN, Signature, is_told, signature};

pub(crate) const FIELD: &str = "\0field";
pub(crate) const CALLED: &str = "\0called";
pub(crate) const PRINT: &str = "\0print";
pub(crate) const ITEMS: &str = "\0items";
pub(crate) const FLAT: &str = "\0flat";
pub(crate) const FAIL: &str = "\0fail";
pub(crate) const TYPED: &str = "\0typed";
/// Before the name of a function that is told where it is called.
pub(crate) const TOLD: char = '\0';

/// A template that can be run.
#[derive(Clone)]
pub(crate) struct Tree {
    main: ListNode,
    defines: Vec<(String, ListNode)>,
}

impl Tree {
    /// Reads a template; every function must be of the language or in `functions`.
    ///
    /// # Errors
    /// As Go says it.
    pub(crate) fn parse(source: &str, functions: &FuncMap) -> Result<Tree, String> {
        let knows = |name: &str| BUILT_IN.contains(&name) || functions.contains_key(name);
        let grammar = Grammar::read(source, &knows)?;
        let defined: Vec<&str> = grammar.defined.iter().map(|(name, _)| name.as_str()).collect();
        let writer = |name| Writer { source, name, defined: &defined };
        Ok(Tree {
            main: writer("").list(&grammar.main),
            defines: grammar
                .defined
                .iter()
                .map(|(name, body)| (name.clone(), writer(name.as_str()).list(body)))
                .collect(),
        })
    }

    pub(crate) fn run(&self, functions: FuncMap, value: &Data) -> Result<String, TemplateError> {
        const MAIN: &str = "\0main";
        let mut template = gotmpl::Template::new("").funcs(functions).add_parse_tree(MAIN, self.main.clone());
        for (name, body) in &self.defines {
            template = template.add_parse_tree(name, body.clone());
        }
        template.execute_template_to_string(MAIN, value)
    }
}

struct Writer<'a> {
    source: &'a str,
    /// Of the template that this is.
    name: &'a str,
    defined: &'a [&'a str],
}

fn pos(place: Place) -> Pos {
    Pos::new(place.at, place.line)
}

fn string(place: Place, text: impl AsRef<str>) -> Expr {
    Expr::String(pos(place), Arc::from(text.as_ref()))
}

fn hidden(place: Place, name: &str) -> Expr {
    Expr::Identifier(pos(place), name.into())
}

fn piped(place: Place, args: Vec<Expr>) -> Expr {
    let commands = vec![CommandNode { pos: pos(place), args }];
    Expr::Pipe(pos(place), PipeNode { pos: pos(place), decl: Vec::new(), commands, is_assign: false })
}

impl Writer<'_> {
    fn list(&self, nodes: &[nodes::Node]) -> ListNode {
        ListNode { pos: Pos::new(0, 1), nodes: nodes.iter().map(|node| self.node(node)).collect() }
    }

    fn node(&self, node: &nodes::Node) -> Node {
        match node {
            nodes::Node::Text(text) => {
                Node::Text(TextNode { pos: Pos::new(0, 1), text: text.as_str().into() })
            }
            nodes::Node::Action(pipe) => {
                let mut written = self.pipe(pipe);
                if pipe.variables.is_empty() {
                    let args = vec![hidden(pipe.place, PRINT)];
                    written.commands.push(CommandNode { pos: pos(pipe.place), args });
                }
                Node::Action(ActionNode { pos: pos(pipe.place), pipe: written })
            }
            nodes::Node::If(branch) => Node::If(self.branch(branch, false)),
            nodes::Node::With(branch) => Node::With(self.branch(branch, false)),
            nodes::Node::Range(branch) => Node::Range(self.branch(branch, true)),
            nodes::Node::Template { place, name, text, pipe } => {
                if !self.defined.contains(&name.as_str()) {
                    let why = format!("template {name:?} not defined");
                    let commands = vec![self.failing(*place, text, &why)];
                    let pipe = PipeNode { pos: pos(*place), decl: Vec::new(), commands, is_assign: false };
                    return Node::Action(ActionNode { pos: pos(*place), pipe });
                }
                let pipe = pipe.as_ref().map(|pipe| self.pipe(pipe));
                Node::Template(TemplateNode { pos: pos(*place), name: name.as_str().into(), pipe })
            }
            nodes::Node::Break(place) => Node::Break(pos(*place)),
            nodes::Node::Continue(place) => Node::Continue(pos(*place)),
        }
    }

    fn branch(&self, branch: &nodes::Branch, ranges: bool) -> BranchNode {
        let mut pipe = self.pipe(&branch.pipe);
        if ranges {
            let place = branch.pipe.place;
            let seen = last_operand(&branch.pipe)
                .map_or_else(String::new, |operand| self.at(operand.place, &operand.kind.to_string()));
            let args = vec![hidden(place, ITEMS), string(place, seen)];
            pipe.commands.push(CommandNode { pos: pos(place), args });
        }
        BranchNode {
            pos: pos(branch.place),
            pipe,
            body: self.list(&branch.body),
            else_body: branch.other.as_ref().map(|nodes| self.list(nodes)),
        }
    }

    fn pipe(&self, pipe: &Pipe) -> PipeNode {
        let mut commands = Vec::with_capacity(pipe.commands.len() + 2);
        for (stage, command) in pipe.commands.iter().enumerate() {
            self.command(command, stage > 0, &mut commands);
        }
        if let (Some(name), Some(last)) = (&pipe.undefined, last_operand(pipe)) {
            let why = format!("undefined variable: {name}");
            commands.push(self.failing(last.place, &last.kind.to_string(), &why));
        }
        let decl = pipe.variables.iter().map(|name| name.as_str().into()).collect();
        PipeNode { pos: pos(pipe.place), decl, commands, is_assign: pipe.assigns }
    }

    /// Where something is, and what it is, as Go says it before what went wrong.
    fn at(&self, place: Place, text: &str) -> String {
        let before = self.source.get(..place.at).unwrap_or_default();
        let column = place.at - before.rfind('\n').map_or(0, |end| end + 1);
        format!(":{}:{column}: executing {:?} at <{text}>", place.line, self.name)
    }

    fn failing(&self, place: Place, text: &str, why: &str) -> CommandNode {
        let words = format!("{}: {why}", self.at(place, text));
        CommandNode { pos: pos(place), args: vec![hidden(place, FAIL), string(place, words)] }
    }

    /// A command, behind what checks the value that is piped into it.
    fn command(&self, command: &Command, is_piped: bool, commands: &mut Vec<CommandNode>) {
        let Some((head, given)) = command.operands.split_first() else { return };
        let failing = |why: &str| self.failing(head.place, &head.kind.to_string(), why);
        let count = given.len() + usize::from(is_piped);
        let written = match &head.kind {
            Value::Identifier(name) => return self.call(command, name, is_piped, commands),
            Value::Field(names) if !given.is_empty() && names.as_slice() == ["Label"] && !is_piped => {
                self.label(head, given)
            }
            Value::Field(_) | Value::Chain(..) if count > 0 => self.called(head, count),
            Value::Variable(names) if count > 0 && names.len() > 1 => self.called(head, count),
            Value::Nil if count == 0 => failing("nil is not a command"),
            other if count > 0 => failing(&format!("can't give argument to non-function {other}")),
            _ => CommandNode { pos: pos(command.place), args: vec![self.operand(head)] },
        };
        commands.push(written);
    }

    fn call(&self, command: &Command, name: &str, is_piped: bool, commands: &mut Vec<CommandNode>) {
        let (head, given) = (&command.operands[0], &command.operands[1..]);
        let count = given.len() + usize::from(is_piped);
        let known = signature(name);
        if count == 0 && matches!(name, "html" | "js" | "urlquery") {
            let args = vec![string(head.place, "")];
            return commands.push(CommandNode { pos: pos(head.place), args });
        }
        if let Some(why) = known.as_ref().and_then(|it| it.refusal(name, count)) {
            return commands.push(self.failing(head.place, name, &why));
        }
        let misfit = given.iter().enumerate().find_map(|(at, operand)| {
            let why = known.as_ref()?.type_at(at)?.misfit(&operand.kind)?;
            Some(self.failing(operand.place, &operand.kind.to_string(), &why))
        });
        if let Some(failing) = misfit {
            return commands.push(failing);
        }
        if is_piped && let Some(check) = self.check_piped(head, name, given.len(), known.as_ref()) {
            commands.push(check);
        }
        let mut args = Vec::with_capacity(given.len() + 2);
        if is_told(name) {
            args.push(hidden(head.place, &format!("{TOLD}{name}")));
            args.push(string(command.place, self.at(command.place, &command.to_string())));
            if name == "call" {
                let called = given.first().map_or_else(String::new, |operand| operand.kind.to_string());
                args.push(string(command.place, called));
            }
        } else {
            args.push(hidden(head.place, name));
        }
        args.extend(given.iter().enumerate().map(|(at, operand)| {
            let written = self.operand(operand);
            match known.as_ref().and_then(|it| it.type_at(at)).filter(|it| it.is_checked()) {
                Some(wanted) => {
                    let seen = self.at(operand.place, &operand.kind.to_string());
                    let place = operand.place;
                    let check = vec![
                        hidden(place, TYPED),
                        string(place, wanted.name()),
                        string(place, seen),
                        written,
                    ];
                    piped(place, check)
                }
                None if known.as_ref().is_some_and(Signature::makes_text) => {
                    piped(operand.place, vec![hidden(operand.place, FLAT), written])
                }
                None => written,
            }
        }));
        commands.push(CommandNode { pos: pos(command.place), args });
    }

    fn check_piped(
        &self,
        head: &Operand,
        name: &str,
        at: usize,
        known: Option<&Signature>,
    ) -> Option<CommandNode> {
        let known = known?;
        let args = match known.type_at(at).filter(|it| it.is_checked()) {
            Some(wanted) => vec![
                hidden(head.place, TYPED),
                string(head.place, wanted.name()),
                string(head.place, self.at(head.place, name)),
            ],
            None if known.makes_text() => vec![hidden(head.place, FLAT)],
            None => return None,
        };
        Some(CommandNode { pos: pos(head.place), args })
    }

    /// `.Label "x"` is a method in docker; here it is a function of the row.
    fn label(&self, head: &Operand, given: &[Operand]) -> CommandNode {
        let [key] = given else {
            let why = format!("wrong number of args for Label: want 1 got {}", given.len());
            return self.failing(head.place, ".Label", &why);
        };
        if let Some(why) = super::signatures::Type::Text.misfit(&key.kind) {
            return self.failing(key.place, &key.kind.to_string(), &why);
        }
        let row = Expr::Variable(pos(head.place), "$".into(), Vec::new());
        let seen = string(head.place, self.at(head.place, ".Label"));
        let args = vec![hidden(head.place, "label"), row, self.operand(key), seen];
        CommandNode { pos: pos(head.place), args }
    }

    /// A field that is given something, which no field takes.
    fn called(&self, head: &Operand, count: usize) -> CommandNode {
        let mut args = self.field_of(head);
        args[0] = hidden(head.place, CALLED);
        // In one word: what is piped in comes behind all.
        let names = match &head.kind {
            Value::Field(names) | Value::Chain(_, names) => names.as_slice(),
            Value::Variable(names) => &names[1..],
            _ => &[],
        };
        args.truncate(3);
        args.push(string(head.place, names.join(".")));
        args.push(Expr::Number(pos(head.place), Number::Int(i64::try_from(count).unwrap_or(i64::MAX))));
        CommandNode { pos: pos(head.place), args }
    }

    fn operand(&self, operand: &Operand) -> Expr {
        let place = pos(operand.place);
        match &operand.kind {
            Value::Dot => Expr::Dot(place),
            Value::Nil => Expr::Nil(place),
            Value::Bool(value) => Expr::Bool(place, *value),
            Value::Number(_, literals::Number::Int(number)) => Expr::Number(place, Number::Int(*number)),
            Value::Number(_, literals::Number::Float(number)) => Expr::Number(place, Number::Float(*number)),
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
        let names = names.iter().map(|name| string(place, name));
        [hidden(place, FIELD), value, string(place, seen)].into_iter().chain(names).collect()
    }
}

/// What is looked at last before a pipeline has its value: that is where Go says that it went wrong.
fn last_operand(pipe: &Pipe) -> Option<&Operand> {
    let last = pipe.commands.last()?.operands.last()?;
    match &last.kind {
        Value::Pipe(inner) => last_operand(inner).or(Some(last)),
        _ => Some(last),
    }
}
