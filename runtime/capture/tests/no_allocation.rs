//! A source takes no memory after its first frame.

use std::time::Duration;

use jidoka_capture::health::{Gauge, Limits, Watch};
use jidoka_capture::{
    FaultPlan, Faulty, FrameFault, FrameSource, Recorder, Recording, Replay, ReplayConfig, Synthetic, SyntheticConfig,
    images,
};
use jidoka_test_support::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn conveyor() -> SyntheticConfig {
    SyntheticConfig { width: 64, height: 64, defect_rate: 0.5, ..SyntheticConfig::default() }
}

/// Takes frames and faults without taking memory.
fn check(what: &str, source: &mut dyn FrameSource) {
    let mut gauge = Gauge::new(source.geometry(), None).expect("fits");
    let mut watch = Watch::new(Limits::default());
    while source.next(Duration::ZERO).is_err() {}
    let before = allocations();
    let mut frames = 0;
    while frames < 30 {
        match source.next(Duration::ZERO) {
            Ok(lease) => {
                frames += 1;
                watch.judge(&gauge.read(&lease.view()).expect("fits"));
            }
            Err(fault) => assert_ne!(fault, FrameFault::EndOfStream, "{what}"),
        }
    }
    assert_eq!(allocations() - before, 0, "allocations by {what}");
}

#[test]
fn sources_take_no_memory_while_they_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorded = folder.path().join("recorded");
    let mut source = Synthetic::open(&conveyor()).expect("opens");
    let mut recorder = Recorder::create(&recorded, source.geometry()).expect("creates");
    for k in 0..3 {
        let lease = source.next(Duration::ZERO).expect("renders");
        recorder.write(&lease.view(), lease.meta()).expect("writes");
        let png = images::encode_png(&lease.view()).expect("encodes");
        std::fs::write(folder.path().join(format!("{k}.png")), png).expect("writes");
    }
    recorder.finish().expect("finishes");
    check("the conveyor", &mut source);
    check("faults", &mut Faulty::new(source, FaultPlan::each(1, 0.05)));
    let again = |path| ReplayConfig { repeat: true, ..ReplayConfig::new(path) };
    check("replay", &mut Replay::open(&again(folder.path().to_path_buf())).expect("opens"));
    check("a recording", &mut Recording::open(&again(recorded)).expect("opens"));
    let before = allocations();
    drop(vec![1u8; 3]);
    assert_eq!(allocations() - before, 1, "the counter counts");
}
