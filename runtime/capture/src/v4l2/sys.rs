//! The system calls: open, ioctl, mmap, poll. All `unsafe` of the camera is here.
//!
//! Why not `v4l::io::mmap::Stream`: it lends a buffer only until the next call and queues it then, so that a frame
//! cannot be given back early; it knows no multi-planar buffers; it drops flags and lengths that tell a damaged frame;
//! and it panics where a device vanishes while it is dropped. The kernel's structures and request numbers are the `v4l`
//! crate's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use v4l::v4l_sys::{
    v4l2_buffer, v4l2_capability, v4l2_exportbuffer, v4l2_ext_control, v4l2_ext_controls, v4l2_fmtdesc, v4l2_format,
    v4l2_frmivalenum, v4l2_frmsizeenum, v4l2_plane, v4l2_query_ext_ctrl, v4l2_querymenu, v4l2_requestbuffers,
    v4l2_selection, v4l2_streamparm,
};
use v4l::v4l2::vidioc;

/// Most planes of a buffer (`VIDEO_MAX_PLANES`).
pub(crate) const MAX_PLANES: usize = 8;

/// A kernel structure for which all bytes zero is a valid value.
///
/// # Safety
/// Only for `repr(C)` structures of integers, integer unions and nullable pointers.
pub(crate) unsafe trait Zeroed: Sized {
    /// The structure with all bytes zero.
    fn zeroed() -> Self {
        // SAFETY: promised by the trait.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! zeroed {
    ($($name:ty),*) => { $(
        // SAFETY: a V4L2 structure of integers, integer unions and pointers that may be null.
        unsafe impl Zeroed for $name {}
    )* };
}

zeroed!(
    v4l2_buffer,
    v4l2_capability,
    v4l2_exportbuffer,
    v4l2_ext_controls,
    v4l2_fmtdesc,
    v4l2_format,
    v4l2_frmivalenum,
    v4l2_frmsizeenum,
    v4l2_plane,
    v4l2_query_ext_ctrl,
    v4l2_querymenu,
    v4l2_requestbuffers,
    v4l2_selection,
    v4l2_streamparm,
    v4l2_ext_control,
    libc::c_int
);

/// A structure without pointers, as far as the kernel looks.
pub(crate) trait Plain: Zeroed {}

impl Plain for v4l2_capability {}
impl Plain for v4l2_exportbuffer {}
impl Plain for v4l2_fmtdesc {}
/// Of its variants only the overlay has a pointer, and that is of no device type that is opened here.
impl Plain for v4l2_format {}
impl Plain for v4l2_frmivalenum {}
impl Plain for v4l2_frmsizeenum {}
impl Plain for v4l2_query_ext_ctrl {}
impl Plain for v4l2_querymenu {}
impl Plain for v4l2_requestbuffers {}
impl Plain for v4l2_selection {}
impl Plain for v4l2_streamparm {}
impl Plain for libc::c_int {}

/// A request number together with the structure that the kernel reads and writes for it.
#[derive(Clone, Copy)]
pub(crate) struct Request<T>(libc::c_ulong, std::marker::PhantomData<T>);

macro_rules! requests {
    ($($name:ident: $number:ident, $argument:ty;)*) => { $(
        pub(crate) const $name: Request<$argument> = Request(vidioc::$number as libc::c_ulong, std::marker::PhantomData);
    )* };
}

requests! {
    QUERYCAP: VIDIOC_QUERYCAP, v4l2_capability;
    ENUM_FMT: VIDIOC_ENUM_FMT, v4l2_fmtdesc;
    ENUM_FRAMESIZES: VIDIOC_ENUM_FRAMESIZES, v4l2_frmsizeenum;
    ENUM_FRAMEINTERVALS: VIDIOC_ENUM_FRAMEINTERVALS, v4l2_frmivalenum;
    EXPBUF: VIDIOC_EXPBUF, v4l2_exportbuffer;
    G_FMT: VIDIOC_G_FMT, v4l2_format;
    S_FMT: VIDIOC_S_FMT, v4l2_format;
    G_PARM: VIDIOC_G_PARM, v4l2_streamparm;
    S_PARM: VIDIOC_S_PARM, v4l2_streamparm;
    REQBUFS: VIDIOC_REQBUFS, v4l2_requestbuffers;
    QUERYBUF: VIDIOC_QUERYBUF, v4l2_buffer;
    QBUF: VIDIOC_QBUF, v4l2_buffer;
    DQBUF: VIDIOC_DQBUF, v4l2_buffer;
    STREAMON: VIDIOC_STREAMON, libc::c_int;
    STREAMOFF: VIDIOC_STREAMOFF, libc::c_int;
    QUERY_EXT_CTRL: VIDIOC_QUERY_EXT_CTRL, v4l2_query_ext_ctrl;
    QUERYMENU: VIDIOC_QUERYMENU, v4l2_querymenu;
    G_EXT_CTRLS: VIDIOC_G_EXT_CTRLS, v4l2_ext_controls;
    S_EXT_CTRLS: VIDIOC_S_EXT_CTRLS, v4l2_ext_controls;
}

/// The selection requests, which the `v4l` crate has no numbers for: `_IOWR('V', 94 and 95, struct v4l2_selection)`.
const fn selection(number: libc::c_ulong) -> libc::c_ulong {
    3 << 30 | (size_of::<v4l2_selection>() as libc::c_ulong) << 16 | (b'V' as libc::c_ulong) << 8 | number
}

pub(crate) const G_SELECTION: Request<v4l2_selection> = Request(selection(94), std::marker::PhantomData);
pub(crate) const S_SELECTION: Request<v4l2_selection> = Request(selection(95), std::marker::PhantomData);

/// An open device node.
pub(crate) struct Node(File);

impl Node {
    /// Opens a node for reading and writing, without blocking.
    pub fn open(path: &Path) -> io::Result<Node> {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path).map(Node)
    }

    fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Makes a request.
    pub fn ioctl<T: Plain>(&self, request: Request<T>, argument: &mut T) -> io::Result<()> {
        // SAFETY: a structure without pointers, exclusively borrowed for the call.
        unsafe { self.request(request, argument) }
    }

    /// Makes a buffer request, with room for the planes where the device is multi-planar.
    pub fn buffer(
        &self,
        request: Request<v4l2_buffer>,
        buffer: &mut v4l2_buffer,
        planes: Option<&mut [v4l2_plane; MAX_PLANES]>,
    ) -> io::Result<()> {
        if let Some(planes) = planes {
            buffer.m.planes = planes.as_mut_ptr();
            buffer.length = MAX_PLANES as u32;
        }
        // SAFETY: the kernel follows the pointer for multi-planar devices only, and there it is to `length` planes that
        // are exclusively borrowed for the call. (A single-planar device ignores the union on mmap memory.)
        unsafe { self.request(request, buffer) }
    }

    /// Reads or sets one control that holds a number.
    pub fn control(&self, request: Request<v4l2_ext_controls>, control: &mut v4l2_ext_control) -> io::Result<()> {
        let mut list = v4l2_ext_controls { count: 1, controls: control, ..v4l2_ext_controls::zeroed() };
        // SAFETY: the list points to one control that is exclusively borrowed for the call. A control whose payload
        // were a pointer has `size` 0 here, which the kernel refuses.
        unsafe { self.request(request, &mut list) }
    }

    /// Makes a request, again when a signal interrupts it.
    ///
    /// # Safety
    /// Every pointer in `argument` that the kernel follows for this request is to memory that it may read and write.
    unsafe fn request<T>(&self, request: Request<T>, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the number says the size of T (they are paired in the table above), `argument` is a valid and
            // exclusive T for the call, and the caller answers for what it points to.
            let result = unsafe { libc::ioctl(self.fd(), request.0 as _, std::ptr::from_mut(argument)) };
            if result >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Waits for a frame. Gives the events that came; 0 after the timeout.
    pub fn poll(&self, timeout: Duration) -> io::Result<i16> {
        let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // Rounded up, so that a wait of 0.4 ms is not a busy loop.
        let timeout_ms = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as libc::c_int;
        // SAFETY: one valid pollfd, exclusively borrowed for the call.
        let result = unsafe { libc::poll(&mut poll, 1, timeout_ms) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(poll.revents)
    }

    /// Maps a buffer of the driver for reading.
    pub fn map(&self, offset: u32, len: usize) -> io::Result<Mapping> {
        Mapping::of(&self.0, offset, len)
    }
}

/// A buffer of the driver in our address space.
pub(crate) struct Mapping {
    start: *const u8,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to the thread that made it, and is only read.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes of a device or of a shared buffer, from `offset` on.
    pub fn of(file: &impl AsRawFd, offset: u32, len: usize) -> io::Result<Mapping> {
        // SAFETY: a new shared mapping at an address of the kernel's choice; nothing of ours is there.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                libc::off_t::from(offset),
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: start.cast(), len })
    }

    /// The bytes. Only to be read between DQBUF and QBUF, when the driver leaves them alone.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start` and `len` are those of a live mapping. The stream lends a buffer only while it is dequeued, so
        // that the driver does not write to it meanwhile.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody borrows it any more. A failure leaks address space and nothing else.
        unsafe { libc::munmap(self.start.cast_mut().cast(), self.len) };
    }
}
