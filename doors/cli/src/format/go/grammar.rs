//! A template as a tree, read as Go's `text/template/parse` reads it, and refused in its words.

use std::fmt;

use super::lex::{Item, Kind, items};
use super::literals;
use super::nodes::{Branch, Command, Node, Operand, Pipe, Place, Value};

/// A whole template: what is shown, and what is defined by names.
#[derive(Clone, Debug, Default)]
pub(super) struct Grammar {
    pub(super) main: Vec<Node>,
    pub(super) defined: Vec<(String, Vec<Node>)>,
}

impl Grammar {
    /// Reads a template; `knows` tells which functions there are.
    ///
    /// # Errors
    /// What is wrong, and in which line, as Go says it.
    pub(super) fn read(source: &str, knows: &dyn Fn(&str) -> bool) -> Result<Grammar, String> {
        let variables = vec!["$".to_owned()];
        let mut reader = Reader {
            items: items(source),
            next: 0,
            seen: 0,
            knows,
            variables,
            ranges: 0,
            depth: 0,
            action: None,
            defined: Vec::new(),
        };
        let main = reader.whole().map_err(|why| format!("template: :{}: {why}", reader.line()))?;
        Ok(Grammar { main, defined: reader.defined })
    }
}

struct Reader<'a> {
    items: Vec<Item>,
    next: usize,
    /// The furthest that was looked at.
    seen: usize,
    knows: &'a dyn Fn(&str) -> bool,
    variables: Vec<String>,
    ranges: usize,
    depth: usize,
    /// The line in which the action began.
    action: Option<usize>,
    defined: Vec<(String, Vec<Node>)>,
}

/// How a list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    End,
    Else,
}

/// A piece, or the end of a list.
enum Piece {
    Node(Node),
    Ending(Ending),
}

type Read<T> = Result<T, String>;

/// Go's own bound is the stack's; nobody writes so much.
const DEEPEST: usize = 200;

impl Reader<'_> {
    fn line(&self) -> usize {
        self.items.get(self.seen).map_or(1, |item| item.line)
    }

    fn peek(&mut self) -> &Item {
        self.seen = self.seen.max(self.next);
        &self.items[self.next.min(self.items.len() - 1)]
    }

    fn take(&mut self) -> Item {
        let item = self.peek().clone();
        self.next = (self.next + 1).min(self.items.len() - 1);
        item
    }

    fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> &Item {
        self.skip_spaces();
        self.peek()
    }

    fn take_word(&mut self) -> Item {
        self.skip_spaces();
        self.take()
    }

    fn is_keyword(&mut self, word: &str) -> bool {
        let next = self.peek_word();
        next.kind == Kind::Keyword && next.text == word
    }

    fn unexpected<T>(&self, item: &Item, context: &str) -> Read<T> {
        if item.kind != Kind::Error {
            return Err(format!("unexpected {} in {context}", shown(item)));
        }
        let begun = self.action.filter(|line| *line != item.line);
        Err(match (begun, item.text.strip_suffix(" action")) {
            (None, _) => item.text.clone(),
            (Some(line), None) => format!("{} in action started at :{line}", item.text),
            (Some(line), Some(_)) => format!("{} started at :{line}", item.text),
        })
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Read<Item> {
        let item = self.take_word();
        if item.kind == kind { Ok(item) } else { self.unexpected(&item, context) }
    }

    fn whole(&mut self) -> Read<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            let begin = self.next;
            if self.peek().kind == Kind::LeftDelim {
                self.take();
                if self.is_keyword("define") {
                    self.take_word();
                    self.definition()?;
                    continue;
                }
                self.next = begin;
            }
            match self.piece()? {
                Piece::Node(node) => nodes.push(node),
                Piece::Ending(ending) => return Err(format!("unexpected {ending}")),
            }
        }
        Ok(nodes)
    }

    fn definition(&mut self) -> Read<()> {
        const CONTEXT: &str = "define clause";
        let name = self.name(CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let body = self.list_to_end(CONTEXT)?;
        self.variables = outer;
        self.defined.push((name, body));
        Ok(())
    }

    fn list_to_end(&mut self, context: &str) -> Read<Vec<Node>> {
        match self.list()? {
            (body, Ending::End) => Ok(body),
            (_, ending) => Err(format!("unexpected {ending} in {context}")),
        }
    }

    fn name(&mut self, context: &str) -> Read<String> {
        let item = self.take_word();
        match item.kind {
            Kind::String | Kind::RawString => {
                literals::unquoted(&item.text).ok_or("invalid syntax".to_owned())
            }
            _ => self.unexpected(&item, context),
        }
    }

    fn list(&mut self) -> Read<(Vec<Node>, Ending)> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("exceeded maximum depth".into());
        }
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::End {
            match self.piece()? {
                Piece::Node(node) => nodes.push(node),
                Piece::Ending(ending) => {
                    self.depth -= 1;
                    return Ok((nodes, ending));
                }
            }
        }
        Err("unexpected EOF".into())
    }

    fn piece(&mut self) -> Read<Piece> {
        let item = self.take_word();
        match item.kind {
            Kind::Text => Ok(Piece::Node(Node::Text(item.text))),
            Kind::LeftDelim => {
                self.action = Some(item.line);
                let piece = self.action()?;
                self.action = None;
                Ok(piece)
            }
            _ => self.unexpected(&item, "input"),
        }
    }

    fn action(&mut self) -> Read<Piece> {
        let begin = self.next;
        let word = self.take_word();
        let place = Place { at: word.at, line: word.line };
        let keyword = if word.kind == Kind::Keyword { word.text.as_str() } else { "" };
        Ok(Piece::Node(match keyword {
            "block" => self.block(place)?,
            "break" => {
                self.leaves_range("{{break}}")?;
                Node::Break(place)
            }
            "continue" => {
                self.leaves_range("{{continue}}")?;
                Node::Continue(place)
            }
            "else" => return self.other().map(|()| Piece::Ending(Ending::Else)),
            "end" => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Piece::Ending(Ending::End));
            }
            "if" => Node::If(self.branch(place, "if")?),
            "range" => Node::Range(self.branch(place, "range")?),
            "with" => Node::With(self.branch(place, "with")?),
            "template" => self.template()?,
            _ => {
                self.next = begin;
                Node::Action(self.pipe("command", Kind::RightDelim)?)
            }
        }))
    }

    fn leaves_range(&mut self, word: &str) -> Read<()> {
        self.expect(Kind::RightDelim, word)?;
        if self.ranges == 0 { Err(format!("{word} outside {{{{range}}}}")) } else { Ok(()) }
    }

    /// `{{else if …}}` is `{{else}}{{if …}}` with one end for both.
    fn other(&mut self) -> Read<()> {
        if self.is_keyword("if") || self.is_keyword("with") {
            return Ok(());
        }
        self.expect(Kind::RightDelim, "else").map(drop)
    }

    fn branch(&mut self, place: Place, context: &str) -> Read<Branch> {
        let known = self.variables.len();
        let pipe = self.pipe(context, Kind::RightDelim)?;
        let loops = usize::from(context == "range");
        self.ranges += loops;
        let (body, ending) = self.list()?;
        self.ranges -= loops;
        let other = match ending {
            Ending::End => None,
            Ending::Else if matches!(context, "if" | "with") && self.is_keyword(context) => {
                let item = self.take_word();
                let branch = self.branch(Place { at: item.at, line: item.line }, context)?;
                Some(vec![if context == "if" { Node::If(branch) } else { Node::With(branch) }])
            }
            Ending::Else => match self.list()? {
                (nodes, Ending::End) => Some(nodes),
                (_, ending) => return Err(format!("expected end; found {ending}")),
            },
        };
        self.variables.truncate(known);
        Ok(Branch { place, pipe, body, other })
    }

    fn block(&mut self, place: Place) -> Read<Node> {
        const CONTEXT: &str = "block clause";
        let name = self.name(CONTEXT)?;
        let pipe = self.pipe(CONTEXT, Kind::RightDelim)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let body = self.list_to_end(CONTEXT)?;
        self.variables = outer;
        self.defined.push((name.clone(), body));
        let text = format!("{{{{template {name:?} {pipe}}}}}");
        Ok(Node::Template { place, name, text, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Read<Node> {
        const CONTEXT: &str = "template clause";
        self.skip_spaces();
        let place = Place { at: self.peek().at, line: self.peek().line };
        let name = self.name(CONTEXT)?;
        if self.peek_word().kind == Kind::RightDelim {
            self.take();
            let text = format!("{{{{template {name:?}}}}}");
            return Ok(Node::Template { place, name, text, pipe: None });
        }
        let pipe = self.pipe(CONTEXT, Kind::RightDelim)?;
        let text = format!("{{{{template {name:?} {pipe}}}}}");
        Ok(Node::Template { place, name, text, pipe: Some(pipe) })
    }

    fn pipe(&mut self, context: &str, end: Kind) -> Read<Pipe> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("exceeded maximum depth".into());
        }
        self.skip_spaces();
        let mut pipe =
            Pipe { place: Place { at: self.peek().at, line: self.peek().line }, ..Pipe::default() };
        self.declarations(&mut pipe, context)?;
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

/// A word as Go shows it.
fn shown(item: &Item) -> String {
    match item.kind {
        Kind::End => "EOF".to_owned(),
        Kind::Keyword => format!("<{}>", item.text),
        _ if item.text.chars().count() > 10 => {
            format!("{:?}...", item.text.chars().take(10).collect::<String>())
        }
        _ => format!("{:?}", item.text),
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::End => "{{end}}",
            Ending::Else => "{{else}}",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(source: &str) -> String {
        let knows = |name: &str| matches!(name, "upper" | "json");
        Grammar::read(source, &knows).map(|_| String::new()).unwrap_or_else(|why| why)
    }

    #[test]
    fn what_go_reads_is_read() {
        for good in [
            "{{if .A}}a{{else if .B}}b{{else}}c{{end}}",
            "{{range $i, $e := .A}}{{$i}}{{if .}}{{break}}{{end}}{{else}}none{{end}}",
            "{{- with .A -}} {{.}} {{else with .B}}{{- end}}{{/* {{if}} */}}",
            "{{.ID | }}{{.A|upper|json}}{{(upper .A).B}}{{1_000}}{{'a'}}{{`}}`}}{{-1}}",
            "{{define \"x\"}}{{$}}{{end}}{{block \"y\" .}}{{end}}{{template \"x\" .A.B}}{{$x := 1}}{{$x = 2}}",
        ] {
            assert_eq!(wrong(good), "", "{good}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_in_its_words() {
        for (source, words) in [
            ("{{", "1: unclosed action"),
            ("a\n{{.A\n", "3: unclosed action started at :2"),
            ("{{.", "1: illegal number syntax: \".\""),
            ("{{}}", "1: missing value for command"),
            ("{{ .A }", "1: unexpected \"}\" in operand"),
            ("{{foo .A}}", "1: function \"foo\" not defined"),
            ("{{| .A}}", "1: unexpected \"|\" in command"),
            ("{{()}}", "1: missing value for parenthesized pipeline"),
            ("{{nil.A}}", "1: unexpected . after term \"nil\""),
            ("{{ .A.}}", "1: unexpected <.> in operand"),
            ("{{$x}}", "1: undefined variable \"$x\""),
            ("{{with $x := 1}}{{end}}{{$x}}", "1: undefined variable \"$x\""),
            ("{{$x, $y := .A}}", "1: too many declarations in command"),
            ("{{range $i, := .A}}{{end}}", "1: range can only initialize variables"),
            ("{{.A | 1}}", "1: non executable command in pipeline stage 2"),
            ("{{if .A}}", "1: unexpected EOF"),
            ("a\n{{range .A}}\nb\n", "4: unexpected EOF"),
            ("\n{{end}}", "2: unexpected {{end}}"),
            ("{{else}}", "1: unexpected {{else}}"),
            ("{{if}}a{{end}}", "1: missing value for if"),
            ("{{if .A}}a{{else}}b{{else}}c{{end}}", "1: expected end; found {{else}}"),
            ("{{if .A}}{{else foo}}{{end}}", "1: unexpected \"foo\" in else"),
            ("{{with .A}}{{else if .B}}{{end}}", "1: unexpected <if> in input"),
            ("{{if .A}}{{break}}{{end}}", "1: {{break}} outside {{range}}"),
            ("{{if .A}}{{define \"x\"}}{{end}}{{end}}", "1: unexpected <define> in command"),
            ("{{define x}}{{end}}", "1: unexpected \"x\" in define clause"),
            ("{{block \"x\"}}{{end}}", "1: missing value for block clause"),
            ("{{template}}", "1: unexpected \"}}\" in template clause"),
            ("{{.A == \"a\"}}", "1: unexpected \"=\" in operand"),
            ("{{.A \"averylongtext\"b}}", "1: unexpected \"b\" in operand"),
            ("{{99999999999999999999}}", "1: integer overflow: \"99999999999999999999\""),
            ("{{'ab'}}", "1: malformed character constant: 'ab'"),
            ("{{\"\\q\"}}", "1: invalid syntax"),
        ] {
            assert_eq!(wrong(source), format!("template: :{words}"), "{source}");
        }
    }

    #[test]
    fn nobody_nests_so_deeply() {
        assert!(wrong(&"{{if .A}}".repeat(100_000)).ends_with("exceeded maximum depth"));
        assert!(wrong(&format!("{{{{{}", "(".repeat(100_000))).ends_with("exceeded maximum depth"));
    }
}
