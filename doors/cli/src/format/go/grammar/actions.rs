//! Texts and actions: what is shown, repeated, chosen and defined.

use std::fmt;

use super::super::lex::Kind;
use super::super::literals;
use super::super::nodes::{Branch, Node, Place};
use super::{DEEPEST, Read, Reader};

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

impl Reader<'_> {
    pub(super) fn whole(&mut self) -> Read<Vec<Node>> {
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
        let body = self.body(CONTEXT)?;
        self.define(name, body)
    }

    /// What has neither variables of what it stands in, nor can leave its loops.
    fn body(&mut self, context: &str) -> Read<Vec<Node>> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let body = self.list_to_end(context)?;
        (self.variables, self.ranges) = (variables, ranges);
        Ok(body)
    }

    /// Only what shows nothing can be defined again.
    fn define(&mut self, name: String, body: Vec<Node>) -> Read<()> {
        let is_empty = |body: &[Node]| {
            body.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
        };
        match self.defined.iter_mut().find(|(known, _)| *known == name) {
            None => self.defined.push((name, body)),
            Some((_, known)) if is_empty(known) => *known = body,
            Some(_) if is_empty(&body) => {}
            Some(_) => return Err(format!("template: multiple definition of template {name:?}")),
        }
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
        let body = self.body(CONTEXT)?;
        self.define(name.clone(), body)?;
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
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::End => "{{end}}",
            Ending::Else => "{{else}}",
        })
    }
}
