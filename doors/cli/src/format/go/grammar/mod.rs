//! A template as a tree, read as Go's `text/template/parse` reads it, and refused in its words: [`actions`] are what stands
//! between braces, [`pipes`] what they are about.

mod actions;
mod pipes;

use super::lex::{Item, Kind, items};
use super::nodes::Node;

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
            coming: Vec::new(),
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
    /// Variables that get their value from what is being read.
    coming: Vec<String>,
    ranges: usize,
    depth: usize,
    /// The line in which the action began.
    action: Option<usize>,
    defined: Vec<(String, Vec<Node>)>,
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
