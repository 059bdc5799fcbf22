//! Prints tables and writes them as JSON.

use anyhow::Result;

use super::series::Table;

/// Prints one table; the ratios are to the first row, Dhow.
pub(crate) fn print(table: &Table) {
    println!("\n{} ({} rounds; ms)", table.name, table.rounds);
    println!(
        "  {:<10} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "", "least", "median", "90 %", "cpu", "× time", "× cpu"
    );
    let Some(first) = table.rows.first() else { return };
    for row in &table.rows {
        println!(
            "  {:<10} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>8.1} {:>8.1}",
            row.name,
            row.least / 1e3,
            row.median / 1e3,
            row.ninth_decile / 1e3,
            row.processor / 1e3,
            row.median / first.median,
            row.processor / first.processor,
        );
    }
}

/// Writes all tables to `target/bench.json`, and draws them.
pub(crate) fn write(tables: &[Table]) -> Result<()> {
    std::fs::create_dir_all("target")?;
    std::fs::write("target/bench.json", serde_json::to_vec_pretty(tables)?)?;
    std::fs::write("target/bench.svg", super::plot::svg(tables))?;
    println!("\nwritten to target/bench.json and target/bench.svg");
    Ok(())
}
