//! The station as a whole, on a scripted camera, a tiny model and a chip in memory.

mod away;
mod machine;
mod stage;
mod supervised;
mod swaps;
mod triggers;

use super::*;
use jidoka_capture::{FrameFault, FrameId, FrameMeta, FrameView, Geometry, Lease, PixelFormat, SourceStats};
use jidoka_engine::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType, encode, tensor_proto::DataType, tensor_shape_proto, type_proto,
};
use jidoka_line::{Note, Outcome, RejectTiming, Span, What, Why};
use jidoka_models::{InspectionModel, LoadOptions};
use jidoka_pins::{Gpio, PinState, SimChip};
use jidoka_prepare::Preparer;

use crate::config::{Reject, WireChoice};
use crate::os::clock;
use record::Seen;

const SIDE: usize = 16;
/// From the exposure to the ejector: long, so that a busy test machine is never late.
const DELAY_MS: u64 = 800;
const PITCH_MS: u64 = 20;
const LINES: [&str; 3] = ["reject", "ready", "heartbeat"];

/// What the scripted camera does next.
#[derive(Clone, Copy, PartialEq)]
enum Do {
    Good,
    Bad,
    Lose(u32),
    Damage,
    Allocate,
    Panic,
    Stop,
    /// Waits until the ejector is on.
    AwaitPulse,
}

/// Gives frames whose exposures lie exactly a pitch apart, however fast they are asked for.
struct Script {
    steps: std::collections::VecDeque<Do>,
    pixels: Vec<u8>,
    sequence: u32,
    start: Duration,
    stop: Arc<Stop>,
    chip: SimChip,
}

impl FrameSource for Script {
    fn geometry(&self) -> Geometry {
        Geometry::new(SIDE as u32, SIDE as u32, PixelFormat::Grey)
    }

    fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
        let step = self.steps.pop_front().ok_or(FrameFault::EndOfStream)?;
        let mut bad = false;
        match step {
            Do::Good => {}
            Do::Bad => bad = true,
            Do::Lose(frames) => self.sequence += frames,
            Do::Damage => {
                let (sequence, captured_at) =
                    (self.sequence, self.start + Duration::from_millis(PITCH_MS) * self.sequence);
                self.sequence += 1;
                return Err(FrameFault::Damaged { frame: FrameId { sequence, captured_at } });
            }
            Do::Allocate => drop(std::hint::black_box(Box::new(7_u64))),
            Do::Panic => panic!("scripted"),
            Do::Stop => self.stop.request(Reason::Signal),
            Do::AwaitPulse => {
                // By the record: on a busy machine the pulse may be over before this thread looks.
                while self.chip.edges_of("reject").iter().all(|edge| edge.level != PinState::High) {
                    std::thread::yield_now();
                }
            }
        }
        self.pixels.fill(if bad { 250 } else { 20 });
        let captured_at = self.start + Duration::from_millis(PITCH_MS) * self.sequence;
        let meta = FrameMeta { sequence: self.sequence, captured_at, part: None, truth: None };
        self.sequence += 1;
        Ok(Lease::new(FrameView::packed(&self.pixels, SIDE as u32, SIDE as u32, PixelFormat::Grey), meta))
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    fn describe(&self) -> String {
        "a script".into()
    }
}

#[derive(Default)]
struct Notes {
    notes: Vec<Note>,
    seen: Vec<Seen>,
}

impl Sink for Notes {
    fn seen(&mut self, seen: &Seen) {
        self.seen.push(*seen);
    }

    fn note(&mut self, note: &Note) {
        self.notes.push(*note);
    }
}

/// How a scripted run ended.
struct Outcomes {
    ended: Ended,
    /// How each part left, in the order in which they did.
    left: Vec<(Outcome, Why)>,
    chip: SimChip,
    seen: usize,
}

impl Outcomes {
    /// A letter a part: pass, reject, missed.
    fn word(&self) -> String {
        let letter = |outcome: &Outcome| match outcome {
            Outcome::Pass => 'p',
            Outcome::Reject { .. } => 'r',
            Outcome::Missed => 'm',
        };
        self.left.iter().map(|(outcome, _)| letter(outcome)).collect()
    }

    fn pulses(&self) -> usize {
        self.chip.edges_of("reject").iter().filter(|edge| edge.level == PinState::High).count()
    }
}

/// Runs a script, and sees that afterwards every output is safe, whatever happened.
fn check(script: &[Do], stop_on_allocation: bool) -> Outcomes {
    check_framed(script, Framing::Every, stop_on_allocation)
}

fn check_framed(script: &[Do], framing: Framing, stop_on_allocation: bool) -> Outcomes {
    let source = |stop: &Arc<Stop>, chip: &SimChip| Script {
        steps: script.iter().copied().collect(),
        pixels: vec![0; SIDE * SIDE],
        sequence: 0,
        start: clock::now(),
        stop: Arc::clone(stop),
        chip: chip.clone(),
    };
    run(|stop, chip| (Box::new(source(stop, chip)), None), framing, stop_on_allocation).0
}

/// Where frames come from, and how to open that again.
type Opened = (Box<dyn FrameSource>, Option<Reopen>);

/// Runs a station, and sees that afterwards every output is safe, whatever happened.
fn run(
    open: impl FnOnce(&Arc<Stop>, &SimChip) -> Opened,
    framing: Framing,
    stop_on_allocation: bool,
) -> (Outcomes, Vec<Note>) {
    let chip = open::sim_chip(&LINES);
    let gpio = Gpio::simulated(std::slice::from_ref(&chip));
    let wires = LINES.map(|line| WireChoice { signal: line, address: line.into(), ..WireChoice::default() });
    let (outputs, trip) = open::outputs(&gpio, &wires).expect("the lines are free");
    let bell = Arc::new(Bell::new().expect("eventfd"));
    let stop = Stop::new(Arc::clone(&bell));
    let (source, reopen) = open(&stop, &chip);
    let model = InspectionModel::from_bytes("brightest", &brightest(), &LoadOptions::default()).expect("a model");
    let ms = Span::from_millis;
    let timing = RejectTiming::new(ms(DELAY_MS), ms(8), ms(PITCH_MS));
    let reject = Reject {
        slot: timing.check().expect("sound"),
        sums: crate::config::Sums::Time(timing),
        delay_us: timing.delay.as_micros(),
        pulse_us: timing.pulse.as_micros(),
        pitch_us: timing.pitch.as_micros(),
        alarm_after: 0,
        confirm: false,
        longest_on_us: None,
    };
    let spec = open::spec(&model, source.geometry(), None);
    let judge = open::judge(&model, crate::config::Limit::Score(0.5)).expect("a threshold");
    let station = Station {
        view: View::new(Preparer::new(&spec).expect("a plan"), model, judge),
        more_views: Vec::new(),
        source,
        reopen,
        sight: Arc::default(),
        framing,
        field: Field::none(),
        changer: None,
        watchdog: None,
        blackbox: None,
        line: open::line(&reject, Duration::from_secs(60)),
        outputs,
        trip,
        realtime: Wish::default(),
        stop_on_allocation,
        limit_frames: None,
        limit: None,
    };
    let mut notes = Notes::default();
    let ended = station.run_until(&stop, &bell, &mut notes).expect("threads start");
    for line in LINES {
        assert_eq!(chip.level(line), Some(PinState::Low), "{line} after {:?}", ended.reason);
    }
    let left = notes.notes.iter().filter_map(|note| match note.what {
        What::Left(left) => Some((left.outcome, left.why)),
        _ => None,
    });
    let run = Outcomes { ended, left: left.collect(), chip, seen: notes.seen.len() };
    (run, notes.notes)
}

/// A model whose map is the image's brightness and whose score is its brightest pixel.
fn brightest() -> Vec<u8> {
    let tensor = |name: &str, shape: &[usize]| ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: Some(TensorShapeProto {
                    dim: shape
                        .iter()
                        .map(|size| tensor_shape_proto::Dimension {
                            value: Some(tensor_shape_proto::dimension::Value::DimValue(*size as i64)),
                            ..Default::default()
                        })
                        .collect(),
                }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    };
    let maximum = |input: &str, output: &str, axes: &[i64], keep: i64| NodeProto {
        op_type: "ReduceMax".into(),
        name: output.into(),
        input: vec![input.into()],
        output: vec![output.into()],
        attribute: vec![
            AttributeProto {
                name: "axes".into(),
                r#type: AttributeType::Ints as i32,
                ints: axes.to_vec(),
                ..Default::default()
            },
            AttributeProto {
                name: "keepdims".into(),
                r#type: AttributeType::Int as i32,
                i: keep,
                ..Default::default()
            },
        ],
        ..Default::default()
    };
    let graph = GraphProto {
        name: "brightest".into(),
        node: vec![maximum("image", "anomaly_map", &[1], 1), maximum("anomaly_map", "pred_score", &[1, 2, 3], 0)],
        input: vec![tensor("image", &[1, 3, SIDE, SIDE])],
        output: vec![tensor("anomaly_map", &[1, 1, SIDE, SIDE]), tensor("pred_score", &[1])],
        ..Default::default()
    };
    encode(&ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(graph),
        ..Default::default()
    })
}

#[test]
fn bad_parts_are_ejected_and_good_ones_are_not() {
    use Do::{Bad, Good};
    let run = check(&[Good, Bad, Good, Good, Bad, Bad, Good], false);
    assert_eq!(run.ended.reason, Reason::Done);
    assert_eq!((run.word().as_str(), run.pulses(), run.seen), ("prpprrp", 3, 7));
}

#[test]
fn a_frame_that_the_driver_lost_is_a_part_that_is_rejected() {
    let run = check(&[Do::Good, Do::Lose(2), Do::Good], false);
    assert_eq!((run.word().as_str(), run.pulses()), ("prrpp", 2));
}

#[test]
fn a_damaged_frame_rejects_its_part() {
    let run = check(&[Do::Damage], false);
    assert_eq!((run.word().as_str(), run.pulses()), ("r", 1));
    assert_eq!(run.left[0].1, Why::BadFrame);
}

#[test]
fn the_frame_after_a_damaged_one_does_not_stand_for_its_part_again() {
    let run = check(&[Do::Good, Do::Damage, Do::Good], false);
    assert_eq!(run.left.len(), 3, "{:?}", run.left);
}

#[test]
fn of_a_camera_that_is_asked_for_the_latest_a_frame_that_cannot_be_judged_rejects_too() {
    let life = [Do::Good, Do::Damage, Do::Damage, Do::Good];
    let run = check_framed(&life, Framing::Latest, false);
    assert_eq!((run.word().as_str(), run.pulses() > 0), ("prrp", true), "{:?}", run.left);
}

#[test]
fn a_panic_in_the_loop_leaves_the_outputs_safe_and_passes_nothing_unseen() {
    let run = check(&[Do::Good, Do::Bad, Do::Panic, Do::Good], false);
    assert_eq!(run.ended.reason, Reason::Panic);
    assert!(run.ended.inspected.is_none());
    let acted = run.ended.acted.expect("the actuator lived");
    let counters = acted.counters;
    assert_eq!(counters.triggered, counters.passed + counters.rejected + counters.missed);
}

#[test]
fn a_request_to_stop_with_the_ejector_on_switches_it_off() {
    let run = check(&[Do::Bad, Do::AwaitPulse, Do::Stop, Do::Good, Do::Good], false);
    assert_eq!(run.ended.reason, Reason::Signal);
    assert_eq!(run.pulses(), 1);
}

#[test]
fn one_allocation_in_the_sealed_loop_is_counted_and_stops_the_station_where_that_is_asked_for() {
    let script = [Do::Good, Do::Good, Do::Good, Do::Good, Do::Allocate, Do::Good];
    let counted = check(&script, false);
    assert_eq!(counted.ended.reason, Reason::Done);
    assert!(counted.ended.allocations.in_stage(crate::alloc::Stage::Capture) >= 1);
    assert_eq!(check(&script, true).ended.reason, Reason::Allocation);
}
