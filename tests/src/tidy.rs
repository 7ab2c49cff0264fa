//! The house rules that a program can check, so that nobody has to remember them and no reviewer has to say them.
//!
//! Each rule is a function from one file's text to the complaints about it; `tests/tidy.rs` runs all of them over the
//! tracked files, and shows each rule a text that breaks it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines a source file may have before it has to be split by idea.
pub const MAX_FILE_LINES: usize = 500;
/// Lines a function may have: what fits a screen, generously.
pub const MAX_FUNCTION_LINES: usize = 90;

/// One broken rule, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// File, relative to the repository root.
    pub path: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do instead.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// One tracked text file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path relative to the repository root, with `/` between the parts.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A file that exists only in a test of a rule.
    #[must_use]
    pub fn example(path: &str, text: &str) -> Source {
        Source { path: PathBuf::from(path), text: text.to_owned() }
    }

    fn complaint(&self, line: usize, what: impl Into<String>) -> Complaint {
        Complaint { path: self.path.clone(), line, what: what.into() }
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|e| e == extension)
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The repository root (this crate's parent folder).
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Every tracked file that is text.
///
/// # Errors
/// When `git ls-files` cannot be run in [`root`].
pub fn tracked_sources() -> std::io::Result<Vec<Source>> {
    let listing = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output()?;
    if !listing.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&listing.stderr).into_owned()));
    }
    let names = String::from_utf8_lossy(&listing.stdout).into_owned();
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let text = std::fs::read_to_string(root().join(name)).ok()?;
            Some(Source { path: PathBuf::from(name), text })
        })
        .collect())
}

/// A rule: what it is called and how it judges one file.
pub type Rule = (&'static str, fn(&Source) -> Vec<Complaint>);

/// All rules, by name.
pub const RULES: &[Rule] = &[
    ("files are short", short_files),
    ("functions fit a screen", short_functions),
    ("a crate says what it is", crate_top_comments),
    ("unsafe has a reason", safety_reasons),
    ("names of quantities end in a unit", units_in_names),
    ("nothing is left unfinished", nothing_unfinished),
    ("no path of one machine", no_machine_paths),
    ("scripts say how they are used", scripts_say_how),
];

/// Source files of any language stay under [`MAX_FILE_LINES`].
#[must_use]
pub fn short_files(file: &Source) -> Vec<Complaint> {
    let is_source = ["rs", "py", "sh"].iter().any(|e| file.has_extension(e));
    let lines = file.text.lines().count();
    if is_source && lines > MAX_FILE_LINES {
        return vec![file.complaint(1, format!("{lines} lines; split by idea (at most {MAX_FILE_LINES})"))];
    }
    Vec::new()
}

/// Rust functions stay under [`MAX_FUNCTION_LINES`]. Relies on rustfmt: a function ends at the first `}` that is indented
/// like its first line.
#[must_use]
pub fn short_functions(file: &Source) -> Vec<Complaint> {
    if !file.has_extension("rs") {
        return Vec::new();
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let mut complaints = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line.trim_start()) else {
            continue;
        };
        let closing = format!("{}}}", " ".repeat(indent));
        let Some(length) = lines[index..].iter().position(|l| *l == closing) else {
            continue;
        };
        if length + 1 > MAX_FUNCTION_LINES {
            let what =
                format!("`{name}` has {} lines; give its parts names (at most {MAX_FUNCTION_LINES})", length + 1);
            complaints.push(file.complaint(index + 1, what));
        }
    }
    complaints
}

/// `pub(crate) const unsafe fn name<T>(..) {` → `name`. Nothing for a declaration without a body on the same line's style.
fn function_name(line: &str) -> Option<&str> {
    if line.ends_with(';') {
        return None;
    }
    let mut rest = line;
    loop {
        if let Some(after) = rest.strip_prefix("fn ") {
            return after.split(['(', '<']).next();
        }
        let word = rest.split(' ').next()?;
        let is_qualifier =
            matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub(");
        if !is_qualifier {
            return None;
        }
        rest = rest.get(word.len() + 1..)?;
    }
}

/// A crate's root begins with what lives there, what must not, and what it relies on.
#[must_use]
pub fn crate_top_comments(file: &Source) -> Vec<Complaint> {
    let path = file.path.to_string_lossy();
    let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    // A short main.rs is only the door to the library beside it, which has the comment.
    let is_door = path.ends_with("src/main.rs") && file.text.lines().count() < 15;
    if !is_root || is_door {
        return Vec::new();
    }
    let top: Vec<&str> = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let lower = top.join(" ").to_lowercase();
    let mut complaints = Vec::new();
    if top.len() < 4 {
        complaints.push(
            file.complaint(1, "a crate begins with a comment: what lives here, what must not, what it relies on"),
        );
    }
    let says_limit =
        ["must not", "nothing here", "never", "knows no", "does not", "no i/o"].iter().any(|w| lower.contains(w));
    if !says_limit {
        complaints.push(file.complaint(1, "the crate's comment does not say what must not live here"));
    }
    if !["relies on", "rely on", "depends on"].iter().any(|w| lower.contains(w)) {
        complaints.push(file.complaint(1, "the crate's comment does not say what it relies on"));
    }
    complaints
}

/// Each `unsafe` block or impl has a `SAFETY:` comment (a `# Safety` section for a function) just above it.
#[must_use]
pub fn safety_reasons(file: &Source) -> Vec<Complaint> {
    const NEAR: usize = 12;
    if !file.has_extension("rs") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let mut last_reason = 0;
    for (number, line) in file.lines() {
        let code = line.trim_start();
        let is_comment = code.starts_with("//");
        if is_comment && (code.contains("SAFETY:") || code.contains("# Safety")) {
            last_reason = number;
        }
        let opens = !is_comment && (code.contains("unsafe {") || code.contains("unsafe impl"));
        let quoted = code.contains("\"unsafe") || code.contains("\\\"unsafe");
        if opens && !quoted && (last_reason == 0 || number - last_reason > NEAR) {
            complaints.push(file.complaint(number, "unsafe without a `SAFETY:` reason above it"));
        }
    }
    complaints
}

/// A public numeric field or parameter that is a time or a length says its unit last: `pulse_ms`, `length_mm`. A quantity
/// on the line's own axis, which is a time or a distance, says "axis units" in its documentation instead.
#[must_use]
pub fn units_in_names(file: &Source) -> Vec<Complaint> {
    const QUANTITIES: &[&str] = &[
        "delay", "timeout", "pulse", "interval", "period", "duration", "latency", "jitter", "lead", "debounce",
        "elapsed", "deadline", "distance", "speed", "exposure",
    ];
    const NUMBERS: &[&str] = &["u8", "u16", "u32", "u64", "u128", "usize", "i32", "i64", "f32", "f64"];
    if !file.has_extension("rs") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let mut on_the_axis = false;
    for (number, line) in file.lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            on_the_axis |= code.contains("axis units");
            continue;
        }
        let exempt = std::mem::take(&mut on_the_axis) || !code.starts_with("pub ");
        for (name, kind) in declared_names(line).filter(|_| !exempt) {
            let quantity = name.rsplit('_').next().unwrap_or(name);
            if QUANTITIES.contains(&quantity) && NUMBERS.contains(&kind) {
                let what = format!("`{name}: {kind}` has no unit; end it in _ms, _us, _mm ...");
                complaints.push(file.complaint(number, what));
            }
        }
    }
    complaints
}

/// `name: type` pairs of a line, as fields and parameters are written.
fn declared_names(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split([',', '(', '{', '|', ';']).filter_map(|piece| {
        let (name, kind) = piece.split_once(": ")?;
        let name = name.trim().rsplit(' ').next()?;
        let kind = kind.split([',', ')', '=', ' ', ';', '}', '|']).next()?;
        Some((name, kind.trim()))
    })
}

/// Nothing unfinished or switched off is committed.
#[must_use]
pub fn nothing_unfinished(file: &Source) -> Vec<Complaint> {
    // Put together here, so that this file does not complain about itself.
    let banned = [
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["dbg", "!("].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X:"].concat(),
        ["(being ", "written)"].concat(),
    ];
    let mut complaints = Vec::new();
    if !["rs", "py", "sh", "toml", "md"].iter().any(|e| file.has_extension(e)) {
        return complaints;
    }
    for (number, line) in file.lines() {
        for word in &banned {
            if line.contains(word.as_str()) {
                complaints.push(file.complaint(number, format!("`{word}` does not belong in main")));
            }
        }
    }
    complaints
}

/// No file names a folder that exists on one person's machine only.
#[must_use]
pub fn no_machine_paths(file: &Source) -> Vec<Complaint> {
    let banned = [["/ro", "ot/"].concat(), ["/wo", "rk/"].concat(), ["/ho", "me/"].concat()];
    let mut complaints = Vec::new();
    for (number, line) in file.lines() {
        for path in &banned {
            if line.contains(path.as_str()) {
                complaints.push(file.complaint(number, format!("`{path}` is a path of one machine")));
            }
        }
    }
    complaints
}

/// A script's second line says what it is for: `# name - purpose`.
#[must_use]
pub fn scripts_say_how(file: &Source) -> Vec<Complaint> {
    let Some(first) = file.text.lines().next() else {
        return Vec::new();
    };
    if !first.starts_with("#!") || !first.contains("sh") {
        return Vec::new();
    }
    let name = file.path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let second = file.text.lines().nth(1).unwrap_or_default();
    if second.starts_with(&format!("# {name}")) && second.contains(" - ") {
        return Vec::new();
    }
    vec![file.complaint(2, format!("a script begins with `# {name} - what it is for`"))]
}
