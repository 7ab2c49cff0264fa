//! The driver's buffers: asked for, mapped, queued, filled, taken, given back.

use std::cell::Cell;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use v4l::v4l_sys::{v4l2_buffer, v4l2_exportbuffer, v4l2_plane, v4l2_requestbuffers};

use super::device::{Agreed, Camera, TYPE_CAPTURE_MPLANE};
use super::heap::{self, Shared};
use super::sys::{self, MAX_PLANES, Mapping, Zeroed};
use crate::clock::monotonic_now;
use crate::config::Memory;
use crate::error::{CaptureError, FrameFault, FrameId};
use crate::source::GiveBack;

/// The buffers of a camera that streams. Apart from the rest of the source, so that a lease can give its buffer back while
/// it borrows the source.
pub(super) struct Queue {
    // Dropped in this order: mappings go before the node that they belong to.
    buffers: Vec<Vec<Plane>>,
    pub camera: Camera,
    memory: Memory,
    /// When each buffer was given to the driver last.
    queued_at: Vec<Cell<Duration>>,
    /// What went wrong when a lease was dropped, until `next` can tell.
    failed: Cell<i32>,
}

/// One plane of a buffer.
enum Plane {
    Driver(Mapping),
    Heap(Shared),
}

impl Plane {
    fn mapping(&self) -> &Mapping {
        match self {
            Plane::Driver(mapping) => mapping,
            Plane::Heap(shared) => &shared.mapping,
        }
    }
}

/// A buffer that the driver has filled.
#[derive(Clone, Copy)]
pub(super) struct Filled {
    pub index: u32,
    pub sequence: u32,
    /// When it was filled, by the driver's clock, and when it was given to the driver before that.
    pub captured_at: Duration,
    pub queued_at: Duration,
    /// The driver's time could not be used; the frame has that of its arrival.
    pub restamped: bool,
    pub damaged: bool,
    /// Bytes that were written to each plane, and where they begin.
    pub used: [usize; 3],
    pub offset: [usize; 3],
}

impl Filled {
    /// Which frame it holds.
    pub fn id(&self) -> FrameId {
        FrameId { sequence: self.sequence, captured_at: self.captured_at }
    }
}

const MEMORY_MMAP: u32 = 1;
const MEMORY_DMABUF: u32 = 4;
const FLAG_ERROR: u32 = 0x40;
const FLAG_CLOCK: u32 = 0xe000;
const FLAG_CLOCK_MONOTONIC: u32 = 0x2000;
/// A frame older than this, or from the future by as much, has been stamped by another clock than ours.
const OLDEST: Duration = Duration::from_secs(10);
const MOST_AHEAD: Duration = Duration::from_millis(50);

impl Queue {
    /// A queue without buffers.
    pub fn new(camera: Camera, memory: Memory) -> Queue {
        Queue { buffers: Vec::new(), camera, memory, queued_at: Vec::new(), failed: Cell::new(0) }
    }

    /// Asks for buffers, maps them, queues them, and starts the stream.
    pub fn start(&mut self, count: u32, agreed: &Agreed) -> Result<(), CaptureError> {
        let camera = &self.camera;
        let mut request = v4l2_requestbuffers {
            count,
            type_: camera.buffer_type,
            memory: self.memory_code(),
            ..v4l2_requestbuffers::zeroed()
        };
        camera.node.ioctl(sys::REQBUFS, &mut request).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) if self.memory == Memory::DmaHeap => {
                let what = format!("{} takes no buffers of others; try memory = \"driver\"", camera.card());
                CaptureError::NotACamera { device: camera.path().into(), what }
            }
            _ => camera.failed("get buffers", error),
        })?;
        if request.count < 2 {
            let what = format!("{} gives only {} buffer where 2 are needed", camera.card(), request.count);
            return Err(CaptureError::NotACamera { device: camera.path().into(), what });
        }
        self.queued_at.resize_with(request.count as usize, Cell::default);
        match self.memory {
            Memory::Driver => self.map_all(request.count, agreed.planes)?,
            Memory::DmaHeap => self.take_from_heap(request.count, agreed)?,
        }
        for index in 0..request.count {
            self.enqueue(index).map_err(|error| self.camera.failed("queue its buffers", error))?;
        }
        let mut kind = self.camera.buffer_type as libc::c_int;
        let started = self.camera.node.ioctl(sys::STREAMON, &mut kind);
        started.map_err(|error| self.camera.does_not_stream(agreed, error))
    }

    fn map_all(&mut self, count: u32, planes: usize) -> Result<(), CaptureError> {
        for index in 0..count {
            let mappings = self.map(index, planes).map_err(|error| self.camera.failed("map its buffers", error))?;
            self.buffers.push(mappings.into_iter().map(Plane::Driver).collect());
        }
        Ok(())
    }

    fn take_from_heap(&mut self, count: u32, agreed: &Agreed) -> Result<(), CaptureError> {
        let none = |reason: String| {
            let what = format!("memory = \"dma-heap\" cannot be had: {reason}; try memory = \"driver\"");
            CaptureError::NotACamera { device: self.camera.path().into(), what }
        };
        let (heap, path) = heap::open().map_err(none)?;
        for _ in 0..count {
            let planes = agreed.sizes[..agreed.planes].iter().map(|&size| Shared::new(&heap, size).map(Plane::Heap));
            let planes = planes.collect::<std::io::Result<Vec<_>>>();
            let planes = planes.map_err(|error| none(format!("{}: {error}", path.display())))?;
            self.buffers.push(planes);
        }
        Ok(())
    }

    fn memory_code(&self) -> u32 {
        if self.memory == Memory::DmaHeap { MEMORY_DMABUF } else { MEMORY_MMAP }
    }

    /// How many buffers there are.
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// The bytes of each plane of each buffer.
    pub fn lengths(&self) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        self.buffers.iter().map(|planes| planes.iter().map(|plane| plane.mapping().bytes().len()))
    }

    /// The bytes of a plane of a filled buffer, from where they begin; empty where there is no such plane.
    pub fn bytes(&self, filled: &Filled, plane: usize) -> &[u8] {
        let mapping = self.buffers.get(filled.index as usize).and_then(|planes| planes.get(plane));
        mapping.map_or(&[], |plane_of| &plane_of.mapping().bytes()[filled.offset[plane]..])
    }

    /// Planes that have a buffer of their own.
    pub fn planes(&self) -> usize {
        self.buffers.first().map_or(0, Vec::len)
    }

    fn blank(&self, index: u32) -> v4l2_buffer {
        v4l2_buffer { index, type_: self.camera.buffer_type, memory: self.memory_code(), ..v4l2_buffer::zeroed() }
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
        if let Some(planes) = self.buffers.get(index as usize) {
            for (part, plane) in parts.iter_mut().zip(planes) {
                let Plane::Heap(shared) = plane else { break };
                shared.read(false)?;
                part.m.fd = shared.fd();
                part.length = shared.mapping.bytes().len() as u32;
                // A single-planar device reads these instead.
                (buffer.m.fd, buffer.length) = (shared.fd(), part.length);
            }
        }
        let room = self.is_multi_planar().then_some(&mut parts);
        self.camera.node.buffer(sys::QBUF, &mut buffer, room)?;
        if let Some(queued_at) = self.queued_at.get(index as usize) {
            queued_at.set(monotonic_now());
        }
        Ok(())
    }

    /// Takes a filled buffer; none if there is none after all.
    pub fn dequeue(&self) -> Result<Option<Filled>, FrameFault> {
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
        let (captured_at, restamped) = stamp(&buffer, monotonic_now());
        let mut filled = Filled {
            index: buffer.index,
            sequence: buffer.sequence,
            captured_at,
            queued_at: self.queued_at.get(buffer.index as usize).map(Cell::get).unwrap_or_default(),
            restamped,
            damaged: buffer.flags & FLAG_ERROR != 0,
            used: [0; 3],
            offset: [0; 3],
        };
        for (plane, memory) in planes.iter().enumerate() {
            let (used, offset) = if self.is_multi_planar() {
                (parts[plane].bytesused as usize, parts[plane].data_offset as usize)
            } else {
                (buffer.bytesused as usize, 0)
            };
            // Never beyond what is mapped, whatever the driver says.
            filled.used[plane] = used.min(memory.mapping().bytes().len());
            filled.offset[plane] = offset.min(filled.used[plane]);
            if let Plane::Heap(shared) = memory {
                shared.read(true).map_err(|error| fault(&error))?;
            }
        }
        Ok(Some(filled))
    }

    /// What a dropped lease could not tell.
    pub fn check(&self) -> Result<(), FrameFault> {
        match self.failed.take() {
            0 => Ok(()),
            errno => Err(fault(&std::io::Error::from_raw_os_error(errno))),
        }
    }

    /// Each plane of each buffer as a DMA buffer, for whoever reads frames without the processor (an encoder, a GPU).
    pub fn export(&self) -> std::io::Result<Vec<Vec<OwnedFd>>> {
        let plane = |index: usize, plane: usize| {
            let mut wanted = v4l2_exportbuffer {
                type_: self.camera.buffer_type,
                index: index as u32,
                plane: plane as u32,
                flags: libc::O_CLOEXEC as u32,
                ..v4l2_exportbuffer::zeroed()
            };
            self.camera.node.ioctl(sys::EXPBUF, &mut wanted)?;
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
            Ok(unsafe { OwnedFd::from_raw_fd(wanted.fd) })
        };
        let buffer = |index: usize| (0..self.buffers[index].len()).map(|p| plane(index, p)).collect();
        (0..self.buffers.len()).map(buffer).collect()
    }

    /// Whether the driver stamps frames by the monotonic clock, as far as it says so before the first.
    pub fn stamps_monotonic(&self) -> bool {
        let mut parts = [v4l2_plane::zeroed(); MAX_PLANES];
        let mut buffer = self.blank(0);
        let room = self.is_multi_planar().then_some(&mut parts);
        let asked = self.camera.node.buffer(sys::QUERYBUF, &mut buffer, room);
        asked.is_ok() && buffer.flags & FLAG_CLOCK == FLAG_CLOCK_MONOTONIC
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

/// When the frame was taken, on our clock, and whether that is only when it came. A driver that stamps with another clock
/// is not believed, nor is one whose frames come from the future or from long ago.
fn stamp(buffer: &v4l2_buffer, now: Duration) -> (Duration, bool) {
    let time = buffer.timestamp;
    let stamp = Duration::from_secs(time.tv_sec.max(0) as u64) + Duration::from_micros(time.tv_usec.max(0) as u64);
    let ours = buffer.flags & FLAG_CLOCK == FLAG_CLOCK_MONOTONIC && !stamp.is_zero();
    if ours && stamp <= now + MOST_AHEAD && stamp + OLDEST >= now { (stamp.min(now), false) } else { (now, true) }
}

/// What a failed call says of the camera.
pub(super) fn fault(error: &std::io::Error) -> FrameFault {
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
    fn only_times_of_our_own_clock_are_believed() {
        let now = Duration::from_secs(1000);
        let check = |flags: u32, at: Duration, expected: (Duration, bool)| {
            let mut buffer = v4l2_buffer { flags, ..v4l2_buffer::zeroed() };
            buffer.timestamp.tv_sec = at.as_secs() as i64;
            buffer.timestamp.tv_usec = i64::from(at.subsec_micros());
            assert_eq!(stamp(&buffer, now), expected, "{flags:#x} {at:?}");
        };
        let recent = now - Duration::from_millis(30);
        check(FLAG_CLOCK_MONOTONIC, recent, (recent, false));
        check(0, recent, (now, true));
        check(0x4000, recent, (now, true));
        check(FLAG_CLOCK_MONOTONIC, Duration::ZERO, (now, true));
        check(FLAG_CLOCK_MONOTONIC, now + Duration::from_secs(3), (now, true));
        check(FLAG_CLOCK_MONOTONIC, now + Duration::from_millis(1), (now, false));
        check(FLAG_CLOCK_MONOTONIC, Duration::from_secs(900), (now, true));
    }
}
