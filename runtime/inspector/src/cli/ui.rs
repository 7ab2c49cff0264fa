//! Talking to a person: tables that line up, progress that can be seen, and nothing of either where a machine listens.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};

/// A table with a header; the first column is text (left), the others figures (right).
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new<const N: usize>(heads: [&str; N]) -> Table {
        Table { rows: vec![heads.iter().map(|head| (*head).to_owned()).collect()] }
    }

    /// Adds a row; missing cells at its end stay empty.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) -> &mut Table {
        self.rows.push(cells.into());
        self
    }

    /// The table as text, each line indented by two, figures to the right.
    pub fn render(&self) -> String {
        self.lay_out(false)
    }

    /// The same with every column to the left: for names and facts.
    pub fn render_left(&self) -> String {
        self.lay_out(true)
    }

    fn lay_out(&self, left: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                if column == 0 || left {
                    line += &format!("{}{cell:<width$}", if column == 0 { " " } else { "  " });
                } else {
                    line += &format!("  {cell:>width$}");
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// A progress bar for `total` steps on standard error; hidden where that is no terminal, so that logs stay logs.
pub fn progress(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target());
    let style = ProgressStyle::with_template("  {msg:<22} {bar:32.cyan/dim} {pos:>5}/{len}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
    bar.set_message(what);
    bar
}

fn target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr_with_hz(12) } else { ProgressDrawTarget::hidden() }
}

/// Writes a line to standard output. A reader that has gone away (`| head`) is no error of ours.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
}

/// Writes a value as one line of JSON to standard output.
pub fn say_json(value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => say(text),
        // Only a map with keys that are not text can fail, and none is written here.
        Err(error) => log::error!("cannot write JSON: {error}"),
    }
}

/// Microseconds as milliseconds with three significant figures at least.
pub fn ms(us: u64) -> String {
    let ms = us as f64 / 1000.0;
    match us {
        0..1_000 => format!("{ms:.3}"),
        1_000..100_000 => format!("{ms:.2}"),
        _ => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["stage", "p50", "p99"]);
        table.row(["infer".into(), "12.10".into(), "9".into()]).row(["µ".into(), "1".into(), "100.00".into()]);
        assert_eq!(table.render(), "  stage    p50     p99\n  infer  12.10       9\n  µ          1  100.00\n");
    }

    #[test]
    fn times_keep_three_figures() {
        let cases = [(7, "0.007"), (812, "0.812"), (1_234, "1.23"), (45_678, "45.68"), (123_456, "123")];
        for (us, expected) in cases {
            assert_eq!(ms(us), expected);
        }
    }
}
