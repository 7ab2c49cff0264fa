//! A camera that freezes, goes, and comes back.

use std::collections::VecDeque;

use super::*;
use jidoka_capture::health::Limits;
use jidoka_capture::{Watched, Watching};
use jidoka_line::Alarm;

/// What a camera gives until it is opened again.
#[derive(Clone, Copy)]
enum Gives {
    /// So many frames that differ.
    Live(u32),
    /// The last frame again, so many times.
    Still(u32),
    /// Nothing any more: it is gone.
    Gone,
    /// It does not open, so many times.
    Closed(u32),
    /// The recording ends.
    End,
}

use Gives::{Closed, End, Gone, Live, Still};

/// All that is left of a camera's life, shared by the streams that are opened one after the other.
struct Life {
    gives: VecDeque<Gives>,
    shown: u8,
    at: Duration,
}

struct Stream {
    life: Arc<std::sync::Mutex<Life>>,
    pixels: Vec<u8>,
    sequence: u32,
}

impl Stream {
    fn open(life: &Arc<std::sync::Mutex<Life>>) -> Box<dyn FrameSource> {
        let limits = Limits { frozen_frames: 3, darkest_mean: 0.0, saturated_share: 1.0, sharpness_share: 0.0 };
        let inner = Stream { life: Arc::clone(life), pixels: vec![20; SIDE * SIDE], sequence: 0 };
        Box::new(Watched::new(inner, &Watching { limits, withhold: true, roi: None }).expect("fits"))
    }
}

impl FrameSource for Stream {
    fn geometry(&self) -> Geometry {
        Geometry::new(SIDE as u32, SIDE as u32, PixelFormat::Grey)
    }

    fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
        let mut life = self.life.lock().expect("no panic");
        match life.gives.pop_front() {
            Some(Live(frames)) => {
                life.shown = (life.shown + 1) % 100;
                if frames > 1 {
                    life.gives.push_front(Live(frames - 1));
                }
            }
            Some(Still(frames)) => {
                if frames > 1 {
                    life.gives.push_front(Still(frames - 1));
                }
            }
            Some(Gone | Closed(_)) => return Err(FrameFault::Gone),
            Some(End) | None => return Err(FrameFault::EndOfStream),
        }
        // A pitch apart, and never so old that the test's own slowness makes it late.
        life.at = clock::now().max(life.at + Duration::from_millis(PITCH_MS));
        self.pixels[0] = life.shown;
        let meta = FrameMeta { sequence: self.sequence, captured_at: life.at, ..FrameMeta::default() };
        self.sequence += 1;
        Ok(Lease::new(FrameView::packed(&self.pixels, SIDE as u32, SIDE as u32, PixelFormat::Grey), meta))
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    fn describe(&self) -> String {
        "a camera's life".into()
    }
}

/// The station on a camera that lives so, and what the line noted.
fn check(gives: &[Gives], framing: Framing) -> (Outcomes, Vec<Note>) {
    let life = Life { gives: gives.iter().copied().collect(), shown: 0, at: clock::now() };
    let life = Arc::new(std::sync::Mutex::new(life));
    let again = Arc::clone(&life);
    let reopen = Reopen::with(move || {
        let mut held = again.lock().expect("no panic");
        if let Some(Closed(times)) = held.gives.front_mut() {
            *times -= 1;
            if *times == 0 {
                held.gives.pop_front();
            }
            let device = "/dev/video0".into();
            return Err(jidoka_capture::CaptureError::Busy { device });
        }
        drop(held);
        Ok(Stream::open(&again))
    });
    run(|_, _| (Stream::open(&life), Some(reopen)), framing, false)
}

fn raised(notes: &[Note], alarm: Alarm) -> usize {
    notes.iter().filter(|note| note.what == What::Raised(alarm)).count()
}

/// Running and holding, as the line noted them, without the end.
fn modes(notes: &[Note]) -> String {
    let letter = |note: &Note| match note.what {
        What::Mode(jidoka_line::Mode::Running) => Some('r'),
        What::Mode(jidoka_line::Mode::Holding { .. }) => Some('h'),
        _ => None,
    };
    notes.iter().filter_map(letter).collect()
}

#[test]
fn a_frozen_stream_comes_back_when_it_is_opened_anew() {
    let (run, notes) = check(&[Live(4), Still(2), Live(4), End], Framing::Every);
    assert_eq!(run.ended.reason, Reason::Done);
    assert_eq!(run.word(), "pppprrpppp", "{:?}", run.left);
    assert_eq!(run.ended.inspected.as_ref().map(|inspected| inspected.reopened), Some(1));
    assert_eq!((raised(&notes, Alarm::CameraFrozen), modes(&notes).as_str()), (1, "rhr"));
}

#[test]
fn a_stream_that_stays_frozen_passes_nothing_and_is_not_opened_again_and_again() {
    let (run, notes) = check(&[Live(4), Still(40), Live(3), End], Framing::Every);
    assert_eq!(run.word(), format!("pppp{}ppp", "r".repeat(40)), "{:?}", run.left);
    let reopened = run.ended.inspected.as_ref().expect("no panic").reopened;
    assert!((1..=8).contains(&reopened), "{reopened} times, for 38 frames that were frozen");
    assert_eq!((raised(&notes, Alarm::CameraFrozen), modes(&notes).as_str()), (1, "rhr"));
    assert_eq!(raised(&notes, Alarm::FrameDeadline), 0);
}

#[test]
fn a_camera_that_is_pulled_holds_the_line_until_it_is_back() {
    for framing in [Framing::Every, Framing::Triggered] {
        let (run, notes) = check(&[Live(4), Gone, Closed(3), Live(4), End], framing);
        assert_eq!(run.word(), "pppppppp", "{:?}", run.left);
        assert_eq!((raised(&notes, Alarm::CameraLost), modes(&notes).as_str()), (1, "rhr"));
        let ready: Vec<PinState> = run.chip.edges_of("ready").iter().map(|edge| edge.level).collect();
        assert_eq!(ready, [PinState::High, PinState::Low, PinState::High, PinState::Low], "off while it is away");
    }
}

#[test]
fn a_triggered_camera_is_back_before_its_first_frame() {
    // The machine waits for Ready, so that no frame comes before it.
    let (run, notes) = check(&[Live(4), Gone, Closed(1), End], Framing::Triggered);
    assert_eq!((run.word().as_str(), modes(&notes).as_str()), ("pppp", "rhr"));
    let (free, free_notes) = check(&[Live(4), Gone, Closed(1), End], Framing::Every);
    assert_eq!(
        (free.word().as_str(), modes(&free_notes).as_str()),
        ("pppp", "rh"),
        "a camera that runs by itself shows it"
    );
}
