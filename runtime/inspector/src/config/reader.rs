//! Reading a TOML file so that nothing is ignored.
//!
//! Each key is asked for once, with its range, unit and default in the same call. That one call is also the key's
//! documentation ([`KeyDoc`]) and what makes it known: whatever is in the file and was never asked for is refused,
//! with the nearest key that was. Problems are collected, never thrown, so that one run reports all of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Refused};

mod overlay;
mod tables;

/// What is known of one key: for the reference that `jidoka check --keys` prints.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct KeyDoc {
    /// The table, without brackets.
    pub section: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// What may stand there: `5 to 60000`, `"rgb" or "grey"`, `text`.
    pub accepts: String,
    /// The value where the key is absent; `None` where it must be given or has no value.
    pub default: Option<String>,
    /// What it means, one line.
    pub help: &'static str,
}

/// Reads one file; hands out its sections.
pub struct Reader<'t> {
    text: &'t str,
    table: DeTable<'t>,
    problems: Vec<Problem>,
    keys: Vec<KeyDoc>,
    lines: BTreeMap<(&'static str, &'static str), usize>,
    sections: Vec<&'static str>,
    unknown: Vec<(&'static str, String, usize)>,
}

impl<'t> Reader<'t> {
    /// Parses `text`. A syntax error is the only problem then: the rest cannot be trusted.
    pub fn new(file: &str, text: &'t str) -> Result<Self, Refused> {
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let problem = Problem::new(line, format!("not TOML: {}", error.message()), "TOML 1.0")
                    .hint("see https://toml.io; text values need quotes, tables look like [camera]");
                return Err(Refused { file: file.into(), problems: vec![problem] });
            }
        };
        let (problems, keys, lines) = (vec![], vec![], BTreeMap::new());
        Ok(Reader { text, table, problems, keys, lines, sections: vec![], unknown: vec![] })
    }

    /// The table `[name]`, empty if the file has none.
    pub fn section(&mut self, name: &'static str) -> Section<'_, 't> {
        self.sections.push(name);
        let table = match self.table.remove(name) {
            None => None,
            Some(value) => {
                let line = line_of(self.text, value.span().start);
                match value.into_inner() {
                    DeValue::Table(table) => Some(table),
                    other => {
                        let what = format!("{name} is {}, not a table", kind(&other));
                        self.problems.push(Problem::new(Some(line), what, format!("a table: [{name}]")));
                        None
                    }
                }
            }
        };
        Section { present: table.is_some(), table: table.unwrap_or_default(), name, reader: self }
    }

    /// The line on which a key stood, for problems found after reading.
    pub fn line(&self, section: &'static str, key: &'static str) -> Option<usize> {
        self.lines.get(&(section, key)).copied()
    }

    /// Adds a problem that only shows when several keys are seen together.
    pub fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Every key that was asked for so far.
    pub fn keys(&self) -> &[KeyDoc] {
        &self.keys
    }

    /// Whether the same thing, on the same line, was refused already.
    pub fn has(&self, problem: &Problem) -> bool {
        self.problems.iter().any(|known| known.line == problem.line && known.what == problem.what)
    }

    /// Whether nothing of the table `[name]` was refused so far.
    pub fn is_clean_in(&self, name: &str) -> bool {
        let prefix = format!("[{name}]");
        !self.problems.iter().any(|problem| problem.what.starts_with(&prefix))
    }

    /// Whether nothing of this key was refused so far.
    pub fn is_clean_at(&self, section: &str, key: &str) -> bool {
        let prefix = format!("[{section}] {key} ");
        !self.problems.iter().any(|problem| problem.what.starts_with(&prefix))
    }

    /// Ends the reading: refuses the sections that nobody asked for, and gives every problem in the file's order.
    pub fn finish(mut self, file: &str) -> Result<Vec<KeyDoc>, Refused> {
        for (name, _) in std::mem::take(&mut self.table) {
            let line = line_of(self.text, name.span().start);
            let name = name.into_inner();
            let known = self.sections.iter().map(|known| format!("[{known}]")).collect::<Vec<_>>().join(", ");
            let mut problem = Problem::new(Some(line), format!("[{name}] is not a known table"), known);
            if let Some(near) = nearest(&name, self.sections.iter().copied()) {
                problem = problem.hint(format!("[{near}]"));
            } else if let Some(doc) = self.keys.iter().find(|doc| doc.key == name) {
                problem = problem.hint(format!("{name} belongs under [{}]", doc.section));
            }
            self.problems.push(problem);
        }
        self.refuse_unknown_keys();
        if self.problems.is_empty() {
            return Ok(self.keys);
        }
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        Err(Refused { file: file.into(), problems: self.problems })
    }

    /// A key that nobody asked for: meant was the nearest of its table, or the same word in another table.
    fn unknown_key(&self, section: &'static str, key: &str, line: usize) -> Problem {
        let known = || self.keys.iter().filter(|doc| doc.section == section).map(|doc| doc.key);
        let expected = format!("one of {}", known().collect::<Vec<_>>().join(", "));
        let problem = Problem::new(Some(line), format!("[{section}] {key} is not a known key"), expected);
        if let Some(doc) = self.keys.iter().find(|doc| doc.key == key) {
            return problem.hint(format!("{key} belongs under [{}]", doc.section));
        }
        match nearest(key, known()) {
            Some(near) => problem.hint(near.to_owned()),
            None => problem,
        }
    }
}

/// One table of the file. Drop it (or let it go out of scope) when its keys are read: what is left in it is refused.
pub struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    name: &'static str,
    table: DeTable<'t>,
    present: bool,
}

impl<'t> Section<'_, 't> {
    /// Whether the file has this table.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// A number within `range`, whose unit is the end of its name. `default` of `None`: it must be given.
    pub fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        default: Option<f64>,
        help: &'static str,
    ) -> f64 {
        let accepts = format!("{} to {}", range.start(), range.end());
        self.describe(key, &accepts, default.map(|value| value.to_string()), help);
        let fallback = default.unwrap_or(*range.start());
        match self.take(key, default.is_some(), &accepts) {
            None => fallback,
            Some((line, value)) => match as_number(&value) {
                Some(number) if range.contains(&number) => number,
                Some(number) => {
                    let what = format!("[{}] {key} = {number} is out of range", self.name);
                    self.reader.refuse(Problem::new(Some(line), what, accepts));
                    fallback
                }
                None => {
                    self.wrong_kind(line, key, &value, format!("a number, {accepts}"));
                    fallback
                }
            },
        }
    }

    /// A number that may be absent, with no value then.
    pub fn optional_number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        help: &'static str,
    ) -> Option<f64> {
        if self.table.contains_key(key) {
            return Some(self.number(key, range, None, help));
        }
        self.describe(key, &format!("{} to {}", range.start(), range.end()), None, help);
        None
    }

    /// A whole number that may be absent, with no value then.
    pub fn optional_count(&mut self, key: &'static str, range: RangeInclusive<u32>, help: &'static str) -> Option<u32> {
        if self.table.contains_key(key) {
            return Some(self.count(key, range, None, help));
        }
        self.describe(key, &format!("{} to {}", range.start(), range.end()), None, help);
        None
    }

    /// A whole number within `range`.
    pub fn count(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        default: Option<u32>,
        help: &'static str,
    ) -> u32 {
        let line_before = self.table.get(key).map(|value| line_of(self.reader.text, value.span().start));
        let bounds = f64::from(*range.start())..=f64::from(*range.end());
        let number = self.number(key, bounds, default.map(f64::from), help);
        if number.fract() != 0.0 {
            let what = format!("[{}] {key} = {number} is not a whole number", self.name);
            let expected = format!("a whole number, {} to {}", range.start(), range.end());
            self.reader.refuse(Problem::new(line_before, what, expected));
        }
        number as u32
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool, help: &'static str) -> bool {
        self.describe(key, "true or false", Some(default.to_string()), help);
        match self.take(key, true, "") {
            None => default,
            Some((_, DeValue::Boolean(value))) => value,
            Some((line, value)) => {
                self.wrong_kind(line, key, &value, "true or false, without quotes".into());
                default
            }
        }
    }

    /// Text, as it stands; `None` where the key is absent.
    pub fn text(&mut self, key: &'static str, help: &'static str) -> Option<String> {
        self.describe(key, "text", None, help);
        self.take_text(key, true, "text in quotes")
    }

    /// Text that must be given. The empty string where it is not: the refusal is recorded.
    pub fn required_text(&mut self, key: &'static str, help: &'static str) -> String {
        self.describe(key, "text, required", None, help);
        self.take_text(key, false, "text in quotes").unwrap_or_default()
    }

    /// One of a few words, each with what it stands for.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        default: Option<&'static str>,
        help: &'static str,
    ) -> T {
        let accepts = words(choices);
        self.describe(key, &accepts, default.map(str::to_owned), help);
        let fallback = choices.iter().find(|(word, _)| Some(*word) == default).unwrap_or(&choices[0]).1;
        let line = self.table.get(key).map(|value| line_of(self.reader.text, value.span().start));
        let Some(word) = self.take_text(key, default.is_some(), &accepts) else { return fallback };
        if let Some((_, value)) = choices.iter().find(|(known, _)| *known == word) {
            return *value;
        }
        let what = format!("[{}] {key} = \"{word}\" is not one of the choices", self.name);
        let mut problem = Problem::new(line, what, accepts);
        if let Some(near) = nearest(&word, choices.iter().map(|(known, _)| *known)) {
            problem = problem.hint(format!("{key} = \"{near}\""));
        }
        self.reader.refuse(problem);
        fallback
    }

    /// As [`Section::choice`], for a key that may be absent.
    pub fn optional_choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        help: &'static str,
    ) -> Option<T> {
        if self.table.contains_key(key) {
            return Some(self.choice(key, choices, None, help));
        }
        self.describe(key, &words(choices), None, help);
        None
    }

    /// A table of whole numbers by name, in the order of their names; empty where absent.
    pub fn integers(&mut self, key: &'static str, help: &'static str) -> Vec<(String, i64)> {
        let accepts = "a table of whole numbers: { name = 1 }";
        self.describe(key, accepts, Some("{}".into()), help);
        let Some((line, value)) = self.take(key, true, accepts) else { return vec![] };
        let DeValue::Table(table) = &value else {
            self.wrong_kind(line, key, &value, accepts.into());
            return vec![];
        };
        let mut integers = Vec::with_capacity(table.len());
        for (name, value) in table {
            match as_number(value.get_ref()) {
                Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                    integers.push((name.get_ref().clone().into_owned(), number as i64));
                }
                _ => {
                    let what = format!("[{}] {key}: {} is not a whole number", self.name, name.get_ref());
                    self.reader.refuse(Problem::new(Some(line), what, accepts));
                }
            }
        }
        integers
    }

    /// A list of texts, empty where absent.
    pub fn texts(&mut self, key: &'static str, help: &'static str) -> Vec<String> {
        let accepts = "a list of texts";
        self.describe(key, accepts, Some("[]".into()), help);
        let Some((line, value)) = self.take(key, true, accepts) else { return vec![] };
        let texts = match &value {
            DeValue::Array(items) => items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        texts.unwrap_or_else(|| {
            self.wrong_kind(line, key, &value, accepts.into());
            vec![]
        })
    }

    /// A list of whole numbers, empty where absent.
    pub fn counts(&mut self, key: &'static str, range: RangeInclusive<u32>, help: &'static str) -> Vec<u32> {
        let accepts = format!("a list of whole numbers, {} to {}", range.start(), range.end());
        self.describe(key, &accepts, Some("[]".into()), help);
        let Some((line, value)) = self.take(key, true, &accepts) else { return vec![] };
        let DeValue::Array(items) = &value else {
            self.wrong_kind(line, key, &value, accepts);
            return vec![];
        };
        let bounds = f64::from(*range.start())..=f64::from(*range.end());
        let counts = items
            .iter()
            .map(|item| as_number(item.get_ref()).filter(|number| number.fract() == 0.0 && bounds.contains(number)));
        let counts: Option<Vec<u32>> = counts.map(|number| number.map(|number| number as u32)).collect();
        counts.unwrap_or_else(|| {
            let what = format!("[{}] {key} holds something else", self.name);
            self.reader.refuse(Problem::new(Some(line), what, accepts));
            vec![]
        })
    }

    /// A list of tables, each with all of these numbers; empty where absent.
    pub fn rows<const N: usize>(
        &mut self,
        key: &'static str,
        fields: [&'static str; N],
        help: &'static str,
    ) -> Vec<[f64; N]> {
        let example = fields.map(|field| format!("{field} = 1")).join(", ");
        let accepts = format!("a list of tables: [{{ {example} }}]");
        self.describe(key, &accepts, Some("[]".into()), help);
        let Some((line, value)) = self.take(key, true, &accepts) else { return vec![] };
        let row = |item: &DeValue<'_>| {
            let DeValue::Table(table) = item else { return None };
            let mut row = [0.0; N];
            for (field, place) in fields.iter().zip(&mut row) {
                *place = as_number(table.get(*field)?.get_ref())?;
            }
            (table.len() == N).then_some(row)
        };
        let rows = match &value {
            DeValue::Array(items) => items.iter().map(|item| row(item.get_ref())).collect(),
            _ => None,
        };
        rows.unwrap_or_else(|| {
            let what = format!("[{}] {key} holds something else", self.name);
            self.reader.refuse(Problem::new(Some(line), what, accepts));
            vec![]
        })
    }

    /// Refuses the value of a key that has been read.
    pub fn refuse(&mut self, key: &'static str, what: &str, expected: &str) {
        let line = self.reader.lines.get(&(self.name, key)).copied();
        self.reader.refuse(Problem::new(line, format!("[{}] {key} {what}", self.name), expected));
    }

    fn describe(&mut self, key: &'static str, accepts: &str, default: Option<String>, help: &'static str) {
        self.reader.keys.push(KeyDoc { section: self.name, key, accepts: accepts.into(), default, help });
    }

    fn take(&mut self, key: &'static str, may_be_absent: bool, accepts: &str) -> Option<(usize, DeValue<'t>)> {
        let Some(value) = self.table.remove(key) else {
            if !may_be_absent {
                let what = format!("[{}] {key} is missing", self.name);
                self.reader.refuse(Problem::new(None, what, format!("{key} = {accepts}")));
            }
            return None;
        };
        let line = line_of(self.reader.text, value.span().start);
        self.reader.lines.insert((self.name, key), line);
        Some((line, value.into_inner()))
    }

    fn take_text(&mut self, key: &'static str, may_be_absent: bool, accepts: &str) -> Option<String> {
        let (line, value) = self.take(key, may_be_absent, accepts)?;
        match value {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.into_owned()),
            DeValue::String(_) => {
                let what = format!("[{}] {key} is empty", self.name);
                self.reader.refuse(Problem::new(Some(line), what, accepts));
                None
            }
            other => {
                self.wrong_kind(line, key, &other, accepts.to_owned());
                None
            }
        }
    }

    fn wrong_kind(&mut self, line: usize, key: &str, value: &DeValue<'_>, expected: String) {
        let what = format!("[{}] {key} is {}", self.name, kind(value));
        self.reader.refuse(Problem::new(Some(line), what, expected));
    }
}

impl Drop for Section<'_, '_> {
    fn drop(&mut self) {
        for (key, _) in std::mem::take(&mut self.table) {
            let line = line_of(self.reader.text, key.span().start);
            self.reader.unknown.push((self.name, key.into_inner().into_owned(), line));
        }
    }
}

/// The known word nearest to `word`, if it is near enough to have been meant.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    known
        .map(|candidate| (candidate, strsim::jaro_winkler(word, candidate)))
        .filter(|(_, likeness)| *likeness > 0.75)
        .max_by(|left, right| left.1.total_cmp(&right.1))
        .map(|(candidate, _)| candidate)
}

fn words<T>(choices: &[(&'static str, T)]) -> String {
    choices.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
}

/// The line, from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn as_number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        // Underscores are already gone; other radixes than ten are no way to write a length of time.
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok()?,
        DeValue::Float(float) => float.as_str().parse::<f64>().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        // The only numbers that are refused as no numbers.
        DeValue::Float(float) if float.as_str().contains("nan") => "nan, with which nothing can be compared",
        DeValue::Float(float) if float.as_str().contains("inf") => "infinite, which nothing reaches",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
