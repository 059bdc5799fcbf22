//! Columns as Go's `text/tabwriter` aligns them: a column is a run of lines that have a cell there,
//! and it is as wide as its widest cell plus the padding. The last cell of a line is not aligned.

/// Columns at least so wide, with so many blanks between them.
#[derive(Clone, Copy)]
pub(crate) struct Tabs {
    pub(crate) minimum: usize,
    pub(crate) padding: usize,
}

/// The columns of docker's listings.
pub(crate) const LISTING: Tabs = Tabs { minimum: 10, padding: 3 };

impl Tabs {
    /// Aligns a text whose cells end in tabs.
    pub(crate) fn align(self, text: &str) -> String {
        let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
        let mut page = Page { tabs: self, widths: Vec::new(), out: String::with_capacity(text.len() * 2) };
        page.block(&lines);
        // The split leaves an empty line after the last line end; it has none of its own.
        page.out.pop();
        page.out
    }
}

struct Page {
    tabs: Tabs,
    widths: Vec<usize>,
    out: String,
}

impl Page {
    fn block(&mut self, lines: &[Vec<&str>]) {
        let column = self.widths.len();
        let has_cell = |line: &Vec<&str>| column + 1 < line.len();
        let mut start = 0;
        let mut at = 0;
        while at < lines.len() {
            if !has_cell(&lines[at]) {
                at += 1;
                continue;
            }
            self.write(&lines[start..at]);
            start = at;
            let mut width = self.tabs.minimum;
            while at < lines.len() && has_cell(&lines[at]) {
                width = width.max(length(lines[at][column]) + self.tabs.padding);
                at += 1;
            }
            self.widths.push(width);
            self.block(&lines[start..at]);
            self.widths.pop();
            start = at;
        }
        self.write(&lines[start..]);
    }

    fn write(&mut self, lines: &[Vec<&str>]) {
        for line in lines {
            for (index, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                if let Some(width) = self.widths.get(index) {
                    self.out.extend(std::iter::repeat_n(' ', width.saturating_sub(length(cell))));
                }
            }
            self.out.push('\n');
        }
    }
}

fn length(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = "ID\tNAME\tSIZE\n1\ta-rather-long-name\t2B\n1234567890ab\t\t3B\n";
        let expected = "ID             NAME                 SIZE\n\
                        1              a-rather-long-name   2B\n\
                        1234567890ab                        3B\n";
        assert_eq!(LISTING.align(text), expected);
    }

    #[test]
    fn a_line_without_the_cell_ends_the_column() {
        let narrow = Tabs { minimum: 0, padding: 1 };
        assert_eq!(narrow.align("a\tb\nplain\nlonger\tb\n"), "a b\nplain\nlonger b\n");
        assert_eq!(narrow.align("é\tb\nxy\tb\n"), "é  b\nxy b\n");
        assert_eq!(narrow.align(""), "");
    }
}
