//! Teaching a student from end to end: the program, the conversation with it, and the model that comes out.

use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use jidoka_capture::PixelFormat;
use jidoka_capture::images::Image;
use jidoka_engine::{Model, Session};
use jidoka_models::random::Random;
use jidoka_models::student::protocol::{self, Event, Job};
use jidoka_models::teach::{Frames, Options, Progress, Size, Taught, teach};
use jidoka_models::{Check, Error, InspectionModel, LoadOptions, Method, Preparation};

const TRAINER: &str = env!("CARGO_BIN_EXE_jidoka-trainer");
const SIDE: usize = 64;

/// A disc with a dark hub, slightly moved and lit differently each time; `scratch` paints a bright bar over it.
fn disc(seed: u64, scratch: bool) -> Image {
    let mut random = Random::new(seed);
    let (cx, cy) = (31.5 + random.unit(), 31.5 + random.unit());
    let light = 150.0 + random.unit() * 10.0;
    let mut data = Vec::with_capacity(SIDE * SIDE);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let r = ((x as f64 - cx).powi(2) + (y as f64 - cy).powi(2)).sqrt();
            let part = if (7.0..22.0).contains(&r) { light } else { 40.0 };
            let bar = scratch && (24..30).contains(&y) && (20..44).contains(&x);
            data.push((if bar { 250.0 } else { part } + random.normal() * 4.0).clamp(0.0, 255.0) as u8);
        }
    }
    Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Grey, data }
}

fn good(count: u64) -> Frames {
    Frames::new((0..count).map(|i| disc(i, false)).collect())
}

fn options() -> Options {
    Options {
        method: Method::TeacherStudent,
        size: Size::Fixed(SIDE as u32, SIDE as u32),
        steps: 60,
        trainer: Some(PathBuf::from(TRAINER)),
        ..Options::default()
    }
}

/// Teaches and checks that new good parts pass, that scratched ones do not, and that the map says where.
fn check(options: &Options) -> Taught {
    let taught = teach(&mut good(24), options, &mut |_| {}).unwrap();
    let required = LoadOptions { golden: Check::Required, ..LoadOptions::default() };
    let mut model = InspectionModel::from_bytes("taught", &taught.onnx, &required).unwrap();
    assert_eq!(model.contract(), &taught.contract, "what was written is what is read");
    let threshold = model.threshold().unwrap();
    let mut false_rejects = 0;
    for seed in 100..120 {
        for scratch in [false, true] {
            let mut preparation = Preparation::for_model(&model, None).unwrap();
            preparation.fill("image", &disc(seed, scratch), &mut model).unwrap();
            let outcome = model.score().unwrap();
            let rejected = f64::from(outcome.score) > threshold;
            if !scratch {
                false_rejects += usize::from(rejected);
                continue;
            }
            assert!(rejected, "scratched part {seed} scores {}, threshold {threshold}", outcome.score);
            let map = outcome.map.unwrap();
            let at = map.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            let (row, column) = (at / map.width, at % map.width);
            assert!((12..44).contains(&row) && (10..54).contains(&column), "the peak is at row {row} column {column}");
        }
    }
    assert!(false_rejects <= 1, "{false_rejects} of 20 good parts are rejected");
    let session = Session::new(&Model::from_bytes("taught", &taught.onnx).unwrap(), &Default::default()).unwrap();
    assert!(session.fallbacks().is_empty(), "not in the engine's own steps: {:?}", session.fallbacks());
    taught
}

#[test]
fn a_student_passes_good_parts_and_rejects_scratched_ones() {
    let taught = check(&options());
    let training = taught.report.training.unwrap();
    // The least that learning anything means: better than the mean of good parts.
    assert!(training.held_out_error < 0.7 && training.best_step > 0, "{training:?}");
    assert_eq!((taught.report.images, taught.report.held_out.len()), (24, 8));
}

#[test]
fn an_int8_student_does_too_and_is_smaller() {
    let real = teach(&mut good(24), &options(), &mut |_| {}).unwrap().onnx.len();
    let bytes = check(&Options { int8: true, ..options() }).onnx.len();
    assert!(bytes * 2 < real, "{bytes} bytes in int8, {real} in f32");
}

#[test]
fn the_same_parts_and_seed_give_the_same_file_and_progress_counts_up() {
    let brief = Options { steps: 8, ..options() };
    let mut seen = Vec::new();
    let mut listen = |progress: Progress<'_>| {
        if let Progress::Training { step, steps, loss, left_s } = progress {
            assert!(steps == 8 && loss.is_finite() && left_s >= 0.0);
            seen.push(step);
        }
    };
    let once = teach(&mut good(8), &brief, &mut listen).unwrap();
    assert_eq!(seen, (1..=8).collect::<Vec<_>>());
    let again = teach(&mut good(8), &brief, &mut |_| {}).unwrap();
    assert!(once.onnx == again.onnx, "two courses over the same parts differ");
    let other = teach(&mut good(8), &Options { seed: 1, ..brief }, &mut |_| {}).unwrap();
    assert!(once.onnx != other.onnx, "the seed has no effect");
}

#[test]
fn a_trainer_that_is_missing_or_dies_is_named_with_what_to_do() {
    let fails = |program: &str| -> String {
        let options = Options { trainer: Some(program.into()), ..options() };
        teach(&mut good(8), &options, &mut |_| {}).unwrap_err().to_string()
    };
    let text = fails("no/such/jidoka-trainer");
    assert!(text.contains("no/such/jidoka-trainer: cannot start") && text.contains("cargo build"), "{text}");
    let text = fails("false");
    assert!(text.starts_with("false: it "), "{text}");
}

#[test]
fn too_few_parts_are_refused_before_anything_is_trained() {
    let error = teach(&mut good(7), &options(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::TooFewImages { usable: 7, needed: 8, .. }), "{error}");
}

fn start() -> Child {
    Command::new(TRAINER).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// What the trainer says when it is sent `bytes` and then nothing more.
fn answer(bytes: &[u8]) -> (Event, bool) {
    let mut trainer = start();
    // It may refuse before it has read all.
    let _ = trainer.stdin.take().unwrap().write_all(bytes);
    let event = protocol::read_line(&mut BufReader::new(trainer.stdout.take().unwrap())).unwrap().unwrap();
    (event, trainer.wait().unwrap().success())
}

fn job(teacher: &[u8], steps: usize) -> Job {
    Job {
        version: protocol::VERSION,
        width: SIDE,
        height: SIDE,
        channels: [8, 4, 6],
        teacher_bytes: teacher.len(),
        train: 4,
        held_out: 2,
        steps,
        batch: 4,
        seed: 3,
    }
}

#[test]
fn jobs_that_cannot_be_done_are_refused_with_the_reason() {
    let line = |job: &Job| protocol::line(job).unwrap();
    let sent = job(b"no model", 5);
    let pictures = vec![128; 6 * sent.picture_bytes()];
    for (bytes, expected) in [
        (b"hello\n".to_vec(), "the job: "),
        (Vec::new(), "there is none"),
        (line(&Job { batch: 0, ..sent.clone() }).into_bytes(), "of 0 pictures"),
        ([line(&sent).as_bytes(), b"no model", &pictures[5..]].concat(), "the pictures: "),
        ([line(&sent).as_bytes(), b"no model", &pictures].concat(), "the teacher"),
    ] {
        let (Event::Failed(reason), false) = answer(&bytes) else { panic!("it did not refuse: {expected}") };
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_trainer_whose_caller_is_gone_stops() {
    let teacher = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../zoo/edge-s.onnx")).unwrap();
    let teacher = teacher_of(&teacher);
    // Days of steps.
    let job = Job { channels: [16, 32, 64], ..job(&teacher, 100_000_000) };
    let mut random = Random::new(1);
    let pictures: Vec<u8> = (0..6 * job.picture_bytes()).map(|_| random.bits() as u8).collect();
    let mut trainer = start();
    let mut input = trainer.stdin.take().unwrap();
    input.write_all(protocol::line(&job).unwrap().as_bytes()).unwrap();
    input.write_all(&teacher).unwrap();
    input.write_all(&pictures).unwrap();
    let mut output = BufReader::new(trainer.stdout.take().unwrap());
    let first: Event = protocol::read_line(&mut output).unwrap().unwrap();
    assert!(matches!(first, Event::Step { step: 1, .. }), "{first:?}");
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(!trainer.wait().unwrap().success());
    assert!(rest.contains("its caller has gone") && !rest.contains("done"), "{rest}");
}

/// A backbone with its stem as the first output.
fn teacher_of(backbone: &[u8]) -> Vec<u8> {
    use jidoka_engine::onnx;
    let mut message = onnx::decode("edge-s", backbone).unwrap();
    let graph = message.graph.as_mut().unwrap();
    let mut stem = graph.output[0].clone();
    stem.name = "stem".to_owned();
    let shape = |info: &mut onnx::ValueInfoProto, dims: [usize; 4]| {
        let Some(onnx::TypeProto { value: Some(onnx::type_proto::Value::TensorType(tensor)), .. }) = &mut info.r#type
        else {
            panic!("a tensor")
        };
        let dims = dims.map(|d| onnx::tensor_shape_proto::Dimension {
            denotation: String::new(),
            value: Some(onnx::tensor_shape_proto::dimension::Value::DimValue(d as i64)),
        });
        tensor.shape = Some(onnx::TensorShapeProto { dim: dims.to_vec() });
    };
    graph.value_info.clear();
    graph.output.insert(0, stem);
    graph.input.iter_mut().for_each(|i| shape(i, [1, 3, SIDE, SIDE]));
    for (info, dims) in graph.output.iter_mut().zip([[1, 16, 32, 32], [1, 32, 8, 8], [1, 64, 4, 4]]) {
        shape(info, dims);
    }
    onnx::encode(&message)
}
