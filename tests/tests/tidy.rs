//! The house rules hold for every tracked file, and each rule can fail.

use jidoka_tests::tidy::{self, Complaint, RULES, Source, root, tracked_sources};

#[test]
fn every_tracked_file_keeps_the_rules() {
    let sources = tracked_sources().expect("git lists the tracked files");
    assert!(sources.len() > 20, "only {} tracked files were read", sources.len());
    let mut complaints = Vec::new();
    for source in &sources {
        for (rule, judge) in RULES {
            complaints.extend(judge(source).into_iter().map(|complaint| format!("{complaint} [{rule}]")));
        }
    }
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// `rule` complains about `bad` and is content with `good`.
fn check(rule: fn(&Source) -> Vec<Complaint>, path: &str, bad: &str, good: &str) {
    assert!(!rule(&Source::example(path, bad)).is_empty(), "the rule overlooks:\n{bad}");
    let complaints = rule(&Source::example(path, good));
    assert!(complaints.is_empty(), "the rule complains without cause: {complaints:?}");
}

#[test]
fn each_rule_can_fail() {
    let long_function = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(tidy::MAX_FUNCTION_LINES));
    check(tidy::short_files, "a.rs", &"x\n".repeat(tidy::MAX_FILE_LINES + 1), "x\n");
    check(tidy::short_functions, "a.rs", &long_function, "fn short() {\n    step();\n}\n");
    check(
        tidy::crate_top_comments,
        "runtime/x/src/lib.rs",
        "pub fn f() {}\n",
        "//! The x.\n//!\n//! Pure. Nothing here sleeps.\n//! Relies on: nothing.\n",
    );
    check(
        tidy::safety_reasons,
        "a.rs",
        &["fn f() {\n    un", "safe { g() }\n}\n"].concat(),
        &["fn f() {\n    // SAFETY: g has no preconditions.\n    un", "safe { g() }\n}\n"].concat(),
    );
    check(
        tidy::units_in_names,
        "a.rs",
        "pub struct A {\n    pub delay: u64,\n}\n",
        "pub struct A {\n    pub delay_us: u64,\n}\n",
    );
    check(tidy::units_in_names, "a.rs", "pub fn f(pulse: u32) {}\n", "pub fn f(pulse: Span) {}\n");
    check(tidy::nothing_unfinished, "a.rs", &["    todo", "!()\n"].concat(), "    done()\n");
    check(tidy::no_machine_paths, "a.md", &["see /ro", "ot/x\n"].concat(), "see ~/x\n");
    check(tidy::scripts_say_how, "scripts/go", "#!/bin/sh\necho\n", "#!/bin/sh\n# go - does it\n");
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut dead = Vec::new();
    for source in tracked_sources().expect("git lists the tracked files") {
        if source.path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let folder = root().join(source.path.parent().expect("a file has a folder"));
        for target in source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !target.contains("://") && !folder.join(path).exists() {
                dead.push(format!("{}: {target}", source.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// `docs/PROMISES.md` and `docs/ARCHITECTURE.md` name the test that holds each sentence as `file.rs::test_name`.
#[test]
fn promises_and_invariants_name_tests_that_exist() {
    let sources = tracked_sources().expect("git lists the tracked files");
    let mut named = 0;
    let mut missing = Vec::new();
    for document in sources.iter().filter(|s| s.path.ends_with("PROMISES.md") || s.path.ends_with("ARCHITECTURE.md")) {
        for reference in document.text.split('`').filter(|piece| piece.contains(".rs::")) {
            let (file, test) = reference.split_once(".rs::").expect("just matched");
            named += 1;
            let file = format!("{file}.rs");
            let exists = sources.iter().any(|s| s.path.ends_with(&file) && s.text.contains(&format!("fn {test}(")));
            if !exists {
                missing.push(format!("{}: {reference}", document.path.display()));
            }
        }
    }
    assert!(named >= 7, "the documents name only {named} tests");
    assert!(missing.is_empty(), "tests that are named but do not exist:\n{}", missing.join("\n"));
}

/// What `cargo tree` prints for these arguments, a crate a line, without our own crates.
fn crates(arguments: &[&str]) -> std::collections::BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tree = std::process::Command::new(cargo);
    tree.args(["tree", "--locked", "--prefix", "none"]).args(arguments).current_dir(root());
    let tree = tree.output().expect("cargo starts");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8_lossy(&tree.stdout).into_owned();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.contains("/")).collect()
}

/// Third-party crates with their features, as cargo would build them for the whole workspace with these kinds of dependencies.
fn features_with(kinds: &str) -> std::collections::BTreeSet<String> {
    crates(&["--workspace", "--exclude", "jidoka-fuzz", "-f", "{p}|{f}", "-e", kinds])
}

/// A dev-dependency that switched on a feature of what ships would have tract, five minutes of CPU, built once for the tests and
/// once for the binaries; on every target.
#[test]
fn tests_and_binaries_share_one_build() {
    let shipped = features_with("normal,build");
    assert!(shipped.iter().any(|line| line.starts_with("tract-core ")), "{shipped:?}");
    let package = |line: &str| line.split('|').next().unwrap_or_default().to_owned();
    // What else tests need differently (regex for a build script and for a test library) costs seconds.
    let known = crates(&["--package", "jidoka-engine", "-f", "{p}", "-e", "normal"]);
    let tested = features_with("normal,build,dev");
    let other: Vec<&String> =
        tested.iter().filter(|line| known.contains(&package(line)) && !shipped.contains(*line)).collect();
    assert!(other.is_empty(), "dev-dependencies change the features of what ships: {other:#?}");
}
