//! Lists of tables: `[[name]]`, each read by the same code.

use toml::de::DeValue;

use super::{Reader, Section, kind, line_of};
use crate::config::problem::Problem;

impl<'t> Reader<'t> {
    /// What `read` makes of each table of the list `[[name]]`, in the file's order.
    pub fn each_table<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Section<'_, 't>) -> T) -> Vec<T> {
        self.sections.push(name);
        let Some(value) = self.table.remove(name) else { return vec![] };
        let line = line_of(self.text, value.span().start);
        let DeValue::Array(items) = value.into_inner() else {
            let what = format!("{name} is not a list of tables");
            self.problems.push(Problem::new(Some(line), what, format!("one or more of [[{name}]]")));
            return vec![];
        };
        let mut found = Vec::with_capacity(items.len());
        let mut described = None;
        for item in items {
            let line = line_of(self.text, item.span().start);
            let table = match item.into_inner() {
                DeValue::Table(table) => table,
                other => {
                    let what = format!("{name} holds {}, not a table", kind(&other));
                    self.problems.push(Problem::new(Some(line), what, format!("one or more of [[{name}]]")));
                    continue;
                }
            };
            let before = self.problems.len();
            let mut section = Section { present: true, table, name, reader: self };
            found.push(read(&mut section));
            drop(section);
            // Of several tables with the same keys, the place says which is meant.
            self.problems[before..].iter_mut().for_each(|problem| problem.line = problem.line.or(Some(line)));
            self.keys.truncate(*described.get_or_insert(self.keys.len()));
        }
        found
    }
}
