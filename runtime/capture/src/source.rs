//! The one interface that the loop sees: a source gives leases of frames.

use std::time::Duration;

use jidoka_prepare::{FrameView, Geometry};

use crate::error::{FrameFault, FrameId};
use crate::health::Watch;

/// What is known of a frame beside its pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMeta {
    /// The source's number for this frame. It may start again at 0 (after a replug), and it skips where frames were lost.
    pub sequence: u32,
    /// When the exposure began or ended (as the driver has it), on `CLOCK_MONOTONIC`.
    pub captured_at: Duration,
    /// Which part this is, where the source knows (synthetic, replay).
    pub part: Option<u32>,
    /// What the part is, where the source knows.
    pub truth: Option<Truth>,
}

impl FrameMeta {
    /// Which frame it is.
    pub fn id(&self) -> FrameId {
        FrameId { sequence: self.sequence, captured_at: self.captured_at }
    }
}

/// What a part really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Nothing wrong with it.
    Good,
    /// It has this defect.
    Defect(Defect),
}

impl Truth {
    /// Whether the part is good.
    pub fn is_good(self) -> bool {
        self == Truth::Good
    }

    /// A short name: `good`, or the defect's.
    pub fn name(self) -> &'static str {
        match self {
            Truth::Good => "good",
            Truth::Defect(defect) => defect.name(),
        }
    }
}

/// What may be wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Defect {
    /// A scratch across the turned surface.
    Scratch,
    /// A pit or a dent.
    Pit,
    /// A stain of oil or rust.
    Stain,
    /// A bolt hole was not drilled.
    MissingHole,
    /// A bolt hole is in the wrong place.
    MisplacedHole,
    /// A piece of the rim has broken off.
    ChippedEdge,
    /// Something else (a folder of defects of unknown kind).
    Other,
}

impl Defect {
    /// The kinds that the synthetic source can make.
    pub const RENDERED: [Defect; 6] =
        [Defect::Scratch, Defect::Pit, Defect::Stain, Defect::MissingHole, Defect::MisplacedHole, Defect::ChippedEdge];

    /// A short name in kebab case.
    pub fn name(self) -> &'static str {
        match self {
            Defect::Scratch => "scratch",
            Defect::Pit => "pit",
            Defect::Stain => "stain",
            Defect::MissingHole => "missing-hole",
            Defect::MisplacedHole => "misplaced-hole",
            Defect::ChippedEdge => "chipped-edge",
            Defect::Other => "other",
        }
    }
}

/// Takes a buffer back. Called from `Drop`, so a failure is kept and told by the next [`FrameSource::next`].
pub trait GiveBack {
    /// Gives buffer `index` back to whoever fills it.
    fn give_back(&self, index: u32);
}

/// A frame on loan. Dropping it gives the buffer back to the driver; hold it as short as possible.
pub struct Lease<'a> {
    view: FrameView<'a>,
    meta: FrameMeta,
    mask: Option<&'a [u8]>,
    owner: Option<(&'a dyn GiveBack, u32)>,
}

impl<'a> Lease<'a> {
    /// A lease of memory that needs no giving back.
    pub fn new(view: FrameView<'a>, meta: FrameMeta) -> Lease<'a> {
        Lease { view, meta, mask: None, owner: None }
    }

    /// Adds the true defect mask: a byte a pixel, 255 where the part is defective, 0 elsewhere.
    pub fn with_mask(mut self, mask: &'a [u8]) -> Lease<'a> {
        self.mask = Some(mask);
        self
    }

    /// The same frame with other things known of it.
    pub fn with_meta(mut self, meta: FrameMeta) -> Lease<'a> {
        self.meta = meta;
        self
    }

    /// Gives buffer `index` back to `owner` when the lease ends.
    pub fn with_owner(mut self, owner: &'a dyn GiveBack, index: u32) -> Lease<'a> {
        self.owner = Some((owner, index));
        self
    }

    /// The pixels.
    pub fn view(&self) -> FrameView<'_> {
        self.view
    }

    /// Sequence, time, truth.
    pub fn meta(&self) -> &FrameMeta {
        &self.meta
    }

    /// The true defect mask (width x height bytes, 255 = defective), where the source knows.
    pub fn mask(&self) -> Option<&[u8]> {
        self.mask
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some((owner, index)) = self.owner {
            owner.give_back(index);
        }
    }
}

/// What a source has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// Frames given out.
    pub frames: u64,
    /// Frames that the driver numbered and never gave (gaps in the sequence).
    pub lost: u64,
    /// Those of the lost frames for which the driver had no free buffer: the loop was too slow, or has too few buffers.
    /// The others were lost by camera, cable or driver.
    pub starved: u64,
    /// Frames whose time of capture is that of their arrival, because the driver's was not on our clock.
    pub restamped: u64,
    /// Frames that were ready and passed over for a newer one.
    pub skipped: u64,
    /// Frames that came damaged or short.
    pub damaged: u64,
    /// Frames equal to the one before: repeated ones, and those of a stream that stood.
    pub frozen: u64,
    /// Frames that were too dark to judge.
    pub dark: u64,
    /// Frames that were too bright to judge.
    pub saturated: u64,
    /// Frames that were out of focus.
    pub blurred: u64,
}

impl SourceStats {
    /// These and those of another stream.
    #[must_use]
    pub fn and(self, other: SourceStats) -> SourceStats {
        SourceStats {
            frames: self.frames + other.frames,
            lost: self.lost + other.lost,
            starved: self.starved + other.starved,
            restamped: self.restamped + other.restamped,
            skipped: self.skipped + other.skipped,
            damaged: self.damaged + other.damaged,
            frozen: self.frozen + other.frozen,
            dark: self.dark + other.dark,
            saturated: self.saturated + other.saturated,
            blurred: self.blurred + other.blurred,
        }
    }
}

/// Something that gives frames: a camera, a recording, a renderer.
///
/// `next` allocates nothing once the first frame has come, except where a source's documentation says so.
pub trait FrameSource: Send {
    /// What every frame looks like.
    fn geometry(&self) -> Geometry;

    /// Waits for a frame, at most `timeout`. One lease at a time: the borrow sees to it.
    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault>;

    /// What has been counted so far.
    fn stats(&self) -> SourceStats;

    /// What a watch over the picture has learned so far, where there is one; for [`FrameSource::go_on_from`] of the stream that
    /// replaces this one.
    fn watch(&self) -> Option<Watch> {
        None
    }

    /// Goes on with what was known of the stream that this one replaces.
    fn go_on_from(&mut self, _watch: Watch) {}

    /// Whether `next` allocates nothing once it runs; false for motion JPEG and for video through a decoder.
    fn is_loop_clean(&self) -> bool {
        true
    }

    /// One line for the log: which device or folder, size, format, rate.
    fn describe(&self) -> String;
}
