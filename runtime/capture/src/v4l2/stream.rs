//! Streaming: buffers on loan from the driver.

use std::cell::Cell;
use std::io::Cursor;
use std::time::Duration;

use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use jidoka_prepare::{FrameView, Geometry, Plane};
use v4l::v4l_sys::{v4l2_buffer, v4l2_plane, v4l2_requestbuffers};

use super::device::{Agreed, Camera, TYPE_CAPTURE_MPLANE};
use super::sequence::Sequence;
use super::sys::{self, MAX_PLANES, Mapping, Zeroed};
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

/// The driver's buffers. Apart from the rest, so that a lease can give its buffer back while it borrows the source.
struct Queue {
    // Dropped in this order: mappings go before the node that they belong to.
    buffers: Vec<Vec<Mapping>>,
    camera: Camera,
    /// What went wrong when a lease was dropped, until `next` can tell.
    failed: Cell<i32>,
}

/// A buffer that the driver has filled.
#[derive(Clone, Copy)]
struct Filled {
    index: u32,
    sequence: u32,
    captured_at: Duration,
    damaged: bool,
    /// Bytes that were written to each plane, and where they begin.
    used: [usize; 3],
    offset: [usize; 3],
}

const MEMORY_MMAP: u32 = 1;
const FLAG_ERROR: u32 = 0x40;
const FLAG_CLOCK: u32 = 0xe000;
const FLAG_CLOCK_MONOTONIC: u32 = 0x2000;

impl V4l2Source {
    /// Opens the device, sets it up as asked, and starts it.
    pub fn open(config: &V4l2Config) -> Result<V4l2Source, CaptureError> {
        if !(2..=32).contains(&config.buffers) {
            let expected = "2 to 32 (one is read while another is filled)".into();
            return Err(CaptureError::Setting { key: "buffers", value: config.buffers.to_string(), expected });
        }
        let camera = Camera::open(&config.device)?;
        camera.set_format(config)?;
        let fps = camera.set_rate(config.fps)?;
        for (name, value) in &config.controls {
            camera.set_control(name, *value)?;
        }
        let agreed = camera.present_format()?;
        let mut queue = Queue { buffers: Vec::new(), camera, failed: Cell::new(0) };
        queue.start(config.buffers, agreed.planes)?;
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

    /// A driver whose buffers cannot hold a frame would only ever give short frames.
    fn check_buffers(&self) -> Result<(), CaptureError> {
        for planes in &self.queue.buffers {
            for (mapping, needed) in planes.iter().zip(self.needed) {
                if mapping.bytes().len() < needed {
                    let what = format!(
                        "{} has buffers of {} bytes for frames of {needed}",
                        self.queue.camera.card(),
                        mapping.bytes().len()
                    );
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
        self.stats.lost += self.sequence.lost_before(filled.sequence);
        while self.keep == Keep::Latest {
            // A fault here is found again by the next call; the frame in hand is still good.
            let Ok(Some(newer)) = self.queue.dequeue() else { break };
            self.queue.give_back(filled.index);
            self.stats.skipped += 1;
            self.stats.lost += self.sequence.lost_before(newer.sequence);
            filled = newer;
        }
        filled
    }

    /// Whether a buffer holds a whole frame.
    fn examine(&self, filled: &Filled) -> Result<(), FrameFault> {
        if filled.damaged {
            return Err(FrameFault::Damaged { sequence: filled.sequence });
        }
        for ((&used, &offset), &needed) in filled.used.iter().zip(&filled.offset).zip(&self.needed) {
            if used.saturating_sub(offset) < needed {
                let got = used.saturating_sub(offset);
                return Err(FrameFault::Short { sequence: filled.sequence, got, expected: needed });
            }
        }
        Ok(())
    }
}

impl FrameSource for V4l2Source {
    fn geometry(&self) -> Geometry {
        self.agreed.geometry
    }

    fn next(&mut self, timeout: Duration) -> Result<Lease<'_>, FrameFault> {
        let filled = self.take(timeout)?;
        if let Err(fault) = self.examine(&filled) {
            self.stats.damaged += 1;
            self.queue.give_back(filled.index);
            return Err(fault);
        }
        self.stats.frames += 1;
        let meta = FrameMeta { sequence: filled.sequence, captured_at: filled.captured_at, part: None, truth: None };
        let planes = &self.queue.buffers[filled.index as usize];
        let Geometry { width, height, format, .. } = self.agreed.geometry;
        if self.agreed.compressed {
            let whole =
                decode(&planes[0].bytes()[filled.offset[0]..filled.used[0]], (width, height), &mut self.decoded);
            // The driver's buffer is not needed any more: the picture is ours.
            self.queue.give_back(filled.index);
            if !whole {
                self.stats.frames -= 1;
                self.stats.damaged += 1;
                return Err(FrameFault::Damaged { sequence: filled.sequence });
            }
            return Ok(Lease::new(FrameView::packed(&self.decoded, width, height, format), meta));
        }
        let bytes =
            |plane: usize| planes.get(plane).map_or(&[][..], |mapping| &mapping.bytes()[filled.offset[plane]..]);
        let mut view = FrameView::new(bytes(0), width, height, self.agreed.strides[0], format);
        if planes.len() > 1 {
            view.chroma = Some([1, 2].map(|plane| Plane { data: bytes(plane), stride: self.agreed.strides[plane] }));
        }
        Ok(Lease::new(view, meta).with_owner(&self.queue, filled.index))
    }

    fn stats(&self) -> SourceStats {
        self.stats
    }

    fn describe(&self) -> String {
        let Geometry { width, height, format, encoding } = self.agreed.geometry;
        let camera = &self.queue.camera;
        let rate = self.fps.map_or("its own rate".into(), |fps| format!("{fps:.3} frames a second"));
        let color =
            if format.is_color() { format!(" {:?} {:?}", encoding.matrix, encoding.range) } else { String::new() };
        let (driver, bus) = camera.driver();
        let jpeg = if self.agreed.compressed { " from JPEG (decoding allocates)" } else { "" };
        format!(
            "{} ({}, {driver}, {bus}), {width}x{height} {format}{jpeg}{color}, {rate}, {} buffers",
            camera.path().display(),
            camera.card(),
            self.queue.buffers.len()
        )
    }
}

impl Queue {
    /// Asks for buffers, maps them, queues them, and starts the stream.
    fn start(&mut self, count: u32, planes: usize) -> Result<(), CaptureError> {
        let buffer_type = self.camera.buffer_type;
        let mut request =
            v4l2_requestbuffers { count, type_: buffer_type, memory: MEMORY_MMAP, ..v4l2_requestbuffers::zeroed() };
        let camera = &self.camera;
        camera.node.ioctl(sys::REQBUFS, &mut request).map_err(|error| camera.failed("get buffers", error))?;
        if request.count < 2 {
            let what = format!("{} gives only {} buffer where 2 are needed", camera.card(), request.count);
            return Err(CaptureError::NotACamera { device: camera.path().into(), what });
        }
        for index in 0..request.count {
            let mappings = self.map(index, planes).map_err(|error| self.camera.failed("map its buffers", error))?;
            self.buffers.push(mappings);
        }
        for index in 0..request.count {
            self.enqueue(index).map_err(|error| self.camera.failed("queue its buffers", error))?;
        }
        let mut kind = buffer_type as libc::c_int;
        self.camera.node.ioctl(sys::STREAMON, &mut kind).map_err(|error| self.camera.failed("start it", error))
    }

    fn blank(&self, index: u32) -> v4l2_buffer {
        v4l2_buffer { index, type_: self.camera.buffer_type, memory: MEMORY_MMAP, ..v4l2_buffer::zeroed() }
    }

    fn is_multi_planar(&self) -> bool {
        self.camera.buffer_type == TYPE_CAPTURE_MPLANE
    }

    fn map(&self, index: u32, planes: usize) -> std::io::Result<Vec<Mapping>> {
        let mut parts = [v4l2_plane::zeroed(); MAX_PLANES];
        let mut buffer = self.blank(index);
        let room = self.is_multi_planar().then_some(&mut parts);
        self.camera.node.buffer(sys::QUERYBUF, &mut buffer, room)?;
        if !self.is_multi_planar() {
            // SAFETY: a single-planar buffer in mmap memory has an offset; an integer.
            let offset = unsafe { buffer.m.offset };
            return Ok(vec![self.camera.node.map(offset, buffer.length as usize)?]);
        }
        let map = |part: &v4l2_plane| {
            // SAFETY: a plane in mmap memory has an offset; an integer.
            let offset = unsafe { part.m.mem_offset };
            self.camera.node.map(offset, part.length as usize)
        };
        parts.iter().take(planes).map(map).collect()
    }

    fn enqueue(&self, index: u32) -> std::io::Result<()> {
        let mut parts = [v4l2_plane::zeroed(); MAX_PLANES];
        let mut buffer = self.blank(index);
        let room = self.is_multi_planar().then_some(&mut parts);
        self.camera.node.buffer(sys::QBUF, &mut buffer, room)
    }

    /// Takes a filled buffer; none if there is none after all.
    fn dequeue(&self) -> Result<Option<Filled>, FrameFault> {
        let mut parts = [v4l2_plane::zeroed(); MAX_PLANES];
        let mut buffer = self.blank(0);
        let room = self.is_multi_planar().then_some(&mut parts);
        match self.camera.node.buffer(sys::DQBUF, &mut buffer, room) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(fault(&error)),
        }
        let Some(planes) = self.buffers.get(buffer.index as usize) else {
            // A buffer that we never asked for: the driver is not to be trusted any more.
            return Err(FrameFault::Device { errno: libc::EPROTO });
        };
        let mut filled = Filled {
            index: buffer.index,
            sequence: buffer.sequence,
            captured_at: stamp(&buffer),
            damaged: buffer.flags & FLAG_ERROR != 0,
            used: [0; 3],
            offset: [0; 3],
        };
        for (plane, mapping) in planes.iter().enumerate() {
            let (used, offset) = if self.is_multi_planar() {
                (parts[plane].bytesused as usize, parts[plane].data_offset as usize)
            } else {
                (buffer.bytesused as usize, 0)
            };
            // Never beyond what is mapped, whatever the driver says.
            filled.used[plane] = used.min(mapping.bytes().len());
            filled.offset[plane] = offset.min(filled.used[plane]);
        }
        Ok(Some(filled))
    }

    /// What a dropped lease could not tell.
    fn check(&self) -> Result<(), FrameFault> {
        match self.failed.take() {
            0 => Ok(()),
            errno => Err(fault(&std::io::Error::from_raw_os_error(errno))),
        }
    }
}

impl GiveBack for Queue {
    fn give_back(&self, index: u32) {
        if let Err(error) = self.enqueue(index) {
            self.failed.set(error.raw_os_error().unwrap_or(libc::EIO));
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Fails where the device is gone; there is nothing left to stop then.
        let _ = self.camera.node.ioctl(sys::STREAMOFF, &mut (self.camera.buffer_type as libc::c_int));
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

/// Decodes a JPEG picture of this size into RGB. False: it is no such picture.
fn decode(jpeg: &[u8], size: (u32, u32), out: &mut [u8]) -> bool {
    let Ok(decoder) = JpegDecoder::new(Cursor::new(jpeg)) else { return false };
    let fits = decoder.dimensions() == size
        && decoder.color_type() == image::ColorType::Rgb8
        && decoder.total_bytes() == out.len() as u64;
    fits && decoder.read_image(out).is_ok()
}

/// When the frame was taken, on our clock. A driver that stamps with another clock is not believed.
fn stamp(buffer: &v4l2_buffer) -> Duration {
    let time = buffer.timestamp;
    if buffer.flags & FLAG_CLOCK != FLAG_CLOCK_MONOTONIC || (time.tv_sec == 0 && time.tv_usec == 0) {
        return monotonic_now();
    }
    Duration::from_secs(time.tv_sec.max(0) as u64) + Duration::from_micros(time.tv_usec.max(0) as u64)
}

fn fault(error: &std::io::Error) -> FrameFault {
    match error.raw_os_error() {
        // The words of a device that has been pulled, of one that was never there, and of a USB endpoint that hung up.
        Some(libc::ENODEV | libc::ENXIO | libc::EPIPE) => FrameFault::Gone,
        errno => FrameFault::Device { errno: errno.unwrap_or(libc::EIO) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_decode_and_anything_else_is_damaged() {
        use image::ImageEncoder;
        let pixels = [90, 120, 200].repeat(16 * 8);
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.write_image(&pixels, 16, 8, image::ExtendedColorType::Rgb8).expect("encodes");
        let mut out = vec![0; pixels.len()];
        assert!(decode(&jpeg, (16, 8), &mut out));
        assert!(out.iter().zip(&pixels).all(|(a, b)| a.abs_diff(*b) <= 6), "{:?}", &out[..6]);
        assert!(!decode(&jpeg, (8, 16), &mut out), "another size");
        assert!(!decode(&jpeg[..jpeg.len() / 3], (16, 8), &mut out), "cut off");
        assert!(!decode(&[], (16, 8), &mut out));
        assert!(!decode(&[0xff; 100], (16, 8), &mut out));
    }
}
