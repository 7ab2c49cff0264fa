//! `[[view]]`: more looks at the same frame, each with a region and a model of its own.

use std::path::Path;

use jidoka_capture::Roi;

use super::problem::Problem;
use super::reader::{KeyDoc, Reader, Section};
use super::{Limit, ModelChoice};
use crate::station::views::MAX_VIEWS;

/// One more look at each part's frame. The first look is `[roi]` and `[model]`.
#[derive(Clone, Debug)]
pub struct ViewChoice {
    /// What judges it; its `view` is the view's name.
    pub model: ModelChoice,
    /// The part of the frame that it sees; none for all of it.
    pub roi: Option<Roi>,
}

/// Longest name: what a record of telemetry holds.
const LONGEST_NAME: usize = 32;

/// Reads the views beside the first, which is `first`.
pub fn read(folder: &Path, reader: &mut Reader<'_>, first: &ModelChoice) -> Vec<ViewChoice> {
    let views = reader.each_table("view", |table| view(folder, table, first));
    let mut names = vec![first.view.as_str()];
    for view in &views {
        let name = view.model.view.as_str();
        if name.len() > LONGEST_NAME {
            let what = format!("[view] name = \"{name}\" is {} bytes long", name.len());
            reader.refuse(Problem::new(reader.line("view", "name"), what, format!("at most {LONGEST_NAME}")));
        }
        if !name.is_empty() && names.contains(&name) {
            let what = format!("[view] name = \"{name}\" stands twice ([model] view names the first)");
            reader.refuse(Problem::new(reader.line("view", "name"), what, "a name of its own for each view"));
        }
        names.push(name);
    }
    if names.len() > MAX_VIEWS {
        let what = format!("[view] makes {} views with the first", names.len());
        reader.refuse(Problem::new(reader.line("view", "name"), what, format!("at most {MAX_VIEWS}")));
    }
    views
}

fn view(folder: &Path, table: &mut Section<'_, '_>, first: &ModelChoice) -> ViewChoice {
    let name = table.required_text("name", "what the log calls it");
    let path = folder.join(table.required_text("model", "the .onnx file that judges it"));
    let help = "the part of the frame that it sees: [x, y, width, height]; absent: all of it";
    let roi = match table.counts("roi", 0..=16_384, help)[..] {
        [] => None,
        [x, y, width, height] if width > 0 && height > 0 => Some(Roi { x, y, width, height }),
        _ => {
            table.refuse("roi", "is no rectangle", "four whole numbers: [x, y, width, height]");
            None
        }
    };
    let score = table.optional_number("threshold", -1e9..=1e9, "instead of the model's own threshold");
    let help = "0.5 is the model's own threshold, towards 1 more parts are rejected; instead of threshold";
    let sensitivity = table.optional_number("sensitivity", 0.01..=0.99, help);
    if score.is_some() && sensitivity.is_some() {
        table.refuse("sensitivity", "and threshold exclude each other", "one of them, or neither");
    }
    let limit = Limit::of(score.map(|score| score as f32), sensitivity);
    ViewChoice { model: ModelChoice { view: name, path, limit, ..first.clone() }, roi }
}

/// The keys of a view, which an empty file does not ask for.
pub fn keys() -> Vec<KeyDoc> {
    let Ok(mut reader) = Reader::new("", "[[view]]") else { return vec![] };
    let none = ModelChoice {
        view: String::new(),
        path: "".into(),
        limit: Limit::Own,
        threads: 1,
        strict: true,
        any_roi: false,
        public_key: None,
    };
    read(Path::new(""), &mut reader, &none);
    reader.keys().to_vec()
}
