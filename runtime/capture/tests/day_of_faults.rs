//! A day of faults, and a thousand unplugs, cost neither memory nor descriptors, and none goes unnoticed.
//!
//! No time passes: frames come as fast as they are asked for. A day is 24 hours of ten parts a second.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jidoka_capture::health::{Gauge, Limits, Watch};
use jidoka_capture::{
    Attempt, Fault, FaultPlan, Faulty, FrameFault, FrameMeta, FrameSource, FrameView, Geometry, Lease, PixelFormat,
    Reopen, SourceStats,
};

/// Counts bytes that are held.
struct Holding;

static HELD: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged; the counter takes no memory.
unsafe impl GlobalAlloc for Holding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Holding = Holding;

const WIDTH: u32 = 32;
const HEIGHT: u32 = 24;

/// A camera whose picture changes a little with each frame, and which holds a descriptor as a real one does.
struct Plain {
    pixels: Vec<u8>,
    sequence: u32,
    _device: std::fs::File,
}

impl Plain {
    fn open() -> Plain {
        let device = std::fs::File::open("/dev/null").expect("every Linux has it");
        let pixels = (0..WIDTH * HEIGHT).map(|i| 80 + (i * 37 % 90) as u8).collect();
        Plain { pixels, sequence: 0, _device: device }
    }
}

impl FrameSource for Plain {
    fn geometry(&self) -> Geometry {
        Geometry::new(WIDTH, HEIGHT, PixelFormat::Grey)
    }

    fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
        self.sequence += 1;
        let at = self.sequence as usize % self.pixels.len();
        self.pixels[at] ^= 1;
        let meta = FrameMeta { sequence: self.sequence, ..FrameMeta::default() };
        Ok(Lease::new(FrameView::packed(&self.pixels, WIDTH, HEIGHT, PixelFormat::Grey), meta))
    }

    fn stats(&self) -> SourceStats {
        SourceStats::default()
    }

    fn describe(&self) -> String {
        "plain".into()
    }
}

/// Bytes and descriptors that are held.
fn held() -> (i64, usize) {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("/proc").count();
    (HELD.load(Ordering::Relaxed), descriptors)
}

/// Takes `frames` frames with faults from one seed, opening the source again whenever it has gone.
fn run(seed: u64, frames: u64, plan: &FaultPlan) -> [u64; Fault::ALL.len()] {
    let geometry = Plain::open().geometry();
    let plan = plan.clone();
    let mut opened = 0;
    let open = move || {
        opened += 1;
        let plan = FaultPlan { seed: seed ^ (opened << 20), ..plan.clone() };
        Ok(Box::new(Faulty::new(Plain::open(), plan)) as Box<dyn FrameSource>)
    };
    let mut reopen = Reopen::with(open);
    let mut now = Duration::ZERO;
    let mut source = next_source(&mut reopen, &mut now, geometry);
    let mut gauge = Gauge::new(geometry, None).expect("fits");
    let mut watch = Watch::new(Limits::default());
    let mut noticed = [0; Fault::ALL.len()];
    let mut taken = 0;
    while taken < frames {
        taken += 1;
        let looked = source.next(Duration::ZERO).map(|lease| {
            watch.judge(&gauge.read(&lease.view()).expect("fits"));
        });
        match looked {
            Ok(()) => {}
            Err(FrameFault::TimedOut { .. }) => noticed[Fault::TimedOut as usize] += 1,
            Err(FrameFault::Short { .. }) => noticed[Fault::Short as usize] += 1,
            Err(FrameFault::Damaged { .. }) => noticed[Fault::Damaged as usize] += 1,
            Err(FrameFault::Gone) => {
                noticed[Fault::Unplugged as usize] += 1;
                drop(source);
                source = next_source(&mut reopen, &mut now, geometry);
            }
            Err(fault) => panic!("{fault}"),
        }
    }
    noticed
}

fn next_source(reopen: &mut Reopen, now: &mut Duration, geometry: Geometry) -> Box<dyn FrameSource> {
    reopen.begin(*now);
    loop {
        match reopen.attempt(*now, geometry) {
            Attempt::Back(source) => return source,
            Attempt::Wait(until) => *now = until,
            Attempt::Failed(error) => panic!("{error}"),
            Attempt::Changed(geometry) => panic!("{geometry:?}"),
        }
    }
}

/// In one test, because descriptors and memory are the whole process's.
#[test]
fn a_day_of_faults_and_a_thousand_unplugs_leave_nothing_behind() {
    let unplugs = FaultPlan { shares: vec![(Fault::Unplugged, 0.25)], ..FaultPlan::each(5, 0.0) };
    let day = FaultPlan::each(11, 0.01);
    // What is taken once (thread-locals, the test harness's own) is taken before counting.
    run(1, 100, &day);
    let before = held();
    let noticed = run(5, 4_200, &unplugs)[Fault::Unplugged as usize];
    assert!(noticed >= 1_000, "{noticed} unplugs");
    assert_eq!(held(), before, "bytes and descriptors after {noticed} unplugs");
    let frames = 24 * 3600 * 10;
    let noticed = run(11, frames, &day);
    println!("{frames} frames, seed 11: {noticed:?} faults noticed of {:?}", Fault::ALL);
    assert_eq!(held(), before, "bytes and descriptors after a day");
    for fault in [Fault::TimedOut, Fault::Short, Fault::Damaged, Fault::Unplugged] {
        let count = noticed[fault as usize] as f64;
        assert!((count / (frames as f64 * 0.01) - 1.0).abs() < 0.1, "{fault:?}: {count} of about {}", frames / 100);
    }
}
