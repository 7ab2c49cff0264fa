//! A source that goes wrong on purpose, by a seed: for tests and for the simulated line.
//!
//! It wraps any other source and does to its frames what cables, drivers and loaded machines do. The same seed gives the
//! same faults in the same order, and every fault is counted, so that a test can demand that each was noticed.

use std::time::Duration;

use jidoka_prepare::{FrameView, Geometry};

use crate::error::{FrameFault, FrameId};
use crate::source::{FrameMeta, FrameSource, Lease, SourceStats};
use crate::synthetic::Random;

/// What may happen to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It is lost; the sequence number skips.
    Dropped,
    /// The one before comes again, with a new sequence number: a frozen pipeline.
    Duplicated,
    /// Its lower half is still the one before, and nothing says so.
    Torn,
    /// It comes as [`FrameFault::Short`].
    Short,
    /// It comes as [`FrameFault::Damaged`].
    Damaged,
    /// It comes late: its time of capture lies back by [`FaultPlan::late_by`].
    Late,
    /// Nothing comes: [`FrameFault::TimedOut`], and the frame after it is the next.
    TimedOut,
    /// The camera is unplugged: [`FrameFault::Gone`] for [`FaultPlan::gone_for`] calls, then the sequence begins at 0.
    Unplugged,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 8] = [
        Fault::Dropped,
        Fault::Duplicated,
        Fault::Torn,
        Fault::Short,
        Fault::Damaged,
        Fault::Late,
        Fault::TimedOut,
        Fault::Unplugged,
    ];
}

/// Which faults, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    /// The same seed gives the same faults.
    pub seed: u64,
    /// Kinds and the share of frames that each befalls, 0..=1, at most 1 together.
    pub shares: Vec<(Fault, f64)>,
    /// How late a late frame is.
    pub late_by: Duration,
    /// Calls for which an unplugged camera stays away.
    pub gone_for: u32,
}

impl FaultPlan {
    /// Every kind of fault, each with this share.
    pub fn each(seed: u64, share: f64) -> FaultPlan {
        let shares = Fault::ALL.iter().map(|&fault| (fault, share)).collect();
        FaultPlan { seed, shares, late_by: Duration::from_millis(400), gone_for: 3 }
    }
}

/// A source with faults. Allocates when it is made and not again.
pub struct Faulty<S> {
    inner: S,
    plan: FaultPlan,
    random: Random,
    counts: [u64; Fault::ALL.len()],
    /// The frame before, and a mixture of two for a torn one.
    last: Vec<u8>,
    shown: Vec<u8>,
    has_last: bool,
    /// Frames of the inner source that were hidden, taken off or added to the sequence.
    sequence: u32,
    gone: u32,
}

impl<S: FrameSource> Faulty<S> {
    /// Wraps a source. Frames of devices that keep planes apart are passed on untouched where a copy would be needed.
    pub fn new(inner: S, plan: FaultPlan) -> Faulty<S> {
        let random = Random::new(plan.seed, 0xFA17);
        let counts = [0; Fault::ALL.len()];
        // Taken now, so that the first fault does not take memory inside the loop.
        let geometry = inner.geometry();
        let frame = geometry.frame_bytes(geometry.format.line_bytes(geometry.width));
        let (last, shown) = (Vec::with_capacity(frame), Vec::with_capacity(frame));
        Faulty { inner, plan, random, counts, last, shown, has_last: false, sequence: 0, gone: 0 }
    }

    /// How often a fault has been injected.
    pub fn injected(&self, fault: Fault) -> u64 {
        self.counts[fault as usize]
    }

    fn draw(&mut self) -> Option<Fault> {
        let mut point = f64::from(self.random.unit());
        for &(fault, share) in &self.plan.shares {
            if point < share {
                return Some(fault);
            }
            point -= share;
        }
        None
    }

    fn take_sequence(&mut self) -> u32 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }

    /// A frame that comes to nothing.
    fn lose(&mut self, timeout: Duration) -> Result<FrameId, FrameFault> {
        let captured_at = self.inner.next(timeout)?.meta().captured_at;
        Ok(FrameId { sequence: self.take_sequence(), captured_at })
    }

    /// The frame before, again.
    fn again(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        // The inner frame is used up: what the camera saw meanwhile is lost.
        let meta = *self.inner.next(timeout)?.meta();
        let meta = FrameMeta { sequence: self.take_sequence(), ..meta };
        let geometry = self.inner.geometry();
        Ok(Lease::new(FrameView::packed(&self.last, geometry.width, geometry.height, geometry.format), meta))
    }

    /// The upper half of the next frame over the lower half of the one before.
    fn torn(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        let sequence = self.take_sequence();
        let meta = {
            let lease = self.inner.next(timeout)?;
            copy(&lease.view(), &mut self.shown);
            FrameMeta { sequence, ..*lease.meta() }
        };
        let half = self.shown.len() / 2;
        self.shown[half..].copy_from_slice(&self.last[half..]);
        self.last.copy_from_slice(&self.shown);
        let geometry = self.inner.geometry();
        Ok(Lease::new(FrameView::packed(&self.shown, geometry.width, geometry.height, geometry.format), meta))
    }

    /// The next frame, `late` too late.
    fn pass(&mut self, timeout: Duration, late: Duration) -> Result<Lease<'_>, FrameFault> {
        let sequence = self.sequence;
        let lease = self.inner.next(timeout)?;
        self.sequence = sequence.wrapping_add(1);
        self.has_last = lease.view().chroma.is_none();
        if self.has_last {
            copy(&lease.view(), &mut self.last);
        }
        let captured_at = lease.meta().captured_at.saturating_sub(late);
        let meta = FrameMeta { sequence, captured_at, ..*lease.meta() };
        Ok(lease.with_meta(meta))
    }
}

/// Copies the lines of a frame without their padding (a planar frame whole).
fn copy(view: &FrameView<'_>, to: &mut Vec<u8>) {
    let packed = Geometry::new(view.width, view.height, view.format).frame_bytes(view.format.line_bytes(view.width));
    to.resize(packed, 0);
    let line = view.format.line_bytes(view.width);
    if view.stride == line {
        let len = packed.min(view.data.len());
        to[..len].copy_from_slice(&view.data[..len]);
        return;
    }
    for (to, from) in to.chunks_exact_mut(line).zip(view.data.chunks(view.stride)) {
        to.copy_from_slice(&from[..line]);
    }
}

impl<S: FrameSource> FrameSource for Faulty<S> {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        if self.gone > 0 {
            self.gone -= 1;
            return Err(FrameFault::Gone);
        }
        let fault = self.draw().filter(|fault| self.has_last || !matches!(fault, Fault::Duplicated | Fault::Torn));
        if let Some(fault) = fault {
            self.counts[fault as usize] += 1;
        }
        match fault {
            None => self.pass(timeout, Duration::ZERO),
            Some(Fault::Late) => self.pass(timeout, self.plan.late_by),
            Some(Fault::Duplicated) => self.again(timeout),
            Some(Fault::Torn) => self.torn(timeout),
            Some(Fault::Dropped) => {
                drop(self.inner.next(timeout)?);
                self.take_sequence();
                self.pass(timeout, Duration::ZERO)
            }
            Some(Fault::Short) => {
                let frame = self.lose(timeout)?;
                let expected = self.last.len();
                Err(FrameFault::Short { frame, got: expected / 2, expected })
            }
            Some(Fault::Damaged) => Err(FrameFault::Damaged { frame: self.lose(timeout)? }),
            Some(Fault::TimedOut) => Err(FrameFault::TimedOut { waited: timeout }),
            Some(Fault::Unplugged) => {
                self.gone = self.plan.gone_for.saturating_sub(1);
                (self.sequence, self.has_last) = (0, false);
                Err(FrameFault::Gone)
            }
        }
    }

    fn stats(&self) -> SourceStats {
        let dropped = self.injected(Fault::Dropped);
        let damaged = self.injected(Fault::Short) + self.injected(Fault::Damaged);
        let inner = self.inner.stats();
        SourceStats {
            frames: inner.frames.saturating_sub(dropped + damaged),
            lost: inner.lost + dropped,
            damaged: inner.damaged + damaged,
            ..inner
        }
    }

    fn describe(&self) -> String {
        format!("{}, with faults by seed {}", self.inner.describe(), self.plan.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Synthetic, SyntheticConfig};

    fn source(plan: FaultPlan, parts: u32) -> Faulty<Synthetic> {
        let config = SyntheticConfig { width: 64, height: 64, parts: Some(parts), ..SyntheticConfig::default() };
        Faulty::new(Synthetic::open(&config).expect("opens"), plan)
    }

    /// What came: part and sequence number, or the fault.
    fn run(source: &mut Faulty<Synthetic>) -> Vec<Result<(u32, u32), FrameFault>> {
        let mut seen = Vec::new();
        loop {
            match source.next(Duration::ZERO) {
                Ok(lease) => seen.push(Ok((lease.meta().part.expect("numbered"), lease.meta().sequence))),
                Err(FrameFault::EndOfStream) => return seen,
                Err(fault) => seen.push(Err(fault)),
            }
        }
    }

    #[test]
    fn without_faults_everything_passes() {
        let seen = run(&mut source(FaultPlan::each(1, 0.0), 20));
        assert_eq!(seen, (0..20).map(|k| Ok((k, k))).collect::<Vec<_>>());
    }

    #[test]
    fn each_fault_looks_as_described() {
        for fault in Fault::ALL {
            let plan = FaultPlan { shares: vec![(fault, 0.2)], ..FaultPlan::each(3, 0.0) };
            let mut faulty = source(plan, 200);
            let seen = run(&mut faulty);
            let injected = faulty.injected(fault);
            assert!((20..60).contains(&injected), "{fault:?} {injected} times");
            let faults = seen.iter().filter(|seen| seen.is_err()).count() as u64;
            let expected = match fault {
                Fault::Short | Fault::Damaged | Fault::TimedOut => injected,
                Fault::Unplugged => injected * 3,
                _ => 0,
            };
            assert_eq!(faults, expected, "{fault:?}");
            let parts: Vec<u32> = seen.iter().filter_map(|seen| seen.ok()).map(|(part, _)| part).collect();
            let hidden = matches!(fault, Fault::Dropped | Fault::Short | Fault::Damaged);
            // The end of the stream may fall on a frame that was to be dropped.
            let missing = 200 - parts.len() as u64;
            let expected = if hidden { injected } else { 0 };
            assert!(missing == expected || missing + 1 == expected, "{fault:?}: {missing} missing, {expected} hidden");
            assert!(parts.windows(2).all(|pair| pair[0] < pair[1]), "{fault:?}");
        }
    }

    #[test]
    fn duplicates_and_torn_frames_show_the_one_before() {
        let plan = FaultPlan { shares: vec![(Fault::Duplicated, 0.3), (Fault::Torn, 0.3)], ..FaultPlan::each(5, 0.0) };
        let mut faulty = source(plan, 60);
        let (mut before, mut same, mut half) = (Vec::new(), 0, 0);
        while let Ok(lease) = faulty.next(Duration::ZERO) {
            let now = lease.view().data.to_vec();
            let middle = now.len() / 2;
            same += u64::from(now == before);
            half += u64::from(now != before && !before.is_empty() && now[middle..] == before[middle..]);
            before = now;
        }
        assert_eq!(same, faulty.injected(Fault::Duplicated));
        assert_eq!(half, faulty.injected(Fault::Torn));
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        // Without the times, which are the clock's.
        let word = |fault: FrameFault| (std::mem::discriminant(&fault), fault.frame().map(|frame| frame.sequence));
        let [a, b, c] = [7, 7, 8].map(|seed| {
            let seen = run(&mut source(FaultPlan::each(seed, 0.05), 150));
            seen.into_iter().map(|seen| seen.map_err(word)).collect::<Vec<_>>()
        });
        assert_eq!(a, b);
        assert_ne!(a, c);
    }
}
