//! Draws what was measured, for the README: how many times longer than Dhow each peer took.

use std::fmt::Write as _;

use super::series::Table;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 70.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;

/// An SVG with a group of bars for each case, on a logarithmic scale from 1.
pub(crate) fn svg(tables: &[Table]) -> String {
    let greatest = tables.iter().flat_map(ratios).map(|(_, ratio)| ratio).fold(10.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / greatest.ln();
    let mut body = String::new();
    let mut top = 40.0;
    for table in tables.iter().filter(|table| table.rows.len() > 1) {
        let _ = writeln!(body, "<text x=\"8\" y=\"{}\">{}</text>", top + BAR - 4.0, escaped(table.name));
        for (name, ratio) in ratios(table) {
            let length = (ratio.max(1.0).ln() * scale).max(1.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{}\" class=\"{name}\"/>\
                 <text x=\"{:.1}\" y=\"{}\">{name} × {ratio:.1}</text>",
                BAR - 3.0,
                LEFT + length + 5.0,
                top + BAR - 5.0,
            );
            top += BAR;
        }
        top += GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {top}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<style>rect{{fill:#888}} .docker{{fill:#2496ed}} .podman{{fill:#892ca0}} \
         .crun{{fill:#c0392b}} .runc{{fill:#e67e22}}</style>\n\
         <rect width=\"100%\" height=\"100%\" style=\"fill:#fff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">Time of peers, as a multiple of Dhow's (median, same machine, in turn; \
         logarithmic)</text>\n{body}</svg>\n",
        WIDTH + RIGHT,
    )
}

/// Each peer, and how many times longer it took.
fn ratios(table: &Table) -> Vec<(&'static str, f64)> {
    let Some((ours, peers)) = table.rows.split_first() else { return Vec::new() };
    peers.iter().map(|peer| (peer.name, peer.median / ours.median)).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
