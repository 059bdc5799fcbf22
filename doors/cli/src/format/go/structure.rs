//! What is wrong with the clauses of a template, in Go's words: the library takes `{{if .X}}` without an end for whole.
//!
//! Only what begins and ends clauses is looked at; an action that cannot be told apart is left to the library.

/// A clause that was begun.
struct Clause {
    keyword: &'static str,
    has_else: bool,
}

const CLAUSES: [&str; 5] = ["if", "range", "with", "define", "block"];

/// Checks that all clauses begin, go on and end as they may.
///
/// # Errors
/// As Go says it: `template: :LINE: …`.
pub(crate) fn check(source: &str) -> Result<(), String> {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(begin) = source[at..].find("{{").map(|begin| at + begin) {
        let Some((action, end)) = action(source, begin + 2) else { return Ok(()) };
        step(&mut open, action).map_err(|why| said(source, begin, &why))?;
        at = end;
    }
    if open.is_empty() { Ok(()) } else { Err(said(source, source.len(), "unexpected EOF")) }
}

fn said(source: &str, at: usize, why: &str) -> String {
    let line = source[..at].matches('\n').count() + 1;
    format!("template: :{line}: {why}")
}

fn step(open: &mut Vec<Clause>, action: &str) -> Result<(), String> {
    let length = action.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(action.len());
    let (word, rest) = action.split_at(length);
    if let Some(keyword) = CLAUSES.into_iter().find(|keyword| *keyword == word) {
        if rest.trim().is_empty() {
            let what = if matches!(keyword, "define" | "block") { " clause" } else { "" };
            return Err(format!("missing value for {keyword}{what}"));
        }
        open.push(Clause { keyword, has_else: false });
        return Ok(());
    }
    let in_range = open.iter().any(|clause| clause.keyword == "range");
    match (word, open.last_mut()) {
        ("else" | "end", None) => Err(format!("unexpected {{{{{word}}}}}")),
        ("end", Some(_)) => {
            open.pop();
            Ok(())
        }
        ("else", Some(clause)) if clause.has_else => Err("expected end; found {{else}}".into()),
        ("else", Some(clause)) => {
            clause.has_else = rest.trim().is_empty();
            Ok(())
        }
        ("break" | "continue", _) if !in_range => Err(format!("{{{{{word}}}}} outside {{{{range}}}}")),
        _ => Ok(()),
    }
}

/// The action that begins there, without its marks for blanks, and where it ends; a comment is an empty one.
fn action(source: &str, begin: usize) -> Option<(&str, usize)> {
    let text = &source[begin..];
    let inner = text.strip_prefix("- ").unwrap_or(text).trim_start();
    if inner.starts_with("/*") {
        let end = text.find("*/")? + text[text.find("*/")?..].find("}}")? + 2;
        return Some(("", begin + end));
    }
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' | '\'' | '`' => skip_quoted(&mut letters, letter)?,
            '}' if text[at..].starts_with("}}") => {
                let whole = text[..at].strip_prefix("- ").unwrap_or(&text[..at]);
                let whole = whole.strip_suffix(" -").unwrap_or(whole);
                return Some((whole.trim(), begin + at + 2));
            }
            _ => {}
        }
    }
    None
}

fn skip_quoted(letters: &mut std::str::CharIndices<'_>, quote: char) -> Option<()> {
    loop {
        match letters.next()?.1 {
            '\\' if quote != '`' => drop(letters.next()?),
            letter if letter == quote => return Some(()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_begin_go_on_and_end() {
        for good in [
            "{{if .A}}a{{else if .B}}b{{else}}c{{end}}",
            "{{range .A}}{{if .}}{{break}}{{end}}{{else}}none{{end}}",
            "{{- with .A -}} {{.}} {{- end}}{{/* {{if}} */}}",
            "{{print \"{{if}}\" `}}`}}",
            "{{ifx}}{{.end}}{{\"open",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (wrong, words) in [
            ("{{if .A}}", "1: unexpected EOF"),
            ("a\n{{range .A}}\nb\n", "4: unexpected EOF"),
            ("{{else}}", "1: unexpected {{else}}"),
            ("\n{{end}}", "2: unexpected {{end}}"),
            ("{{if}}a{{end}}", "1: missing value for if"),
            ("{{with }}a{{end}}", "1: missing value for with"),
            ("{{block}}", "1: missing value for block clause"),
            ("{{if .A}}a{{else}}b{{else}}c{{end}}", "1: expected end; found {{else}}"),
            ("{{if .A}}{{break}}{{end}}", "1: {{break}} outside {{range}}"),
        ] {
            assert_eq!(check(wrong), Err(format!("template: :{words}")), "{wrong}");
        }
    }
}
