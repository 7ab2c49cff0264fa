//! Recipes: the tables of `[recipe.NAME]` laid over those of the file, and read by the same code as those.
//!
//! A recipe says only what is different for its product. Laying it over the file's own tables before they are read means that
//! no key has two meanings, two ranges or two defaults.

use toml::de::{DeTable, DeValue};

use super::{Reader, kind, line_of};
use crate::config::problem::{Problem, Refused};

/// The tables that may stand in a recipe.
const SECTIONS: [&str; 7] = ["camera", "roi", "model", "reject", "eject1", "eject2", "policy"];
/// The table that holds the recipes.
const RECIPES: &str = "recipe";
/// The list of views, which a recipe may replace.
const VIEWS: &str = "view";

impl<'t> Reader<'t> {
    /// Takes `[recipe]` out of the file: the names in it, each with its line.
    pub fn take_recipes(&mut self) -> Vec<(String, usize)> {
        self.sections.push(RECIPES);
        let Some(value) = self.table.remove(RECIPES) else { return vec![] };
        let line = line_of(self.text, value.span().start);
        let DeValue::Table(recipes) = value.into_inner() else {
            let what = "recipe is not a table of recipes";
            self.problems.push(Problem::new(Some(line), what, "a table a recipe: [recipe.NAME]"));
            return vec![];
        };
        let mut names = vec![];
        for (name, value) in &recipes {
            let line = line_of(self.text, name.span().start);
            let name = name.get_ref().to_string();
            match value.get_ref() {
                DeValue::Table(_) => names.push((name, line)),
                other => {
                    let what = format!("[recipe] {name} is {}, not a table", kind(other));
                    self.problems.push(Problem::new(Some(line), what, format!("a table: [recipe.{name}]")));
                }
            }
        }
        names
    }

    /// A reader of the same file with the tables of `[recipe.NAME]` laid over its own; its `[recipe]` is what stands in the
    /// recipe beside them.
    pub fn with_recipe(file: &str, text: &'t str, name: &str) -> Result<Reader<'t>, Refused> {
        let mut reader = Reader::new(file, text)?;
        let Some(recipe) = reader.table.remove(RECIPES).and_then(|value| own_table(value.into_inner(), name)) else {
            return Ok(reader);
        };
        let mut beside = DeTable::new();
        for (section, value) in recipe {
            let line = line_of(text, section.span().start);
            let known = SECTIONS.into_iter().find(|known| *known == section.get_ref());
            if section.get_ref() == VIEWS && matches!(value.get_ref(), DeValue::Array(_)) {
                // Views belong together: a recipe has the file's, or all of its own.
                reader.table.remove(VIEWS);
                reader.table.insert(section, value);
                continue;
            }
            let (Some(known), DeValue::Table(_)) = (known, value.get_ref()) else {
                if matches!(value.get_ref(), DeValue::Table(_)) {
                    let what = format!("[recipe.{name}.{}] cannot change with the recipe", section.get_ref());
                    reader.problems.push(Problem::new(Some(line), what, SECTIONS.join(", ")));
                } else {
                    beside.insert(section, value);
                }
                continue;
            };
            reader.lay_over(name, known, section, value);
        }
        let span = 0..0;
        let beside = toml::Spanned::new(span.clone(), DeValue::Table(beside));
        reader.table.insert(toml::Spanned::new(span, RECIPES.into()), beside);
        Ok(reader)
    }

    fn lay_over(
        &mut self,
        name: &str,
        known: &'static str,
        section: toml::Spanned<toml::de::DeString<'t>>,
        value: toml::Spanned<DeValue<'t>>,
    ) {
        let span = value.span();
        let DeValue::Table(over) = value.into_inner() else { return };
        if known == "camera" {
            for (key, _) in over.iter().filter(|(key, _)| key.get_ref() != "controls") {
                let what = format!("[recipe.{name}.camera] {} cannot change with the recipe", key.get_ref());
                self.problems.push(Problem::new(Some(line_of(self.text, key.span().start)), what, "controls"));
            }
        }
        let base = self.table.remove(known).map(toml::Spanned::into_inner);
        let mut merged = match base {
            Some(DeValue::Table(base)) => base,
            _ => DeTable::new(),
        };
        for (key, value) in over {
            // Removed first: inserting over an equal key would keep the old key's place in the file.
            merged.remove(key.get_ref().as_ref());
            merged.insert(key, value);
        }
        self.table.insert(section, toml::Spanned::new(span, DeValue::Table(merged)));
    }

    /// Refuses the keys so far that nobody asked for, without a look at whole tables.
    pub fn refuse_unknown_keys(&mut self) {
        for (section, key, line) in std::mem::take(&mut self.unknown) {
            let problem = self.unknown_key(section, &key, line);
            self.problems.push(problem);
        }
    }

    /// Ends the reading without a look at tables that nobody asked for; what was refused.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.refuse_unknown_keys();
        self.problems
    }
}

fn own_table<'t>(value: DeValue<'t>, name: &str) -> Option<DeTable<'t>> {
    let DeValue::Table(mut recipes) = value else { return None };
    match recipes.remove(name)?.into_inner() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}
