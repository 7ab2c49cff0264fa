//! What only shows when several tables are seen together.

use jidoka_capture::SourceConfig;
use jidoka_line::{Axis, EjectorId};

use super::problem::Problem;
use super::reader::Reader;
use super::recipes::RecipeChoice;
use super::trigger::Source;
use super::{Backend, Config};

/// Refuses what contradicts itself across tables.
pub fn check(config: &Config, reader: &mut Reader<'_>) {
    confirmation(config, reader);
    frames(config, reader);
    every_frame_has_its_place(config, reader);
    lines_are_distinct(config, reader);
    for (index, recipe) in config.recipes.iter().enumerate() {
        ejectors(config, recipe, index > 0, reader);
    }
    let at = reader.line("policy", "sample_to");
    if at.is_some() && !has_ejector(&config.recipes[0], config.line_policy.sample_to) {
        let what = "[policy] sample_to is an ejector that this station has not";
        reader.refuse(Problem::new(at, what, "reject, or an ejector with a table of its own: [eject2]"));
    }
}

fn confirmation(config: &Config, reader: &mut Reader<'_>) {
    let (line, within) = (reader.line("inputs", "confirm"), reader.line("reject", "confirm_within_ms"));
    match (config.inputs.has("confirm"), config.recipes.iter().any(|recipe| recipe.reject.confirm)) {
        (true, false) => {
            let what = "[inputs] confirm is wired and nothing says how long it may take";
            reader.refuse(Problem::new(line, what, "[reject] confirm_within_ms"));
        }
        (false, true) => {
            let what = "[reject] confirm_within_ms without a sensor that confirms";
            reader.refuse(Problem::new(within, what, "[inputs] confirm"));
        }
        _ => {}
    }
}

fn frames(config: &Config, reader: &mut Reader<'_>) {
    let frames = config.line_policy.quorum.frames;
    if frames > 1 && !config.trigger.source.is_outside() {
        let what = format!("[policy] frames = {frames} with a trigger that makes a part of every frame");
        let expected = "[trigger] source = \"sensor\", \"encoder\" or \"software\", or frames = 1";
        reader.refuse(Problem::new(reader.line("policy", "frames"), what, expected));
    }
    if frames > 1 && config.trigger.check_sequence {
        let what = format!("[policy] frames = {frames} with a camera_trigger that exposes one");
        reader.refuse(Problem::new(reader.line("policy", "frames"), what, "frames = 1, or a free-running camera"));
    }
}

/// Where every frame is a part, frames may not come faster than parts can.
fn every_frame_has_its_place(config: &Config, reader: &mut Reader<'_>) {
    let fps = match &config.camera.source {
        SourceConfig::V4l2(camera) => camera.fps,
        SourceConfig::Replay(replay) => replay.fps,
        SourceConfig::Synthetic(synthetic) => synthetic.fps,
    };
    let Some(fps) = fps.filter(|_| config.trigger.source == Source::Frames) else { return };
    let interval_us = 1e6 / fps;
    for (index, recipe) in config.recipes.iter().enumerate() {
        let pitch_us = recipe.reject.pitch_us as f64;
        if recipe.reject.slot.axis() != Axis::Time || interval_us >= pitch_us * 0.999 {
            continue;
        }
        let of = if index == 0 { String::new() } else { format!(" (recipe {})", recipe.name) };
        let what = format!(
            "[camera] fps = {fps} makes a part every {:.1} ms, and parts are at least {:.1} ms apart{of}",
            interval_us / 1000.0,
            pitch_us / 1000.0
        );
        let expected = format!(
            "[reject] pitch_ms = {:.1} or less, fps = {:.1} or less, or a [trigger] that tells which frames show a part",
            interval_us / 1000.0,
            1e6 / pitch_us
        );
        reader.refuse(Problem::new(reader.line("camera", "fps"), what, expected));
    }
}

fn has_ejector(recipe: &RecipeChoice, ejector: EjectorId) -> bool {
    match ejector.0 {
        0 => true,
        number => recipe.others.get(usize::from(number) - 1).is_some_and(Option::is_some),
    }
}

/// An ejector needs its table, its line and a use.
fn ejectors(config: &Config, recipe: &RecipeChoice, only_rules: bool, reader: &mut Reader<'_>) {
    let name = &recipe.name;
    if recipe.policy.rework_from.is_some() && !has_ejector(recipe, recipe.policy.rework_to) {
        let what = format!("[policy] rework_from sends parts to an ejector that recipe {name} has not");
        let at = reader.line("policy", "rework_from");
        reader.refuse(Problem::new(at, what, "an ejector with a table of its own: [eject1]"));
    }
    if only_rules || config.outputs.backend == Backend::Sim {
        return;
    }
    for (signal, other) in ["eject1", "eject2"].into_iter().zip(&recipe.others) {
        let line = reader.line("outputs", signal);
        if other.is_some() && line.is_none() {
            let what = format!("[{signal}] describes an ejector that is not wired");
            reader.refuse(Problem::new(reader.line(signal, "delay_ms"), what, format!("[outputs] {signal}")));
        } else if other.is_none() && line.is_some() {
            let what = format!("[outputs] {signal} is wired and nothing says when it acts");
            reader.refuse(Problem::new(line, what, format!("[{signal}] delay, pulse and pitch")));
        }
    }
}

/// No line is both an input and an output, nor two inputs.
fn lines_are_distinct(config: &Config, reader: &mut Reader<'_>) {
    let outputs = config.outputs.wires.iter().map(|wire| (wire.signal, &wire.address));
    let mut taken: Vec<(&str, &String)> = outputs.collect();
    for wire in config.inputs.lines() {
        if let Some((other, _)) = taken.iter().find(|(_, address)| **address == wire.address) {
            let what = format!("[inputs] {} and {other} are both \"{}\"", wire.name, wire.address);
            reader.refuse(Problem::new(reader.line("inputs", wire.name), what, "a line of its own for each"));
        }
        taken.push((wire.name, &wire.address));
    }
}
