//! The lines that are simulated to test the line: each way to trigger, to wire, and to decide.

use jidoka_line::{Quorum, RejectTiming, Span, Wiring};

use crate::config::{SimConfig, Trigger};

/// Each line with its name.
pub fn lines() -> Vec<(&'static str, SimConfig)> {
    let example = SimConfig::example();
    let frames = |frames, rejects| SimConfig { quorum: Quorum { frames, rejects }, ..example.clone() };
    let ms = Span::from_millis;
    // As tight as the arithmetic allows: windows and clear spaces fill the whole pitch.
    let tight = RejectTiming { pulse: ms(42), pitch: ms(60), confirm_within: Some(ms(18)), ..example.timing };
    vec![
        ("sensor", example.clone()),
        ("free running", SimConfig { trigger: Trigger::FreeRun, ..example.clone() }),
        ("encoder", SimConfig { trigger: Trigger::Encoder, ..example.clone() }),
        ("energise to pass", SimConfig { wiring: Wiring::EnergiseToPass, ..example.clone() }),
        ("both frames", frames(2, 1)),
        ("two of three frames", frames(3, 2)),
        ("tight", SimConfig { timing: tight, ..example.clone() }),
    ]
}
