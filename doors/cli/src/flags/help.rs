//! The help page of a command.

use std::fmt::Write as _;

use super::Flag;

/// Text is folded at this width where there is no terminal to fold it to.
const WIDTH: usize = 80;

/// The lines that explain the flags.
pub(crate) fn options(tables: &[&[Flag]]) -> String {
    let mut flags: Vec<&Flag> =
        tables.iter().flat_map(|table| table.iter()).filter(|flag| !flag.hidden).collect();
    flags.sort_by_key(|flag| flag.long);
    let heads: Vec<String> = flags.iter().map(|flag| head(flag)).collect();
    let column = heads.iter().map(String::len).max().unwrap_or(0) + 3;
    let width = match crate::stream::terminal::size() {
        [_, 0] => WIDTH,
        [_, columns] => usize::from(columns),
    };
    let mut page = String::new();
    for (flag, head) in flags.iter().zip(&heads) {
        let mut lines = fold(flag.help, width.saturating_sub(column).max(24)).into_iter();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{head:column$}{}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(page, "{:column$}{line}", "");
        }
    }
    page
}

fn head(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let gap = if flag.kind.is_switch() { "" } else { " " };
    format!("  {short}--{}{gap}{}", flag.long, flag.kind.word)
}

/// Breaks a text into lines no wider than `width`; line ends in the text stay.
pub(crate) fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
