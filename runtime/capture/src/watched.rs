//! A source that is looked at: what a camera that no longer sees gives is not passed on as a frame.
//!
//! A frozen stream shows parts that have long passed, so that it counts as gone: whoever uses the source opens it again. A frame
//! that repeats the one before, or is dark, saturated or blurred, cannot be judged, so that it counts as unfit: its part is one
//! that nobody has looked at. Nothing here allocates after it was made.

use std::time::Duration;

use jidoka_prepare::{Geometry, Roi};

use crate::error::{CaptureError, FrameFault, FrameId, Unfit};
use crate::health::{Gauge, Limits, Trouble, Watch};
use crate::source::{FrameSource, Lease, SourceStats};

/// When a picture counts as bad, and what then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watching {
    /// The limits.
    pub limits: Limits,
    /// Whether a repeated, dark, saturated or blurred frame is withheld; otherwise it is counted and passed on.
    pub withhold: bool,
    /// The part of the frame that is looked at; none for all of it.
    pub roi: Option<Roi>,
}

/// Looks at every frame of another source.
pub struct Watched<S> {
    inner: S,
    gauge: Gauge,
    watch: Watch,
    withhold: bool,
    stats: SourceStats,
}

impl<S: FrameSource> Watched<S> {
    /// Watches a source.
    pub fn new(inner: S, watching: &Watching) -> Result<Watched<S>, CaptureError> {
        let gauge = Gauge::new(inner.geometry(), watching.roi).map_err(|error| CaptureError::Setting {
            key: "roi",
            value: format!("{:?}", watching.roi),
            expected: error.to_string(),
        })?;
        let watch = Watch::new(watching.limits);
        Ok(Watched { inner, gauge, watch, withhold: watching.withhold, stats: SourceStats::default() })
    }
}

/// Counts a trouble, and says what the frame is then.
fn verdict(trouble: Trouble, frame: FrameId, withhold: bool, stats: &mut SourceStats) -> Result<(), FrameFault> {
    let (count, what) = match trouble {
        Trouble::Frozen { frames } => {
            stats.frozen += 1;
            return Err(FrameFault::Frozen { frame, frames });
        }
        Trouble::Repeated => (&mut stats.frozen, Unfit::Repeated),
        Trouble::Dark { .. } => (&mut stats.dark, Unfit::Dark),
        Trouble::Saturated { .. } => (&mut stats.saturated, Unfit::Saturated),
        Trouble::Blurred { .. } => (&mut stats.blurred, Unfit::Blurred),
    };
    *count += 1;
    if withhold { Err(FrameFault::Unfit { frame, what }) } else { Ok(()) }
}

impl<S: FrameSource> FrameSource for Watched<S> {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        let Watched { inner, gauge, watch, withhold, stats } = self;
        let lease = inner.next(timeout)?;
        // A frame that does not fit its geometry is for the preparation to refuse.
        let trouble = gauge.read(&lease.view()).ok().and_then(|reading| watch.judge(&reading));
        if let Some(trouble) = trouble {
            verdict(trouble, lease.meta().id(), *withhold, stats)?;
        }
        Ok(lease)
    }

    fn stats(&self) -> SourceStats {
        let SourceStats { frozen, dark, saturated, blurred, .. } = self.stats;
        SourceStats { frozen, dark, saturated, blurred, ..self.inner.stats() }
    }

    fn watch(&self) -> Option<Watch> {
        Some(self.watch)
    }

    fn go_on_from(&mut self, watch: Watch) {
        self.watch = watch;
    }

    fn is_loop_clean(&self) -> bool {
        self.inner.is_loop_clean()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    use crate::source::FrameMeta;
    use jidoka_prepare::{FrameView, PixelFormat};

    /// Gives frames of one brightness each.
    struct Flat(VecDeque<u8>, Vec<u8>);

    impl FrameSource for Flat {
        fn geometry(&self) -> Geometry {
            Geometry::new(8, 8, PixelFormat::Grey)
        }

        fn next(&mut self, _: Duration) -> Result<Lease<'_>, FrameFault> {
            let value = self.0.pop_front().ok_or(FrameFault::EndOfStream)?;
            self.1.fill(value);
            let meta = FrameMeta { sequence: value.into(), ..FrameMeta::default() };
            Ok(Lease::new(FrameView::packed(&self.1, 8, 8, PixelFormat::Grey), meta))
        }

        fn stats(&self) -> SourceStats {
            SourceStats { frames: 9, ..SourceStats::default() }
        }

        fn describe(&self) -> String {
            "flat".into()
        }
    }

    fn watched(values: &[u8], withhold: bool) -> Watched<Flat> {
        let limits = Limits { frozen_frames: 3, darkest_mean: 5.0, saturated_share: 0.5, sharpness_share: 0.0 };
        let inner = Flat(values.iter().copied().collect(), vec![0; 64]);
        Watched::new(inner, &Watching { limits, withhold, roi: None }).expect("fits")
    }

    /// A letter a frame, and the counts.
    fn look(mut watched: Watched<Flat>) -> (String, SourceStats) {
        let mut seen = String::new();
        loop {
            let result = watched.next(Duration::ZERO).map(|_| ());
            seen.push(match result {
                Ok(()) => '.',
                Err(FrameFault::Unfit { what: Unfit::Dark, .. }) => 'd',
                Err(FrameFault::Unfit { what: Unfit::Saturated, .. }) => 's',
                Err(FrameFault::Unfit { what: Unfit::Repeated, .. }) => 'r',
                Err(FrameFault::Frozen { .. }) => 'f',
                Err(_) => return (seen, watched.stats()),
            });
        }
    }

    #[test]
    fn what_cannot_be_judged_is_withheld_and_a_frozen_stream_is_no_stream() {
        let values = [90, 91, 1, 255, 90, 90, 90, 90, 91];
        let (seen, stats) = look(watched(&values, true));
        assert_eq!(seen, "..ds.rff.");
        let (passed, counted) = look(watched(&values, false));
        assert_eq!(passed, "......ff.", "counted only; frozen never passes");
        assert_eq!(stats, counted);
        let expected = SourceStats { frames: 9, frozen: 3, dark: 1, saturated: 1, ..SourceStats::default() };
        assert_eq!(stats, expected);
        assert!(!FrameFault::Frozen { frame: FrameId::default(), frames: 3 }.is_passing());
        assert!(FrameFault::Unfit { frame: FrameId::default(), what: Unfit::Dark }.is_passing());
    }

    #[test]
    fn a_stream_that_stood_stands_on_after_it_was_opened_anew_until_a_frame_differs() {
        let mut before = watched(&[90, 90, 90, 90], true);
        while before.next(Duration::ZERO).err() != Some(FrameFault::EndOfStream) {}
        let known = before.watch().expect("watched");
        let mut after = watched(&[90, 90, 91, 90], true);
        after.go_on_from(known);
        assert_eq!(look(after).0, "ff..", "not one frame of a frozen stream passes");
        assert_eq!(
            look(watched(&[90, 90, 91, 90], true)).0,
            ".r..",
            "and a stream that is new owes nothing to another"
        );
    }

    #[test]
    fn a_region_outside_the_frame_is_refused() {
        let roi = Some(Roi { x: 5, y: 0, width: 4, height: 4 });
        let watching = Watching { limits: Limits::default(), withhold: true, roi };
        let refused = Watched::new(Flat(VecDeque::new(), vec![0; 64]), &watching).err().expect("refused");
        assert!(refused.to_string().contains("8x8"), "{refused}");
    }
}
