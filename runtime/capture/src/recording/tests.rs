//! What is recorded plays back to the bit, and what is damaged says so.

use super::*;
use jidoka_prepare::Plane;

fn noise(len: usize, seed: u32) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(97)) >> 24) as u8).collect()
}

fn record(path: &Path, geometry: Geometry, frames: &[Vec<u8>]) {
    let mut recorder = Recorder::create(path, geometry).expect("creates");
    for (k, data) in frames.iter().enumerate() {
        let view = FrameView::packed(data, geometry.width, geometry.height, geometry.format);
        let meta =
            FrameMeta { sequence: 10 + 2 * k as u32, captured_at: Duration::from_millis(7), ..FrameMeta::default() };
        recorder.write(&view, &meta).expect("writes");
    }
    assert_eq!(recorder.finish().expect("finishes"), frames.len() as u64);
}

fn play(config: &ReplayConfig) -> Vec<Result<(u32, Vec<u8>), FrameFault>> {
    let mut recording = Recording::open(config).expect("opens");
    let mut all = Vec::new();
    loop {
        match recording.next(Duration::ZERO) {
            Ok(lease) => all.push(Ok((lease.meta().sequence, lease.view().data.to_vec()))),
            Err(FrameFault::EndOfStream) => return all,
            Err(fault) => all.push(Err(fault)),
        }
    }
}

#[test]
fn every_format_plays_back_to_the_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in PixelFormat::all() {
        let mut geometry = Geometry::new(11, 5, format);
        geometry.encoding = Encoding { matrix: Matrix::Bt709, range: Range::Full };
        let bytes = geometry.frame_bytes(format.packed_stride(11));
        // Zeros where a recording pads lines, so that whole frames can be compared.
        let mut frames: Vec<Vec<u8>> = (0..3).map(|k| noise(bytes, k)).collect();
        let path = folder.path().join(format.name());
        for frame in &mut frames {
            let view = FrameView::packed(frame, 11, 5, format);
            let lines: Vec<usize> = (0..format.planes()).map(|p| view.lines(p).expect("whole").count()).collect();
            let mut at = 0;
            for (plane, lines) in lines.into_iter().enumerate() {
                let stride = plane_stride(format, plane, format.packed_stride(11));
                let line =
                    FrameView::packed(frame, 11, 5, format).lines(plane).expect("whole").next().expect("a line").len();
                for _ in 0..lines {
                    frame[at + line..at + stride].fill(0);
                    at += stride;
                }
            }
        }
        record(&path, geometry, &frames);
        let config = ReplayConfig::new(&path);
        assert!(Recording::is_one(&path));
        assert_eq!(Recording::open(&config).expect("opens").geometry(), geometry);
        let expected: Vec<_> = frames.into_iter().enumerate().map(|(k, data)| Ok((10 + 2 * k as u32, data))).collect();
        assert_eq!(play(&config), expected, "{format}");
    }
}

#[test]
fn padding_and_separate_planes_are_taken_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("frames");
    let geometry = Geometry::new(4, 2, PixelFormat::Nv12);
    let (luma, chroma) = ([1, 2, 3, 4, 99, 5, 6, 7, 8, 99], [9, 10, 11, 12]);
    let planes = [Plane { data: &chroma, stride: 6 }, Plane { data: &[], stride: 0 }];
    let view = FrameView { chroma: Some(planes), ..FrameView::new(&luma, 4, 2, 5, PixelFormat::Nv12) };
    let mut recorder = Recorder::create(&path, geometry).expect("creates");
    recorder.write(&view, &FrameMeta::default()).expect("writes");
    let other = FrameView::packed(&luma, 2, 2, PixelFormat::Grey);
    let error = recorder.write(&other, &FrameMeta::default()).expect_err("another size").to_string();
    assert!(error.contains("2x2 GREY"), "{error}");
    recorder.finish().expect("finishes");
    assert_eq!(play(&ReplayConfig::new(&path)), [Ok((0, (1..=12).collect()))]);
}

#[test]
fn a_recording_cut_off_anywhere_plays_up_to_its_last_whole_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("frames");
    let geometry = Geometry::new(3, 2, PixelFormat::Grey);
    record(&path, geometry, &[noise(6, 1), noise(6, 2)]);
    let whole = std::fs::read(&path).expect("reads");
    let head = header(geometry, 3).len();
    let frame = FRAME_HEADER + 6 + 4;
    let cut = folder.path().join("cut");
    for len in 0..whole.len() {
        std::fs::write(&cut, &whole[..len]).expect("writes");
        if len < head {
            assert!(Recording::open(&ReplayConfig::new(&cut)).is_err(), "cut at {len}");
        } else {
            assert_eq!(play(&ReplayConfig::new(&cut)).len(), (len - head) / frame, "cut at {len}");
        }
    }
}

#[test]
fn a_flipped_bit_is_a_damaged_frame_and_the_rest_plays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("frames");
    let geometry = Geometry::new(3, 2, PixelFormat::Grey);
    record(&path, geometry, &[noise(6, 1), noise(6, 2)]);
    let whole = std::fs::read(&path).expect("reads");
    let head = header(geometry, 3).len();
    for at in head..head + FRAME_HEADER + 10 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, damaged).expect("writes");
        let played = play(&ReplayConfig::new(&path));
        assert!(matches!(played[..], [Err(FrameFault::Damaged { .. }), Ok((12, _))]), "bit in byte {at}: {played:?}");
    }
}

#[test]
fn repeating_begins_again_and_an_empty_recording_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("frames");
    let geometry = Geometry::new(3, 2, PixelFormat::Grey);
    record(&path, geometry, &[noise(6, 1), noise(6, 2)]);
    let mut recording = Recording::open(&ReplayConfig { repeat: true, ..ReplayConfig::new(&path) }).expect("opens");
    let sequence = |lease: Lease<'_>| lease.meta().sequence;
    let numbers: Vec<_> = (0..5).map(|_| recording.next(Duration::ZERO).map(sequence).expect("a frame")).collect();
    assert_eq!(numbers, [10, 12, 10, 12, 10]);
    let empty = folder.path().join("empty");
    record(&empty, geometry, &[]);
    let mut recording = Recording::open(&ReplayConfig { repeat: true, ..ReplayConfig::new(&empty) }).expect("opens");
    assert_eq!(recording.next(Duration::ZERO).err(), Some(FrameFault::EndOfStream));
}

#[test]
fn headers_that_make_no_sense_are_refused_with_the_reason() {
    let good = header(Geometry::new(3, 2, PixelFormat::Grey), 3);
    assert!(parse(&good).is_ok());
    for (from, to, part) in [
        ("jidoka", "kaizen", "does not begin"),
        ("width 3", "width 0", "0x2"),
        ("width 3", "width 99999999999", "width: number too large"),
        ("format GREY", "format MJPG", "MJPG"),
        ("stride 3", "stride 4", "stride is 4"),
        ("height 2\n", "", "no `height`"),
        ("\n\n", "\n", "no end"),
    ] {
        let error = parse(&good.replace(from, to)).expect_err(part);
        assert!(error.contains(part), "{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x"), "1").expect("writes");
    assert!(Recorder::create(&folder.path().join("x"), Geometry::new(1, 1, PixelFormat::Grey)).is_err(), "overwrites");
}

#[test]
fn frames_come_at_their_recorded_intervals_and_none_is_lost_while_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("paced");
    let geometry = Geometry::new(4, 4, PixelFormat::Grey);
    let mut recorder = Recorder::create(&path, geometry).expect("creates");
    // The clock of the recording machine says what it likes; after a restart it begins at 0.
    let times_ms = [90_000, 90_015, 90_040, 3, 20];
    for (k, &at_ms) in times_ms.iter().enumerate() {
        let data = [k as u8; 16];
        let meta = FrameMeta { captured_at: Duration::from_millis(at_ms), ..FrameMeta::default() };
        recorder.write(&FrameView::packed(&data, 4, 4, PixelFormat::Grey), &meta).expect("writes");
    }
    recorder.finish().expect("finishes");
    let config = ReplayConfig { as_recorded: true, ..ReplayConfig::new(&path) };
    let mut recording = Recording::open(&config).expect("opens");
    let (mut seen, mut waited) = (Vec::new(), 0);
    loop {
        match recording.next(Duration::from_millis(2)) {
            Ok(lease) => seen.push((lease.view().data[0], lease.meta().captured_at)),
            Err(FrameFault::TimedOut { .. }) => waited += 1,
            Err(fault) => {
                assert_eq!(fault, FrameFault::EndOfStream);
                break;
            }
        }
    }
    assert_eq!(seen.iter().map(|(value, _)| *value).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(waited > 0);
    // Never early; how late is the machine's business.
    assert!(seen[1].1 - seen[0].1 >= Duration::from_millis(14), "{seen:?}");
    assert!(seen[2].1 - seen[0].1 >= Duration::from_millis(39), "{seen:?}");
    assert!(seen[4].1 - seen[3].1 >= Duration::from_millis(16), "{seen:?}");
}
