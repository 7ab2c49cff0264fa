//! What the ring promises: whole records, exact losses, one writer, and life after a crash.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::{CameraState, EventKind, Name, StageTimes, State, Verdict};

fn ring() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("station.ring");
    (dir, path)
}

/// A record in which every field tells `n`, so that a mixture of two shows.
fn record(n: u64) -> VerdictRecord {
    let small = n as u32;
    VerdictRecord {
        sequence: n,
        part: n + 1,
        captured_at_us: n + 2,
        decided_at_us: n + 3,
        decided_unix_us: n + 4,
        verdict: Verdict::Reject.code(),
        score: small as f32,
        threshold: small as f32,
        frame: small,
        stages: StageTimes { capture_us: small, total_us: small, ..StageTimes::default() },
        allocations: small,
        faults: small,
        dropped_frames: small,
        views: small,
        model_digest: [n as u8; 32],
        recipe: Name::new("m8"),
        view: Name::new("cap"),
        view_scores: [small as f32; crate::MAX_VIEWS],
    }
}

/// Everything a reader finds, as record sequences and `-lost`.
fn drain(reader: &mut Reader) -> Vec<i64> {
    let mut seen = Vec::new();
    loop {
        match reader.poll() {
            Next::Record(index, Record::Verdict(verdict)) => {
                assert_eq!(verdict, record(verdict.sequence), "torn at {index}");
                seen.push(verdict.sequence as i64);
            }
            Next::Record(_, other) => panic!("{other:?}"),
            Next::Lost(count) => seen.push(-(count as i64)),
            Next::Idle => return seen,
        }
    }
}

#[test]
fn records_come_out_as_they_went_in() {
    let (_dir, path) = ring();
    let mut writer = Writer::open(&path, 16).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.poll(), Next::Idle);
    let event = EventRecord {
        at_us: 7,
        kind: EventKind::CameraLost.code(),
        value: -5,
        subject: Name::new("/dev/video0"),
        ..EventRecord::default()
    };
    writer.verdict(&record(41));
    writer.event(&event);
    assert_eq!(reader.poll(), Next::Record(0, Record::Verdict(record(41))));
    assert_eq!(reader.poll(), Next::Record(1, Record::Event(event)));
    assert_eq!(reader.poll(), Next::Idle);
    assert_eq!(event.kind(), Some(EventKind::CameraLost));
}

#[test]
fn the_status_and_the_camera_stand_beside_the_ring_each_for_itself() {
    let (_dir, path) = ring();
    let mut writer = Writer::open(&path, 16).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!((reader.status(), reader.camera()), (None, None));
    let camera = CameraRecord { state: CameraState::Frozen.code(), frozen: 7, reopened: 2, ..CameraRecord::default() };
    writer.camera(&camera);
    assert_eq!((reader.status(), reader.camera()), (None, Some(camera)));
    let status = Status { parts: 3, ..Status::default() };
    writer.status(&status);
    writer.camera(&CameraRecord { frames: u64::MAX, ..camera });
    assert_eq!(reader.status(), Some(status));
    assert_eq!(reader.camera().map(|camera| camera.frames), Some(u64::MAX));
    assert_eq!(camera.counts().iter().map(|(_, count)| count).sum::<u64>(), 9, "every count is among them");
}

#[test]
fn status_is_the_last_one_written() {
    let (_dir, path) = ring();
    let mut writer = Writer::open(&path, 16).unwrap();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.status(), None);
    for parts in [1, 2] {
        writer.status(&Status { state: State::Running.code(), parts, ..Status::default() });
    }
    assert_eq!(reader.status().map(|status| (status.state(), status.parts)), Some((Some(State::Running), 2)));
}

#[test]
fn a_slow_reader_is_told_exactly_what_it_lost() {
    for (written, read_first, expected) in [
        (10, 0, vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (16, 0, (0..16).collect()),
        (20, 0, [vec![-4], (4..20).collect()].concat()),
        (40, 5, [vec![-19], (24..40).collect()].concat()),
    ] {
        let (_dir, path) = ring();
        let mut writer = Writer::open(&path, 16).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        (0..read_first).for_each(|n| writer.verdict(&record(n)));
        assert_eq!(drain(&mut reader).len() as u64, read_first);
        (read_first..written).for_each(|n| writer.verdict(&record(n)));
        assert_eq!(drain(&mut reader), expected, "{written} written, {read_first} read first");
        reader.rewind(3);
        assert_eq!(drain(&mut reader), ((written as i64 - 3)..written as i64).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_or_repeated_unaccounted(steps in prop::collection::vec((0u64..40, any::<bool>()), 1..20)) {
        let (_dir, path) = ring();
        let mut writer = Writer::open(&path, 16).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let (mut written, mut expected) = (0u64, 0i64);
        for (count, read) in steps {
            (written..written + count).for_each(|n| writer.verdict(&record(n)));
            written += count;
            if read {
                for item in drain(&mut reader) {
                    if item < 0 { expected -= item } else {
                        prop_assert_eq!(item, expected);
                        expected += 1;
                    }
                }
                prop_assert_eq!(expected, written as i64);
            }
        }
    }
}

#[test]
fn readers_never_see_a_torn_record() {
    const RECORDS: u64 = 20_000;
    let (_dir, path) = ring();
    let mut writer = Writer::open(&path, 16).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut reader = Reader::open(&path).unwrap();
                let done = &done;
                scope.spawn(move || {
                    let (mut read, mut lost, mut next) = (0u64, 0u64, 0i64);
                    loop {
                        let last_round = done.load(Ordering::Acquire);
                        for item in drain(&mut reader) {
                            if item < 0 {
                                lost += item.unsigned_abs();
                                next -= item;
                            } else {
                                assert_eq!(item, next, "out of order");
                                read += 1;
                                next += 1;
                            }
                        }
                        if let Some(status) = reader.status() {
                            assert_eq!(status.parts, status.passed, "torn status");
                            assert_eq!(status.parts, status.sealed_faults, "torn status");
                        }
                        if last_round {
                            return (read, lost);
                        }
                    }
                })
            })
            .collect();
        for n in 0..RECORDS {
            writer.verdict(&record(n));
            writer.status(&Status { parts: n, passed: n, sealed_faults: n, ..Status::default() });
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            let (read, lost) = reader.join().unwrap();
            assert_eq!(read + lost, RECORDS);
            assert!(read >= 16, "the last ones are always there");
        }
    });
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let (_dir, path) = ring();
    let first = Writer::open(&path, 16).unwrap();
    let error = Writer::open(&path, 16).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&format!("in use by another inspector (pid {})", std::process::id())), "{error}");
    drop(first);
    Writer::open(&path, 16).unwrap();
}

#[test]
fn the_next_inspector_goes_on_where_the_last_one_died() {
    let (_dir, path) = ring();
    let mut writer = Writer::open(&path, 16).unwrap();
    (0..5).for_each(|n| writer.verdict(&record(n)));
    writer.status(&Status { parts: 5, ..Status::default() });
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(drain(&mut reader).len(), 5);
    // Killed in the middle of record 5 and of a status: the stamps say "in the making".
    let words = writer.region.words();
    slot(words, 5, 16)[0].store(11, Ordering::Relaxed);
    words[AT_STATUS].store(words[AT_STATUS].load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let before = reader.instance();
    drop(writer);
    assert_eq!((reader.poll(), reader.status()), (Next::Idle, None));
    assert!(!reader.is_stale());

    let mut writer = Writer::open(&path, 16).unwrap();
    writer.verdict(&record(5));
    writer.status(&Status { parts: 6, ..Status::default() });
    assert_eq!(drain(&mut reader), [5]);
    assert_eq!(reader.status().map(|status| status.parts), Some(6));
    assert!(reader.instance() >= before);
    reader.rewind(u64::MAX);
    assert_eq!(drain(&mut reader), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn another_capacity_takes_the_place_and_readers_notice() {
    let (_dir, path) = ring();
    let mut writer = Writer::open(&path, 16).unwrap();
    writer.verdict(&record(0));
    let reader = Reader::open(&path).unwrap();
    drop(writer);
    let mut writer = Writer::open(&path, 32).unwrap();
    assert!(reader.is_stale());
    writer.verdict(&record(7));
    assert_eq!(drain(&mut Reader::open(&path).unwrap()), [7]);
    drop(writer);
    std::fs::remove_file(&path).unwrap();
    assert!(reader.is_stale());
}

#[test]
fn what_is_no_ring_is_refused_with_a_reason() {
    let (_dir, path) = ring();
    let refused = |expected: &str| {
        let error = Reader::open(&path).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    refused("no ring at");
    std::fs::write(&path, "hello").unwrap();
    refused("5 bytes are too few");
    std::fs::write(&path, vec![7; 8192]).unwrap();
    refused("magic");
    drop(Writer::open(&path, 16).unwrap());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 8]).unwrap();
    refused("16 records do not make");
    let mut newer = whole.clone();
    let version = crate::VERSION;
    newer[8..16].copy_from_slice(&(u64::from(version + 1) << 32 | 32).to_ne_bytes());
    std::fs::write(&path, &newer).unwrap();
    refused(&format!("layout version {}, this program reads version {version}", version + 1));
    // A writer replaces what it cannot go on with.
    drop(Writer::open(&path, 16).unwrap());
    Reader::open(&path).unwrap();
    for capacity in [0, 15, (1 << 20) + 1] {
        let error = Writer::open(&path, capacity).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("expected: 16 to 1048576"), "{error}");
    }
}
