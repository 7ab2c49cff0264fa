//! The v2 character-device ABI, through `gpiocdev`.

use std::sync::Arc;

use gpiocdev::line::{Bias as KernelBias, EdgeDetection, EdgeEvent, EventClock, Value};
use gpiocdev::{AbiVersion, Chip, Request};

use crate::edges::Edges;
use crate::gpio::{Bias, InputSpec, OutputSpec};
use crate::inventory::{ChipInfo, LineInfo};
use crate::probe::Probe;

/// Open every chip and read its lines.
pub(crate) fn probe() -> Probe {
    let paths = match gpiocdev::chip::chips() {
        Ok(paths) if !paths.is_empty() => paths,
        _ => return Probe::Missing("no /dev/gpiochipN".into()),
    };
    let (mut chips, mut denied, mut why) = (Vec::new(), None, String::new());
    for path in paths {
        let chip = match Chip::from_path(&path) {
            Ok(chip) => chip,
            Err(error) if is_denied(&error) => {
                denied = Some(path);
                continue;
            }
            Err(error) => {
                why = format!("{}: {error}", path.display());
                continue;
            }
        };
        match read_chip(&chip) {
            Ok(info) => chips.push(info),
            Err(error) => why = format!("{}: {error}", path.display()),
        }
    }
    match (chips.is_empty(), denied) {
        (false, _) => Probe::Ready(chips),
        (true, Some(path)) => Probe::Denied(path),
        (true, None) => Probe::Missing(why),
    }
}

fn read_chip(chip: &Chip) -> gpiocdev::Result<ChipInfo> {
    chip.supports_abi_version(AbiVersion::V2)?;
    let info = chip.info()?;
    let lines = chip.line_info_iter()?.map(|line| line.map(line_info)).collect::<Result<_, _>>()?;
    Ok(ChipInfo { name: info.name, label: info.label, path: chip.path().into(), lines, sysfs_base: None })
}

fn line_info(line: gpiocdev::line::Info) -> LineInfo {
    let consumer = line.used.then(|| if line.consumer.is_empty() { "the kernel".into() } else { line.consumer });
    LineInfo { name: line.name, consumer }
}

fn is_denied(error: &gpiocdev::Error) -> bool {
    let errno = rustix::io::Errno::from_raw_os_error(errno(error));
    matches!(errno, rustix::io::Errno::ACCESS | rustix::io::Errno::PERM)
}

/// The kernel's error number in a `gpiocdev` error, `EIO` where there is none.
pub(crate) fn errno(error: &gpiocdev::Error) -> i32 {
    match error {
        gpiocdev::Error::Os(errno) | gpiocdev::Error::Uapi(_, gpiocdev_uapi::Error::Os(errno)) => errno.0,
        _ => rustix::io::Errno::IO.raw_os_error(),
    }
}

/// Request lines of one chip as outputs, all at once, each at its safe state.
pub(crate) fn outputs(chip: &ChipInfo, consumer: &str, lines: &[(u32, &OutputSpec)]) -> gpiocdev::Result<Arc<Request>> {
    let mut builder = Request::builder();
    builder.on_chip(&chip.path).with_consumer(consumer);
    for (offset, spec) in lines {
        builder.with_line(*offset).as_output(value(spec.safe == crate::PinState::High)).with_bias(bias(spec.bias));
        if spec.active_low {
            builder.as_active_low();
        }
    }
    builder.request().map(Arc::new)
}

/// Request lines of one chip as inputs, with edge detection when `edges` is given.
pub(crate) fn inputs(
    chip: &ChipInfo,
    consumer: &str,
    lines: &[(u32, &InputSpec)],
    edges: Option<Edges>,
) -> gpiocdev::Result<Request> {
    let mut builder = Request::builder();
    builder.on_chip(&chip.path).with_consumer(consumer);
    for (offset, spec) in lines {
        builder.with_line(*offset).as_input().with_bias(bias(spec.bias));
        if spec.active_low {
            builder.as_active_low();
        }
        if !spec.debounce.is_zero() {
            builder.with_debounce_period(spec.debounce);
        }
        if let Some(edges) = edges {
            builder.with_edge_detection(detection(edges)).with_event_clock(EventClock::Monotonic);
        }
    }
    builder.request()
}

const EVENT_WORDS: usize = size_of::<gpiocdev_uapi::v2::LineEdgeEvent>() / 8;

/// Room for a batch of raw events, on the stack.
pub(crate) struct EventBuffer([u64; EVENT_WORDS * 16]);

impl Default for EventBuffer {
    fn default() -> Self {
        EventBuffer([0; EVENT_WORDS * 16])
    }
}

impl EventBuffer {
    /// Read what the kernel has queued, at most 16 events. Allocates nothing; blocks if there is none.
    ///
    /// Not `Request::read_edge_event`: in gpiocdev 0.8.0 its buffer holds eight events, of which it returns the first and
    /// drops the rest.
    pub(crate) fn read<'a>(
        &'a mut self,
        request: &'a Request,
    ) -> gpiocdev::Result<impl Iterator<Item = gpiocdev::Result<EdgeEvent>> + 'a> {
        let words = request.read_edge_events_into_slice(&mut self.0)?;
        Ok(self.0[..words].chunks_exact(EVENT_WORDS).map(|event| request.edge_event_from_slice(event)))
    }
}

pub(crate) fn value(active: bool) -> Value {
    if active { Value::Active } else { Value::Inactive }
}

fn detection(edges: Edges) -> EdgeDetection {
    match edges {
        Edges::Rising => EdgeDetection::RisingEdge,
        Edges::Falling => EdgeDetection::FallingEdge,
        Edges::Both => EdgeDetection::BothEdges,
    }
}

fn bias(bias: Bias) -> Option<KernelBias> {
    match bias {
        Bias::AsIs => None,
        Bias::PullUp => Some(KernelBias::PullUp),
        Bias::PullDown => Some(KernelBias::PullDown),
        Bias::Disabled => Some(KernelBias::Disabled),
    }
}
