//! `[recipe.NAME]`: what is different for one product.

use std::path::Path;

use jidoka_capture::Roi;

use super::problem::{Problem, Refused};
use super::reader::{KeyDoc, Reader};
use super::{Ejector, ModelChoice, PolicyChoice, Reject, ViewChoice, policy, sections, timing, views};

/// All that may differ between two products on one line.
#[derive(Clone, Debug)]
pub struct RecipeChoice {
    /// Its name.
    pub name: String,
    /// The number on the select lines that asks for it.
    pub select: Option<u32>,
    /// What judges.
    pub model: ModelChoice,
    /// The part of the frame that is inspected.
    pub roi: Option<Roi>,
    /// More looks at the same frame.
    pub views: Vec<ViewChoice>,
    /// The reject ejector.
    pub reject: Reject,
    /// The other ejectors.
    pub others: [Option<Ejector>; 2],
    /// Scores to judgements.
    pub policy: PolicyChoice,
    /// Camera controls that belong to it.
    pub controls: Vec<(String, i64)>,
}

/// Most recipes in one file: what eight select lines can name.
const MOST: usize = 256;

/// Reads the recipes beside the file's own, which is `base` and comes first. What is wrong with one goes to `reader`.
pub fn read(
    file: &str,
    text: &str,
    reader: &mut Reader<'_>,
    base: RecipeChoice,
    select_lines: usize,
    fastest_um_per_s: Option<u64>,
) -> Vec<RecipeChoice> {
    let names = reader.take_recipes();
    // What is wrong with the file's own tables is said of them, not of every recipe that shares them.
    reader.refuse_unknown_keys();
    let mut recipes = vec![base];
    for (name, line) in names {
        if recipes.iter().any(|recipe| recipe.name == name) {
            let what = format!("[recipe.{name}] is the name of the file's own recipe");
            reader.refuse(Problem::new(Some(line), what, "another name, or another [station] recipe"));
            continue;
        }
        match one(file, text, &name, fastest_um_per_s) {
            Ok(recipe) => recipes.push(recipe),
            Err(refused) => {
                for mut problem in refused.problems {
                    // What is wrong with the file's own tables has been said.
                    if !reader.has(&problem) {
                        problem.because.push(format!("read for [recipe.{name}]"));
                        reader.refuse(problem);
                    }
                }
            }
        }
    }
    if recipes.len() > MOST {
        let what = format!("[recipe] holds {} recipes", recipes.len());
        reader.refuse(Problem::new(None, what, format!("at most {MOST}")));
    }
    select_lines_fit(reader, &recipes, select_lines);
    recipes
}

fn one(file: &str, text: &str, name: &str, fastest_um_per_s: Option<u64>) -> Result<RecipeChoice, Refused> {
    let mut reader = Reader::with_recipe(file, text, name)?;
    let mut beside = reader.section("recipe");
    let select = beside.optional_count("select", 0..=255, SELECT_HELP);
    drop(beside);
    let folder = Path::new(file).parent().map(Path::to_owned).unwrap_or_default();
    let recipe = of(&folder, &mut reader, name.to_owned(), select, fastest_um_per_s);
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(recipe) } else { Err(Refused { file: file.into(), problems }) }
}

const SELECT_HELP: &str = "the number on the recipe_select lines that asks for this recipe";

/// Reads every table that may be in a recipe, from a reader that holds them.
fn of(
    folder: &Path,
    reader: &mut Reader<'_>,
    name: String,
    select: Option<u32>,
    fastest_um_per_s: Option<u64>,
) -> RecipeChoice {
    let camera = sections::camera(folder, reader);
    let model = sections::model(folder, reader);
    RecipeChoice {
        name,
        select,
        views: views::read(folder, reader, &model),
        model,
        roi: camera.roi,
        reject: timing::read(reader, fastest_um_per_s),
        others: ["eject1", "eject2"].map(|section| timing::read_other(reader, section, fastest_um_per_s)),
        policy: policy::policy(reader).0,
        controls: sections::controls(&camera.source),
    }
}

fn select_lines_fit(reader: &mut Reader<'_>, recipes: &[RecipeChoice], lines: usize) {
    for (index, recipe) in recipes.iter().enumerate() {
        let Some(select) = recipe.select else { continue };
        let (name, limit) = (&recipe.name, 1_u32 << lines.min(8));
        if lines > 0 && select >= limit {
            let what = format!("[recipe.{name}] select = {select} does not fit on {lines} recipe_select lines");
            reader.refuse(Problem::new(None, what, format!("0 to {}", limit - 1)));
        }
        if let Some(twin) = recipes[..index].iter().find(|other| other.select == Some(select)) {
            let what = format!("[recipe.{name}] select = {select} is also that of recipe {}", twin.name);
            reader.refuse(Problem::new(None, what, "a number of its own for each recipe"));
        }
        if !recipe_mixes(recipe, &recipes[0]) {
            let what =
                format!("[recipe.{name}] tracks otherwise than {}, with parts of both in flight", recipes[0].name);
            reader.refuse(Problem::new(None, what, "all recipes by time or all by distance, with the same ejectors"));
        }
    }
    if lines > 0 && !recipes.iter().any(|recipe| recipe.select.is_some()) {
        let at = reader.line("inputs", "recipe_select");
        let what = "[inputs] recipe_select is wired and no recipe has a number";
        reader.refuse(Problem::new(at, what, "select = a number, under [station] or [recipe.NAME]"));
    }
}

fn recipe_mixes(one: &RecipeChoice, other: &RecipeChoice) -> bool {
    let pairs = one.others.iter().zip(&other.others);
    one.reject.slot.axis() == other.reject.slot.axis() && pairs.into_iter().all(|(a, b)| a.is_some() == b.is_some())
}

/// The keys that a recipe has beside the tables that it shares with the file.
pub fn keys() -> Vec<KeyDoc> {
    vec![KeyDoc { section: "recipe.NAME", key: "select", accepts: "0 to 255".into(), default: None, help: SELECT_HELP }]
}
