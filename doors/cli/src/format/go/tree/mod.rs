//! A template that was read, made to ask for fields, to print and to fail as Go does.
//!
//! The tree of [`grammar`](super::grammar) becomes the library's: each `.A.B` a call of `\0field`, each value that is
//! written goes through `\0print`, what is ranged over through `\0items`, what functions are given through what checks
//! its type. Calls that cannot be are calls of `\0fail`, so that nothing is said of what is never run.

mod operands;

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos, TemplateNode, TextNode,
};
use gotmpl::{FuncMap, TemplateError, Value as Data};

use self::operands::last_operand;
use super::grammar::Grammar;
use super::nodes::{self, Command, Operand, Pipe, Place, Value};
use super::signatures::{BUILT_IN, Signature, is_told, signature};

pub(crate) const FIELD: &str = "\0field";
/// The same of what is ranged over: a field of it that is none is told otherwise.
pub(crate) const WITHIN: &str = "\0within";
pub(crate) const CALLABLE: &str = "\0callable";
pub(crate) const LABEL: &str = "\0label";
pub(crate) const NOTHING: &str = "\0nothing";
pub(crate) const PRINT: &str = "\0print";
pub(crate) const ITEMS: &str = "\0items";
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
        let writer = |name| Writer {
            source,
            name,
            defined: &defined,
            ranges: Cell::default(),
            ranged: RefCell::default(),
        };
        Ok(Tree {
            main: writer("").list(&grammar.main),
            defines: grammar
                .defined
                .iter()
                .map(|(name, body)| (name.clone(), writer(name.as_str()).list(body)))
                .collect(),
        })
    }

    /// Writes what it shows, as far as it comes.
    pub(crate) fn run(
        &self,
        functions: FuncMap,
        value: &Data,
        out: &mut String,
    ) -> Result<(), TemplateError> {
        const MAIN: &str = "\0main";
        let mut template = gotmpl::Template::new("").funcs(functions).add_parse_tree(MAIN, self.main.clone());
        for (name, body) in &self.defines {
            template = template.add_parse_tree(name, body.clone());
        }
        template.execute_template_fmt(out, MAIN, value)
    }
}

struct Writer<'a> {
    source: &'a str,
    /// Of the template that this is.
    name: &'a str,
    defined: &'a [&'a str],
    /// Whether the dot is one of what is ranged over.
    ranges: Cell<bool>,
    /// Variables that are.
    ranged: RefCell<Vec<String>>,
}

/// What the dot is in a branch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dot {
    Same,
    Value,
    Item,
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
            nodes::Node::If(branch) => Node::If(self.branch(branch, Dot::Same)),
            nodes::Node::With(branch) => Node::With(self.branch(branch, Dot::Value)),
            nodes::Node::Range(branch) => Node::Range(self.branch(branch, Dot::Item)),
            nodes::Node::Template { place, name, text, pipe } => {
                if !self.defined.contains(&name.as_str()) {
                    let why = format!("template {name:?} not defined");
                    let commands = vec![self.failing(*place, text, &why)];
                    let pipe = PipeNode { pos: pos(*place), decl: Vec::new(), commands, is_assign: false };
                    return Node::Action(ActionNode { pos: pos(*place), pipe });
                }
                let nothing = vec![CommandNode { pos: pos(*place), args: vec![hidden(*place, NOTHING)] }];
                let nothing =
                    PipeNode { pos: pos(*place), decl: Vec::new(), commands: nothing, is_assign: false };
                let pipe = Some(pipe.as_ref().map_or(nothing, |pipe| self.pipe(pipe)));
                Node::Template(TemplateNode { pos: pos(*place), name: name.as_str().into(), pipe })
            }
            nodes::Node::Break(place) => Node::Break(pos(*place)),
            nodes::Node::Continue(place) => Node::Continue(pos(*place)),
        }
    }

    fn branch(&self, branch: &nodes::Branch, dot: Dot) -> BranchNode {
        let mut pipe = self.pipe(&branch.pipe);
        if dot == Dot::Item {
            let place = branch.pipe.place;
            let seen = last_operand(&branch.pipe)
                .map_or_else(String::new, |operand| self.at(operand.place, &operand.kind.to_string()));
            let variables = i64::try_from(branch.pipe.variables.len()).unwrap_or(i64::MAX);
            let count = Expr::Number(pos(place), Number::Int(variables));
            pipe.commands.push(CommandNode {
                pos: pos(place),
                args: vec![hidden(place, ITEMS), string(place, seen), count],
            });
            self.ranged.borrow_mut().extend(branch.pipe.variables.iter().cloned());
        }
        let outer = self.ranges.get();
        let body = |nodes: &[nodes::Node]| {
            self.ranges.set(dot == Dot::Item || (outer && dot == Dot::Same));
            let list = self.list(nodes);
            self.ranges.set(outer);
            list
        };
        BranchNode {
            pos: pos(branch.place),
            pipe,
            body: body(&branch.body),
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
            Value::Field(_) | Value::Chain(..) if count > 0 => self.called(head, given, is_piped),
            Value::Variable(names) if count > 0 && names.len() > 1 => self.called(head, given, is_piped),
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
                let called = given.first().map_or_else(String::new, |operand| match &operand.kind {
                    Value::Pipe(pipe) => pipe.to_string(),
                    other => other.to_string(),
                });
                args.push(string(command.place, called));
            }
        } else {
            args.push(hidden(head.place, printing(name).unwrap_or(name)));
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
                None if (escapes(name) || is_told(name)) && matches!(operand.kind, Value::Nil) => {
                    piped(operand.place, vec![hidden(operand.place, NOTHING)])
                }
                None => written,
            }
        }));
        commands.push(CommandNode { pos: pos(command.place), args });
        if escapes(name) {
            commands.push(CommandNode { pos: pos(head.place), args: vec![hidden(head.place, name)] });
        }
    }

    fn check_piped(
        &self,
        head: &Operand,
        name: &str,
        at: usize,
        known: Option<&Signature>,
    ) -> Option<CommandNode> {
        let wanted = known?.type_at(at).filter(|it| it.is_checked())?;
        let args = vec![
            hidden(head.place, TYPED),
            string(head.place, wanted.name()),
            string(head.place, self.at(head.place, name)),
        ];
        Some(CommandNode { pos: pos(head.place), args })
    }
}

fn escapes(name: &str) -> bool {
    matches!(name, "html" | "js" | "urlquery")
}

/// What writes values is our own, behind other names than the library's.
fn printing(name: &str) -> Option<&'static str> {
    match name {
        "print" => Some("\0sprint"),
        "html" | "js" | "urlquery" => Some("\0shown"),
        "println" => Some("\0sprintln"),
        "printf" => Some("\0sprintf"),
        _ => None,
    }
}
