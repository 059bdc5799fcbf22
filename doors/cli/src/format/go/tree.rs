//! A parsed template, made to ask for fields and to print as Go does.
//!
//! Each `.A.B` becomes a call of `\0field`, each value that is written goes through `\0print`, what is
//! ranged over through `\0items`, and what functions of texts are given through `\0flat`.

use std::sync::Arc;

use gotmpl::parse::{
    ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Parser, PipeNode, Pos, SmolStr,
};
use gotmpl::{FuncMap, TemplateError, Value};

pub(crate) const FIELD: &str = "\0field";
pub(crate) const PRINT: &str = "\0print";
pub(crate) const ITEMS: &str = "\0items";
pub(crate) const FLAT: &str = "\0flat";

/// Functions of the language itself.
const BUILT_IN: &[&str] = &[
    "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
    "printf", "println", "slice", "urlquery",
];
/// Functions that make texts of what they are given.
const OF_TEXTS: &[&str] = &["html", "js", "print", "printf", "println", "urlquery"];

/// A template that can be run.
#[derive(Clone)]
pub(crate) struct Tree {
    main: ListNode,
    defines: Vec<(String, ListNode)>,
}

impl Tree {
    /// Reads a template; every function must be of the language or in `functions`.
    pub(crate) fn parse(source: &str, functions: &FuncMap) -> Result<Tree, TemplateError> {
        let (main, defines) = Parser::new(source, "{{", "}}")?.parse()?;
        ends_match(source)?;
        let mut reader = Reader { source, functions, unknown: None };
        let defines = defines.into_iter().map(|it| (it.name.to_string(), reader.list(it.body))).collect();
        let tree = Tree { main: reader.list(main), defines };
        match reader.unknown {
            None => Ok(tree),
            Some((position, name)) => Err(TemplateError::Parse {
                name: None,
                line: position.line,
                col: 0,
                message: format!("function \"{name}\" not defined"),
            }),
        }
    }

    pub(crate) fn run(&self, functions: FuncMap, value: &Value) -> Result<String, TemplateError> {
        const MAIN: &str = "\0main";
        let mut template = gotmpl::Template::new("").funcs(functions).add_parse_tree(MAIN, self.main.clone());
        for (name, body) in &self.defines {
            template = template.add_parse_tree(name, body.clone());
        }
        template.execute_template_to_string(MAIN, value)
    }
}

/// The parser takes an `{{end}}` too many for the end of everything.
fn ends_match(source: &str) -> Result<(), TemplateError> {
    let mut open = 0_usize;
    for (at, _) in source.match_indices("{{") {
        let action = source[at + 2..].trim_start_matches('-').trim_start();
        let word = action.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        match word {
            "if" | "range" | "with" | "define" | "block" => open += 1,
            "end" if open == 0 => {
                let line = source[..at].matches('\n').count() + 1;
                let message = "unexpected {{end}}".to_owned();
                return Err(TemplateError::Parse { name: None, line, col: 0, message });
            }
            "end" => open -= 1,
            _ => {}
        }
    }
    Ok(())
}

struct Reader<'a> {
    source: &'a str,
    functions: &'a FuncMap,
    unknown: Option<(Pos, SmolStr)>,
}

impl Reader<'_> {
    fn list(&mut self, list: ListNode) -> ListNode {
        let nodes = list.nodes.into_iter().map(|node| self.node(node)).collect();
        ListNode { pos: list.pos, nodes }
    }

    fn node(&mut self, node: Node) -> Node {
        match node {
            Node::List(list) => Node::List(self.list(list)),
            Node::Action(action) => {
                let prints = action.pipe.decl.is_empty();
                let mut pipe = self.pipe(action.pipe);
                if prints {
                    pipe.commands.push(call(action.pos, PRINT));
                }
                Node::Action(ActionNode { pos: action.pos, pipe })
            }
            Node::If(branch) => Node::If(self.branch(branch)),
            Node::With(branch) => Node::With(self.branch(branch)),
            Node::Range(branch) => {
                let mut branch = self.branch(branch);
                branch.pipe.commands.push(call(branch.pos, ITEMS));
                Node::Range(branch)
            }
            Node::Template(mut template) => {
                template.pipe = template.pipe.map(|pipe| self.pipe(pipe));
                Node::Template(template)
            }
            Node::Define(mut define) => {
                define.body = self.list(define.body);
                Node::Define(define)
            }
            plain @ (Node::Text(_) | Node::Break(_) | Node::Continue(_)) => plain,
        }
    }

    fn branch(&mut self, branch: BranchNode) -> BranchNode {
        BranchNode {
            pos: branch.pos,
            pipe: self.pipe(branch.pipe),
            body: self.list(branch.body),
            else_body: branch.else_body.map(|body| self.list(body)),
        }
    }

    fn pipe(&mut self, pipe: PipeNode) -> PipeNode {
        let mut commands: Vec<CommandNode> = Vec::with_capacity(pipe.commands.len() + 2);
        for command in pipe.commands {
            let before = preparation(&command).filter(|_| !commands.is_empty());
            commands.extend(before.map(|name| call(command.pos, name)));
            commands.push(self.command(command));
        }
        PipeNode { commands, ..pipe }
    }

    fn command(&mut self, command: CommandNode) -> CommandNode {
        let prepared = preparation(&command);
        if let Some(args) = label_call(&command) {
            return CommandNode { pos: command.pos, args };
        }
        let args = command.args.into_iter().enumerate().map(|(at, expression)| {
            let expression = self.expression(expression);
            match prepared.filter(|_| at > 0) {
                Some(name) => wrapped(name, expression),
                None => expression,
            }
        });
        CommandNode { pos: command.pos, args: args.collect() }
    }

    fn expression(&mut self, expression: Expr) -> Expr {
        match expression {
            Expr::Field(position, names) => self.field(Expr::Dot(position), position, &names),
            Expr::Variable(position, name, names) if !names.is_empty() => {
                self.field(Expr::Variable(position, name, Vec::new()), position, &names)
            }
            Expr::Chain(position, inner, names) => {
                let inner = self.expression(*inner);
                self.field(inner, position, &names)
            }
            Expr::Pipe(position, pipe) => Expr::Pipe(position, self.pipe(pipe)),
            Expr::Identifier(position, name) => {
                let known = BUILT_IN.contains(&name.as_str()) || self.functions.contains_key(name.as_str());
                if !known && self.unknown.is_none() {
                    self.unknown = Some((position, name.clone()));
                }
                Expr::Identifier(position, name)
            }
            plain => plain,
        }
    }

    /// `\0field VALUE PLACE NAME…`
    fn field(&self, value: Expr, position: Pos, names: &[SmolStr]) -> Expr {
        let place = Expr::String(position, self.place(position, names).into());
        let names = names.iter().map(|name| Expr::String(position, Arc::from(name.as_str())));
        let head = [Expr::Identifier(position, FIELD.into()), value, place];
        piped(position, head.into_iter().chain(names).collect())
    }

    /// Where Go says that a chain of fields is: at its second name, if it has one.
    fn place(&self, position: Pos, names: &[SmolStr]) -> String {
        let before = self.source.get(..position.offset).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let further = if names.len() > 1 { names[0].len() + 1 } else { 0 };
        format!(":{}:{}", position.line, position.offset - line + further)
    }
}

/// What the arguments of a function go through.
fn preparation(command: &CommandNode) -> Option<&'static str> {
    let Some(Expr::Identifier(_, name)) = command.args.first() else { return None };
    match name.as_str() {
        "len" => Some(ITEMS),
        name if OF_TEXTS.contains(&name) => Some(FLAT),
        _ => None,
    }
}

/// `.Label "x"` is a method in docker; here it is a function of the row.
fn label_call(command: &CommandNode) -> Option<Vec<Expr>> {
    match command.args.as_slice() {
        [Expr::Field(position, names), rest @ ..] if !rest.is_empty() && names.as_slice() == ["Label"] => {
            let head = [
                Expr::Identifier(*position, "label".into()),
                Expr::Variable(*position, "$".into(), Vec::new()),
            ];
            Some(head.into_iter().chain(rest.iter().cloned()).collect())
        }
        _ => None,
    }
}

fn call(position: Pos, name: &str) -> CommandNode {
    CommandNode { pos: position, args: vec![Expr::Identifier(position, name.into())] }
}

fn wrapped(name: &str, expression: Expr) -> Expr {
    let position = expression.pos();
    piped(position, vec![Expr::Identifier(position, name.into()), expression])
}

fn piped(position: Pos, args: Vec<Expr>) -> Expr {
    let commands = vec![CommandNode { pos: position, args }];
    Expr::Pipe(position, PipeNode { pos: position, decl: Vec::new(), commands, is_assign: false })
}
