//! A camera: what it is, what it can do, and setting it up.

use std::io;
use std::path::{Path, PathBuf};

use jidoka_prepare::{Geometry, PixelFormat};
use v4l::v4l_sys::{v4l2_capability, v4l2_fmtdesc, v4l2_format, v4l2_streamparm};

use super::formats::{Code, MOTION_JPEG, code_text, codes, codes_of, encoding_of, format_of};
use super::sizes::SizeInfo;
use super::sys::{self, Node, Zeroed};
use crate::config::V4l2Config;
use crate::error::CaptureError;

/// A camera that is open but does not stream.
pub struct Camera {
    pub(crate) node: Node,
    path: PathBuf,
    card: String,
    driver: String,
    bus: String,
    pub(crate) buffer_type: u32,
}

/// A camera in the list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraInfo {
    /// Device node.
    pub device: PathBuf,
    /// A link in `/dev/v4l/by-id` or `by-path` that stays the same when devices are plugged in another order.
    pub stable: Option<PathBuf>,
    /// The camera's name.
    pub card: String,
    /// The driver's name.
    pub driver: String,
    /// Where it is plugged in.
    pub bus: String,
}

/// A format that a camera offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatInfo {
    /// V4L2's four-character code.
    pub code: String,
    /// The driver's description.
    pub description: String,
    /// Our format, where it can be prepared. Motion JPEG becomes RGB24.
    pub format: Option<PixelFormat>,
    /// Whether its frames are JPEG pictures, whose decoding takes memory in the loop.
    pub compressed: bool,
    /// The sizes that it has.
    pub sizes: Vec<SizeInfo>,
}

/// What the driver has agreed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub geometry: Geometry,
    /// Bytes from line to line in each plane.
    pub strides: [usize; 3],
    /// Buffers that make up a frame.
    pub planes: usize,
    /// Bytes that a buffer of each plane must hold.
    pub sizes: [usize; 3],
    /// Frames are JPEG pictures that decode to the geometry.
    pub compressed: bool,
    /// V4L2's code.
    pub code: Code,
}

const CAPTURE: u32 = 0x0000_0001;
const CAPTURE_MPLANE: u32 = 0x0000_1000;
const STREAMING: u32 = 0x0400_0000;
const DEVICE_CAPS: u32 = 0x8000_0000;
pub(crate) const TYPE_CAPTURE: u32 = 1;
pub(crate) const TYPE_CAPTURE_MPLANE: u32 = 9;
const TIME_PER_FRAME: u32 = 0x1000;

/// Progressive, or whatever the driver calls it when it does not care.
const FIELD_ANY: u32 = 0;
const FIELD_NONE: u32 = 1;

impl Camera {
    /// Opens a device node and finds out what it is.
    pub fn open(path: &Path) -> Result<Camera, CaptureError> {
        let node = Node::open(path).map_err(|error| cannot_open(path, error))?;
        let mut caps = v4l2_capability::zeroed();
        node.ioctl(sys::QUERYCAP, &mut caps).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOTTY | libc::EINVAL) => {
                CaptureError::NotACamera { device: path.into(), what: "not a video device".into() }
            }
            _ => CaptureError::Device { device: path.into(), action: "ask what it is", error },
        })?;
        let bits = if caps.capabilities & DEVICE_CAPS != 0 { caps.device_caps } else { caps.capabilities };
        let card = text(&caps.card);
        let buffer_type = match (bits & CAPTURE != 0, bits & CAPTURE_MPLANE != 0) {
            (true, _) => TYPE_CAPTURE,
            (_, true) => TYPE_CAPTURE_MPLANE,
            _ => {
                let what = format!("{card} gives no frames here (it may be the metadata or output node of a camera)");
                return Err(CaptureError::NotACamera { device: path.into(), what });
            }
        };
        if bits & STREAMING == 0 {
            let what = format!("{card} cannot stream; only read() is not supported");
            return Err(CaptureError::NotACamera { device: path.into(), what });
        }
        let (driver, bus) = (text(&caps.driver), text(&caps.bus_info));
        Ok(Camera { node, path: path.into(), card, driver, bus, buffer_type })
    }

    /// Every camera of this machine, by device node.
    pub fn list() -> Vec<CameraInfo> {
        let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
        let is_video =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"video"));
        let mut nodes: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_video).collect();
        nodes.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        let info = |path: PathBuf| {
            let Camera { card, driver, bus, .. } = Camera::open(&path).ok()?;
            Some(CameraInfo { stable: stable_link(&path), device: path, card, driver, bus })
        };
        nodes.into_iter().filter_map(info).collect()
    }

    /// The camera's name.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// The driver's name and where the camera is plugged in.
    pub fn driver(&self) -> (&str, &str) {
        (&self.driver, &self.bus)
    }

    /// The device node that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The formats that it offers, with sizes.
    pub fn formats(&self) -> Vec<FormatInfo> {
        let mut formats = Vec::new();
        for (code, description) in self.codes() {
            let compressed = code == MOTION_JPEG;
            let format = if compressed { Some(PixelFormat::Rgb24) } else { format_of(code) };
            formats.push(FormatInfo {
                code: code_text(code),
                description,
                format,
                compressed,
                sizes: self.sizes(code),
            });
        }
        formats
    }

    fn codes(&self) -> Vec<(Code, String)> {
        // A driver that never says stop must not keep us for ever.
        (0..256)
            .map_while(|index| {
                let mut entry = v4l2_fmtdesc { index, type_: self.buffer_type, ..v4l2_fmtdesc::zeroed() };
                self.node.ioctl(sys::ENUM_FMT, &mut entry).ok()?;
                Some((entry.pixelformat.to_le_bytes(), text(&entry.description)))
            })
            .collect()
    }

    /// Sets format and size, and refuses what is not exactly as asked.
    pub(crate) fn set_format(&self, config: &V4l2Config) -> Result<(), CaptureError> {
        let mut format = v4l2_format { type_: self.buffer_type, ..v4l2_format::zeroed() };
        self.node.ioctl(sys::G_FMT, &mut format).map_err(|error| self.failed("read the format", error))?;
        let mut wanted = Words::read(&format);
        wanted.code = self.choose_code(config, wanted.code)?;
        if let Some((width, height)) = config.size {
            (wanted.width, wanted.height) = (width, height);
        }
        wanted.field = FIELD_NONE;
        wanted.write(&mut format);
        self.node.ioctl(sys::S_FMT, &mut format).map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => CaptureError::Busy { device: self.path.clone() },
            _ => self.failed("set the format", error),
        })?;
        let got = Words::read(&format);
        if got.code != wanted.code {
            return Err(self.no_format(config.format, format!("the driver changed it to {}", code_text(got.code))));
        }
        if config.size.is_some_and(|size| size != (got.width, got.height)) {
            return Err(CaptureError::Size {
                device: self.path.clone(),
                wanted: (wanted.width, wanted.height),
                got: (got.width, got.height),
                code: code_text(got.code),
                has: self.size_list(got.code),
            });
        }
        if !matches!(got.field, FIELD_ANY | FIELD_NONE) {
            let what = format!("{} gives interlaced frames in this mode; a progressive one is needed", self.card);
            return Err(CaptureError::NotACamera { device: self.path.clone(), what });
        }
        Ok(())
    }

    /// The format as it is now: controls may have changed it (rotation the size, colour controls the range).
    pub(crate) fn present_format(&self) -> Result<Agreed, CaptureError> {
        let mut format = v4l2_format { type_: self.buffer_type, ..v4l2_format::zeroed() };
        self.node.ioctl(sys::G_FMT, &mut format).map_err(|error| self.failed("read the format", error))?;
        let got = Words::read(&format);
        let compressed = got.code == MOTION_JPEG;
        let format = if compressed { Some(PixelFormat::Rgb24) } else { format_of(got.code) };
        let format = format.ok_or_else(|| self.no_format(None, code_text(got.code)))?;
        let encoding = encoding_of(got.colorspace, got.ycbcr_encoding, got.quantization);
        let geometry = Geometry { width: got.width, height: got.height, format, encoding };
        // Old drivers leave bytesperline 0 where lines have no padding.
        let mut strides = got.strides;
        if strides[0] == 0 || compressed {
            strides[0] = format.line_bytes(got.width);
        }
        Ok(Agreed { geometry, strides, planes: got.planes, sizes: got.sizes, compressed, code: got.code })
    }

    /// The asked-for format, or the driver's own if it can be prepared, or the best that can. Motion JPEG stands in for
    /// RGB24, and for a camera that has nothing else.
    fn choose_code(&self, config: &V4l2Config, current: Code) -> Result<Code, CaptureError> {
        let offered: Vec<Code> = self.codes().into_iter().map(|(code, _)| code).collect();
        let found = match config.format {
            Some(format) => codes_of(format, config.planes_apart).find(|code| offered.contains(code)),
            None if format_of(current).is_some() => Some(current),
            None => codes().find(|code| offered.contains(code)),
        };
        let jpeg = matches!(config.format, None | Some(PixelFormat::Rgb24)) && offered.contains(&MOTION_JPEG);
        let found = found.or(jpeg.then_some(MOTION_JPEG));
        found.ok_or_else(|| self.no_format(config.format, "it is not among the formats of this camera".into()))
    }

    /// A format that was agreed to and does not stream after all.
    pub(crate) fn does_not_stream(&self, agreed: &Agreed, error: io::Error) -> CaptureError {
        let Geometry { width, height, format, .. } = agreed.geometry;
        let reason = match error.raw_os_error() {
            Some(libc::EBUSY) => return CaptureError::Busy { device: self.path.clone() },
            Some(libc::ENOSPC) => {
                "the USB bus has no room for it; a smaller size, a lower rate, another port, or MJPG".into()
            }
            // Media-controller pipelines (CSI cameras) say so where a stage before has another format.
            Some(libc::EPIPE) => {
                "the pipeline before this node has another format or size; set it with media-ctl to the same".into()
            }
            _ => format!(
                "the driver lists {} and agrees to {width}x{height}, and does not start it: {error}",
                code_text(agreed.code)
            ),
        };
        self.no_format(Some(format), reason)
    }

    fn no_format(&self, wanted: Option<PixelFormat>, reason: String) -> CaptureError {
        let (known, unknown): (Vec<Code>, Vec<Code>) = self
            .codes()
            .into_iter()
            .map(|(code, _)| code)
            .partition(|&code| format_of(code).is_some() || code == MOTION_JPEG);
        let name = |&code: &Code| match format_of(code) {
            Some(format) if format.name() == code_text(code) => code_text(code),
            Some(format) => format!("{} ({format})", code_text(code)),
            None if code == MOTION_JPEG => "MJPG (as RGB24)".into(),
            None => code_text(code),
        };
        let list = |codes: &[Code]| codes.iter().map(name).collect::<Vec<_>>().join(", ");
        let mut has = if known.is_empty() { "none that is supported".to_string() } else { list(&known) };
        if !unknown.is_empty() {
            has += &format!("; and, not supported, {}", list(&unknown));
        }
        let wanted = wanted.map_or("any supported format".to_string(), |format| format.to_string());
        CaptureError::Format { device: self.path.clone(), wanted, reason, has }
    }

    /// Asks for a rate and tells what was agreed, if the driver knows rates at all.
    pub(crate) fn set_rate(&self, fps: Option<f64>) -> Result<Option<f64>, CaptureError> {
        let mut parm = v4l2_streamparm { type_: self.buffer_type, ..v4l2_streamparm::zeroed() };
        if let Some(fps) = fps {
            if !(0.01..=10_000.0).contains(&fps) {
                let expected = "0.01 to 10000 frames a second".into();
                return Err(CaptureError::Setting { key: "fps", value: fps.to_string(), expected });
            }
            parm.parm.capture.timeperframe.numerator = 1000;
            parm.parm.capture.timeperframe.denominator = (fps * 1000.0).round() as u32;
            match self.node.ioctl(sys::S_PARM, &mut parm) {
                Ok(()) => {}
                // A sensor without rates; what it gives is what it gives.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => return Ok(None),
                Err(error) => return Err(self.failed("set the frame rate", error)),
            }
        } else if self.node.ioctl(sys::G_PARM, &mut parm).is_err() {
            return Ok(None);
        }
        // SAFETY: the capture variant is plain integers, written by the kernel or zero.
        let (capability, time) = unsafe { (parm.parm.capture.capability, parm.parm.capture.timeperframe) };
        let known = capability & TIME_PER_FRAME != 0 && time.numerator != 0;
        Ok(known.then(|| f64::from(time.denominator) / f64::from(time.numerator)))
    }

    pub(crate) fn failed(&self, action: &'static str, error: io::Error) -> CaptureError {
        match error.raw_os_error() {
            Some(libc::EBUSY) => CaptureError::Busy { device: self.path.clone() },
            _ => CaptureError::Device { device: self.path.clone(), action, error },
        }
    }
}

/// What single- and multi-planar formats have in common.
struct Words {
    code: Code,
    width: u32,
    height: u32,
    field: u32,
    colorspace: u32,
    ycbcr_encoding: u32,
    quantization: u32,
    strides: [usize; 3],
    sizes: [usize; 3],
    planes: usize,
}

impl Words {
    fn read(format: &v4l2_format) -> Words {
        if format.type_ == TYPE_CAPTURE_MPLANE {
            // SAFETY: the multi-planar variant, as the type says; integers alone.
            let (pix, encoding) = unsafe { (format.fmt.pix_mp, format.fmt.pix_mp.__bindgen_anon_1.ycbcr_enc) };
            let plane_formats = pix.plane_fmt;
            return Words {
                code: pix.pixelformat.to_le_bytes(),
                width: pix.width,
                height: pix.height,
                field: pix.field,
                colorspace: pix.colorspace,
                ycbcr_encoding: encoding.into(),
                quantization: pix.quantization.into(),
                strides: [0, 1, 2].map(|plane| plane_formats[plane].bytesperline as usize),
                sizes: [0, 1, 2].map(|plane| plane_formats[plane].sizeimage as usize),
                planes: usize::from(pix.num_planes).clamp(1, 3),
            };
        }
        // SAFETY: the single-planar variant, as the type says; integers alone.
        let (pix, encoding) = unsafe { (format.fmt.pix, format.fmt.pix.__bindgen_anon_1.ycbcr_enc) };
        Words {
            code: pix.pixelformat.to_le_bytes(),
            width: pix.width,
            height: pix.height,
            field: pix.field,
            colorspace: pix.colorspace,
            ycbcr_encoding: encoding,
            quantization: pix.quantization,
            strides: [pix.bytesperline as usize, 0, 0],
            sizes: [pix.sizeimage as usize, 0, 0],
            planes: 1,
        }
    }

    /// Puts code, size and field into the structure; line lengths are left to the driver.
    fn write(&self, format: &mut v4l2_format) {
        let code = u32::from_le_bytes(self.code);
        if format.type_ == TYPE_CAPTURE_MPLANE {
            let mut pix =
                v4l::v4l_sys::v4l2_pix_format_mplane { width: self.width, height: self.height, ..empty_planes() };
            (pix.pixelformat, pix.field) = (code, self.field);
            format.fmt.pix_mp = pix;
        } else {
            // SAFETY: the single-planar variant, as the type says; integers alone.
            let pix = unsafe { &mut format.fmt.pix };
            (pix.width, pix.height, pix.pixelformat, pix.field) = (self.width, self.height, code, self.field);
            (pix.bytesperline, pix.sizeimage) = (0, 0);
        }
    }
}

fn empty_planes() -> v4l::v4l_sys::v4l2_pix_format_mplane {
    // SAFETY: taken from a format that is zero throughout.
    unsafe { v4l2_format::zeroed().fmt.pix_mp }
}

fn cannot_open(path: &Path, error: io::Error) -> CaptureError {
    let device = path.to_path_buf();
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) | (_, Some(libc::ENODEV | libc::ENXIO)) => {
            let name = |info: CameraInfo| format!("{} ({})", info.stable.unwrap_or(info.device).display(), info.card);
            let others: Vec<String> = Camera::list().into_iter().map(name).collect();
            let others = if others.is_empty() { "no camera at all".into() } else { others.join(", ") };
            CaptureError::Missing { device, others }
        }
        (io::ErrorKind::PermissionDenied, _) => CaptureError::Denied { group: group_of(&device), device },
        (_, Some(libc::EBUSY)) => CaptureError::Busy { device },
        _ => CaptureError::Device { device, action: "open it", error },
    }
}

/// The group that a device node belongs to: by name where the system has one for it.
fn group_of(device: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    // `video` is what every distribution uses; a node that cannot even be looked at will not be another.
    let Ok(meta) = std::fs::metadata(device) else { return "video".into() };
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    group_name(&groups, meta.gid())
}

fn group_name(groups: &str, gid: u32) -> String {
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    };
    groups.lines().find_map(name).unwrap_or_else(|| format!("number {gid}"))
}

/// The link to a device that udev keeps, by identity if there is one, else by socket.
pub(crate) fn stable_link(device: &Path) -> Option<PathBuf> {
    let device = device.canonicalize().ok()?;
    ["/dev/v4l/by-id", "/dev/v4l/by-path"].iter().find_map(|folder| {
        let links = std::fs::read_dir(folder).ok()?;
        let mut links: Vec<PathBuf> = links.flatten().map(|entry| entry.path()).collect();
        links.sort();
        links.into_iter().find(|link| link.canonicalize().is_ok_and(|target| target == device))
    })
}

/// A string of the kernel, up to its zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_node_is_named() {
        let groups = "root:x:0:\nvideo:x:44:anna,ben\nbroken\nplugdev:x:46:";
        assert_eq!(group_name(groups, 44), "video");
        assert_eq!(group_name(groups, 46), "plugdev");
        assert_eq!(group_name(groups, 1000), "number 1000");
    }
}
