//! Streaming: buffers on loan from the driver.

use std::os::fd::OwnedFd;
use std::time::Duration;

use jidoka_prepare::{FrameView, Geometry, Plane};

use super::device::{Agreed, Camera};
use super::jpeg;
use super::queue::{Filled, Queue, fault};
use super::sequence::{Lost, Sequence};
use crate::clock::monotonic_now;
use crate::config::{Keep, V4l2Config};
use crate::error::{CaptureError, FrameFault};
use crate::source::{FrameMeta, FrameSource, GiveBack, Lease, SourceStats};

/// A camera that streams. Frames are leases on the driver's buffers; nothing is copied, and after the first frame
/// nothing is allocated. The exception is motion JPEG, which is decoded and takes memory for each frame: `describe`
/// says so.
pub struct V4l2Source {
    agreed: Agreed,
    fps: Option<f64>,
    keep: Keep,
    /// Bytes that a frame needs in each buffer.
    needed: [usize; 3],
    sequence: Sequence,
    stats: SourceStats,
    /// The picture of a compressed frame.
    decoded: Vec<u8>,
    queue: Queue,
}

impl V4l2Source {
    /// Opens the device, sets it up as asked, and starts it.
    pub fn open(config: &V4l2Config) -> Result<V4l2Source, CaptureError> {
        if !(2..=32).contains(&config.buffers) {
            let expected = "2 to 32 (one is read while another is filled)".into();
            return Err(CaptureError::Setting { key: "buffers", value: config.buffers.to_string(), expected });
        }
        let camera = Camera::open(&config.device)?;
        if let Some(crop) = config.crop {
            camera.set_crop(crop)?;
        }
        camera.set_format(config)?;
        if let Some(crop) = config.crop {
            // Setting the format may have undone it: then format and crop do not go together.
            camera.check_crop(crop)?;
        }
        let fps = camera.set_rate(config.fps)?;
        for (name, value) in &config.controls {
            camera.set_control(name, *value)?;
        }
        let agreed = camera.present_format()?;
        let mut queue = Queue::new(camera, config.memory);
        queue.start(config.buffers, &agreed)?;
        let source = V4l2Source {
            needed: needed(&agreed),
            agreed,
            fps,
            keep: config.keep,
            sequence: Sequence::default(),
            stats: SourceStats::default(),
            decoded: if agreed.compressed {
                vec![0; agreed.geometry.frame_bytes(agreed.strides[0])]
            } else {
                Vec::new()
            },
            queue,
        };
        source.check_buffers()?;
        Ok(source)
    }

    /// The camera, to read and set its controls while it streams.
    pub fn camera(&self) -> &Camera {
        &self.queue.camera
    }

    /// Frames a second that the driver has agreed to, where it knows.
    pub fn fps(&self) -> Option<f64> {
        self.fps
    }

    /// Whether the driver says that it stamps frames by the monotonic clock. Otherwise a frame has the time of its arrival.
    pub fn stamps_monotonic(&self) -> bool {
        self.queue.stamps_monotonic()
    }

    /// Each plane of each of the driver's buffers as a DMA buffer, for whoever reads frames without the processor.
    pub fn export(&self) -> Result<Vec<Vec<OwnedFd>>, CaptureError> {
        self.queue.export().map_err(|error| self.queue.camera.failed("export its buffers", error))
    }

    /// A driver whose buffers cannot hold a frame would only ever give short frames.
    fn check_buffers(&self) -> Result<(), CaptureError> {
        for planes in self.queue.lengths() {
            for (got, needed) in planes.zip(self.needed) {
                if got < needed {
                    let what =
                        format!("{} has buffers of {got} bytes for frames of {needed}", self.queue.camera.card());
                    return Err(CaptureError::NotACamera { device: self.queue.camera.path().into(), what });
                }
            }
        }
        Ok(())
    }

    /// Waits for a filled buffer that is fit for use, and takes it from the driver.
    fn take(&mut self, timeout: Duration) -> Result<Filled, FrameFault> {
        let deadline = monotonic_now().saturating_add(timeout);
        loop {
            self.queue.check()?;
            let left = deadline.saturating_sub(monotonic_now());
            let events = match self.queue.camera.node.poll(left) {
                Ok(events) => events,
                // A signal; the time that has passed is taken off.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(fault(&error)),
            };
            if events == 0 {
                if left.is_zero() || monotonic_now() >= deadline {
                    return Err(FrameFault::TimedOut { waited: timeout });
                }
                continue;
            }
            match self.queue.dequeue() {
                Ok(Some(filled)) => return Ok(self.newest(filled)),
                // Poll reports an error for as long as it lasts: waiting again would be a busy loop.
                Ok(None) if events & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 => {
                    return Err(FrameFault::Gone);
                }
                Ok(None) => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Passes over frames that have been overtaken, where that is asked for.
    fn newest(&mut self, mut filled: Filled) -> Filled {
        self.count(&filled);
        while self.keep == Keep::Latest {
            // A fault here is found again by the next call; the frame in hand is still good.
            let Ok(Some(newer)) = self.queue.dequeue() else { break };
            self.queue.give_back(filled.index);
            self.stats.skipped += 1;
            self.count(&newer);
            filled = newer;
        }
        filled
    }

    fn count(&mut self, filled: &Filled) {
        let Lost { all, starved } = self.sequence.lost_before(filled.sequence, filled.captured_at, filled.queued_at);
        self.stats.lost += all;
        self.stats.starved += starved;
        self.stats.restamped += u64::from(filled.restamped);
    }
}

impl FrameSource for V4l2Source {
    fn geometry(&self) -> Geometry {
        self.agreed.geometry
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        let filled = self.take(timeout)?;
        if let Err(fault) = examine(&filled, &self.needed) {
            self.stats.damaged += 1;
            self.queue.give_back(filled.index);
            return Err(fault);
        }
        self.stats.frames += 1;
        let meta = FrameMeta { sequence: filled.sequence, captured_at: filled.captured_at, part: None, truth: None };
        let Geometry { width, height, format, .. } = self.agreed.geometry;
        if self.agreed.compressed {
            let picture = &self.queue.bytes(&filled, 0)[..filled.used[0] - filled.offset[0]];
            let whole = jpeg::decode(picture, (width, height), &mut self.decoded);
            // The driver's buffer is not needed any more: the picture is ours.
            self.queue.give_back(filled.index);
            if !whole {
                self.stats.frames -= 1;
                self.stats.damaged += 1;
                return Err(FrameFault::Damaged { frame: filled.id() });
            }
            return Ok(Lease::new(FrameView::packed(&self.decoded, width, height, format), meta));
        }
        let bytes = |plane: usize| self.queue.bytes(&filled, plane);
        let mut view = FrameView::new(bytes(0), width, height, self.agreed.strides[0], format);
        if self.queue.planes() > 1 {
            view.chroma = Some([1, 2].map(|plane| Plane { data: bytes(plane), stride: self.agreed.strides[plane] }));
        }
        Ok(Lease::new(view, meta).with_owner(&self.queue, filled.index))
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn is_loop_clean(&self) -> bool {
        !self.agreed.compressed
    }

    fn describe(&self) -> String {
        let Geometry { width, height, format, encoding } = self.agreed.geometry;
        let camera = &self.queue.camera;
        let rate = self.fps.map_or("its own rate".into(), |fps| format!("{fps:.3} frames a second"));
        let color =
            if format.is_color() { format!(" {:?} {:?}", encoding.matrix, encoding.range) } else { String::new() };
        let (driver, bus) = camera.driver();
        let jpeg = if self.agreed.compressed { " from JPEG (decoding allocates)" } else { "" };
        let clock = if self.stamps_monotonic() { "" } else { ", stamped on arrival" };
        format!(
            "{} ({}, {driver}, {bus}), {width}x{height} {format}{jpeg}{color}, {rate}, {} buffers{clock}",
            camera.path().display(),
            camera.card(),
            self.queue.len()
        )
    }
}

/// Bytes that a whole frame needs in each buffer.
fn needed(agreed: &Agreed) -> [usize; 3] {
    let Geometry { width, height, format, .. } = agreed.geometry;
    if agreed.compressed {
        // No telling how short a picture may be; an empty one is none.
        return [1, 0, 0];
    }
    if agreed.planes == 1 {
        // Up to the last pixel; drivers differ in whether padding after it counts.
        let view = FrameView::new(&[], width, height, agreed.strides[0], format);
        return [view.needed_bytes(), 0, 0];
    }
    let mut needed = [0; 3];
    for (plane, needed) in needed.iter_mut().enumerate().take(agreed.planes) {
        *needed = format.plane_bytes(plane, width, height, agreed.strides[plane]);
    }
    needed
}

/// Whether a buffer holds a whole frame.
fn examine(filled: &Filled, needed: &[usize; 3]) -> Result<(), FrameFault> {
    if filled.damaged {
        return Err(FrameFault::Damaged { frame: filled.id() });
    }
    for ((&used, &offset), &needed) in filled.used.iter().zip(&filled.offset).zip(needed) {
        let got = used.saturating_sub(offset);
        if got < needed {
            return Err(FrameFault::Short { frame: filled.id(), got, expected: needed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_short_and_marked_buffers_are_no_frames() {
        let check = |used: [usize; 3], offset: [usize; 3], damaged: bool, short: Option<(usize, usize)>| {
            let (captured_at, queued_at) = (Duration::ZERO, Duration::ZERO);
            let filled =
                Filled { index: 0, sequence: 7, captured_at, queued_at, restamped: false, damaged, used, offset };
            let expected = match short {
                _ if damaged => Err(FrameFault::Damaged { frame: filled.id() }),
                Some((got, expected)) => Err(FrameFault::Short { frame: filled.id(), got, expected }),
                None => Ok(()),
            };
            assert_eq!(examine(&filled, &[100, 50, 0]), expected, "{used:?} {offset:?}");
        };
        check([100, 50, 0], [0; 3], false, None);
        check([0, 0, 0], [0; 3], false, Some((0, 100)));
        check([99, 50, 0], [0; 3], false, Some((99, 100)));
        check([100, 49, 0], [0; 3], false, Some((49, 50)));
        check([110, 50, 0], [16, 0, 0], false, Some((94, 100)));
        check([8, 50, 0], [16, 0, 0], false, Some((0, 100)));
        check([100, 50, 0], [0; 3], true, None);
    }
}
