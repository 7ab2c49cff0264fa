//! The plan and its run: a frame in, an engine input out.
//!
//! For each line of the target: add up the source lines that it covers (the vertical pass, on the bytes as they lie),
//! take the components apart, add up the columns (the horizontal pass), map components to channels, write. What lies
//! between fits the first-level cache; there is no intermediate image.
//!
//! The rounding rule, which is all that a reimplementation must keep: weights have 14 bits; a vertical sum is rounded
//! to 7 fraction bits (8-bit samples) or to 15 bits (wider samples); a horizontal sum keeps that scale; the colour map
//! rounds to 7 fraction bits and clamps; u8 rounds half up, f32 divides by 255 x 128. Every rounding adds half and
//! shifts.

use crate::color::{ColorMap, MAX_COMPONENTS};
use crate::flat;
use crate::frame::{FrameError, FrameView, PlaneView};
use crate::kernels::{Kernels, Lines, Narrow, Parts422, SLACK, tap_room};
use crate::layout::{Layout, MAX_PLANES, Sample};
use crate::spec::{Fit, Placement, Spec, SpecError};
use crate::unpack::{Packing, Unpacked};
use crate::weights::{Axis, Window};

/// A plan for frames of one geometry. All memory is taken in [`Plan::new`].
pub(crate) struct Plan {
    spec: Spec,
    placement: Placement,
    kernels: Kernels,
    streams: Vec<Stream>,
    components: Vec<Component>,
    color: ColorMap,
    /// One line of each component, resized: lines of `line_len` values.
    resized: Vec<i16>,
    line_len: usize,
    /// One line of each channel: lines of `line_len` values.
    channels: Vec<i16>,
    /// A component's samples, side by side.
    split: Vec<i16>,
    /// Flat-field gains, a line of the target after the other, channels apart; empty for none.
    gains: Vec<i16>,
}

/// Lines that are added up together.
struct Stream {
    plane: usize,
    line_step: usize,
    line_phase: usize,
    /// Which lines count in each line of the target.
    axis: Axis,
    /// First byte and number of samples that are read of a line.
    start_byte: usize,
    samples: usize,
    kind: StreamKind,
    /// The sum of a target line's source lines.
    sums: Vec<i16>,
    /// Its parts, for packed 4:2:2 that is taken apart while it is added up.
    parts: Option<Parts>,
}

/// The parts of packed 4:2:2, in the order of its components.
struct Parts {
    luma_first: bool,
    sums: [Vec<i16>; 3],
    /// Whether they hold the sums of the present line.
    filled: bool,
}

enum StreamKind {
    Bytes,
    Words(Narrow),
    Packed(Unpacked, Narrow),
}

struct Component {
    stream: usize,
    step: usize,
    /// Where in the stream's sums the first sample is, and how many there are.
    phase: usize,
    samples: usize,
    axis: Axis,
}

impl Plan {
    /// Checks the spec and makes the plan.
    pub fn new(spec: &Spec, kernels: Kernels) -> Result<Plan, SpecError> {
        let placement = spec.placement()?;
        let layout = Layout::of(spec.source.format);
        let color = ColorMap::new(&layout, spec.source.encoding, spec.raw, spec.channels).ok_or(SpecError::Raw {
            black_level: spec.raw.black_level,
            gains: spec.raw.gains,
            format: spec.source.format,
            limit: 1 << (spec.source.format.bits() - 1),
        })?;
        // A grey target needs no chroma: whatever no channel uses is not read at all.
        let used: Vec<usize> = (0..layout.components.len())
            .filter(|&c| color.channels.iter().any(|channel| channel.coefficients[c] != 0))
            .collect();
        let color = color.keep(&used);
        let columns: Vec<Axis> = used.iter().map(|&c| column_axis(spec, placement, &layout, c)).collect();
        let mut streams = Vec::new();
        let mut components = Vec::new();
        for (s, stream) in layout.streams.iter().enumerate() {
            let members: Vec<usize> = (0..used.len()).filter(|&u| layout.components[used[u]].stream == s).collect();
            if members.is_empty() {
                continue;
            }
            let spans = members.iter().map(|&u| {
                let (component, span) = (layout.components[used[u]], columns[u].span());
                let sample = |cell: u32| cell as usize * component.step + component.phase;
                (sample(span.0), sample(span.1 - 1) + 1)
            });
            let (from, to) = spans.fold((usize::MAX, 0), |(from, to), span| (from.min(span.0), to.max(span.1)));
            let from = align_down(from, stream.sample);
            for &u in &members {
                let component = layout.components[used[u]];
                let (first, end) = columns[u].span();
                let component = Component {
                    stream: streams.len(),
                    step: component.step,
                    phase: first as usize * component.step + component.phase - from,
                    samples: (end - first) as usize,
                    axis: columns[u].rebased(first),
                };
                components.push((u, component));
            }
            streams.push(Stream::new(spec, placement, *stream, from, to));
        }
        // In the colour map's order again, not in the streams'.
        components.sort_by_key(|(u, _)| *u);
        let components: Vec<Component> = components.into_iter().map(|(_, component)| component).collect();
        if let ([stream], Some(_)) = (&mut streams[..], kernels.vertical_422) {
            stream.parts = Parts::of(stream, &components);
        }
        let line_len = (placement.target.width as usize).next_multiple_of(SLACK);
        // At the edge of a region few samples count, and there is room for as many taps as elsewhere: rows are as long as that reaches.
        for component in components.iter().filter(|component| component.step == 1) {
            let sums = &mut streams[component.stream].sums;
            sums.resize(sums.len().max(component.phase + component.axis.reach()), 0);
        }
        let longest = components.iter().map(Component::row_len).max().unwrap_or(0);
        Ok(Plan {
            gains: Vec::new(),
            spec: *spec,
            placement,
            kernels,
            resized: vec![0; line_len * components.len()],
            channels: vec![0; line_len * color.channels.len()],
            split: vec![0; longest],
            line_len,
            streams,
            components,
            color,
        })
    }

    /// What the plan was made from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Which inner loops run.
    pub fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// What is read and what is written.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Multiplies every value by a gain from now on.
    pub fn set_gains(&mut self, gains: Vec<i16>) {
        debug_assert_eq!(gains.len(), self.gain_count());
        self.gains = gains;
    }

    /// How many gains there are: one a written value.
    pub fn gain_count(&self) -> usize {
        (self.placement.target.width * self.placement.target.height) as usize * self.spec.channels.count()
    }

    /// Gives every line of every channel that would be written, with 7 fraction bits: a line's channels, then the next.
    pub fn each_line(&mut self, frame: &FrameView<'_>, mut take: impl FnMut(&[i16])) -> Result<(), FrameError> {
        let planes = self.check(frame, self.spec.target_len())?;
        let target = self.placement.target;
        for line in 0..target.height as usize {
            self.line(&planes, line);
            self.channels.chunks_exact(self.line_len).for_each(|channel| take(&channel[..target.width as usize]));
        }
        Ok(())
    }

    /// Writes the frame as f32 NCHW in 0..=1 into `out`, which holds [`Spec::target_len`] values.
    pub fn write_f32(&mut self, frame: &FrameView<'_>, out: &mut [f32]) -> Result<(), FrameError> {
        let planes = self.check(frame, out.len())?;
        let (width, height) = (self.spec.width as usize, self.spec.height as usize);
        let target = self.placement.target;
        if let Fit::Pad(value) = self.spec.fit {
            out.fill(f32::from(value) / 255.0);
        }
        for line in 0..target.height as usize {
            self.line(&planes, line);
            let start = (target.y as usize + line) * width + target.x as usize;
            for (c, channel) in self.channels.chunks_exact(self.line_len).enumerate() {
                let start = c * width * height + start;
                let out = &mut out[start..start + target.width as usize];
                (self.kernels.to_f32)(&channel[..out.len()], out);
            }
        }
        Ok(())
    }

    /// Writes the frame as u8 NHWC in 0..=255 into `out`, which holds [`Spec::target_len`] values.
    pub fn write_u8(&mut self, frame: &FrameView<'_>, out: &mut [u8]) -> Result<(), FrameError> {
        let planes = self.check(frame, out.len())?;
        let (width, count) = (self.spec.width as usize, self.spec.channels.count());
        let target = self.placement.target;
        if let Fit::Pad(value) = self.spec.fit {
            out.fill(value);
        }
        for line in 0..target.height as usize {
            self.line(&planes, line);
            let start = ((target.y as usize + line) * width + target.x as usize) * count;
            let out = &mut out[start..start + target.width as usize * count];
            (self.kernels.interleave)(&self.channels, self.line_len, out);
        }
        Ok(())
    }

    /// The frame's planes, once frame and destination are known to fit the plan.
    fn check<'a>(&self, frame: &FrameView<'a>, values: usize) -> Result<[PlaneView<'a>; MAX_PLANES], FrameError> {
        let source = self.spec.source;
        if (frame.width, frame.height, frame.format) != (source.width, source.height, source.format) {
            return Err(FrameError::Geometry {
                width: frame.width,
                height: frame.height,
                format: frame.format,
                expected_width: source.width,
                expected_height: source.height,
                expected_format: source.format,
            });
        }
        if values != self.spec.target_len() {
            return Err(FrameError::Destination { got: values, expected: self.spec.target_len() });
        }
        let mut views = [frame.plane(0)?; MAX_PLANES];
        for (plane, view) in views.iter_mut().enumerate().take(frame.format.planes()) {
            *view = frame.plane(plane)?;
        }
        Ok(views)
    }

    /// Computes one line of every channel.
    fn line(&mut self, planes: &[PlaneView<'_>; MAX_PLANES], line: usize) {
        for stream in &mut self.streams {
            stream.sum(planes[stream.plane], line, &self.kernels);
        }
        let width = self.placement.target.width as usize;
        let lines = self.resized.chunks_exact_mut(self.line_len);
        for (place, (component, resized)) in self.components.iter().zip(lines).enumerate() {
            let stream = &self.streams[component.stream];
            let row = &stream.sums[component.phase..];
            let apart = stream.parts.as_ref().filter(|parts| parts.filled);
            let row = if let Some(parts) = apart {
                &parts.sums[place][..]
            } else if component.step == 1 {
                row
            } else {
                (self.kernels.split)(row, component.step, &mut self.split[..component.samples]);
                &self.split[..]
            };
            (self.kernels.horizontal)(row, &component.axis, &mut resized[..width]);
        }
        let count = self.components.len();
        for (channel, out) in self.color.channels.iter().zip(self.channels.chunks_exact_mut(self.line_len)) {
            (self.kernels.color)(&self.resized, self.line_len, count, channel, &mut out[..width]);
        }
        if !self.gains.is_empty() {
            let lines = self.channels.chunks_exact_mut(self.line_len);
            let gains = self.gains.chunks_exact(width).skip(line * self.color.channels.len());
            lines.zip(gains).for_each(|(values, gains)| flat::apply(&mut values[..width], gains));
        }
    }
}

impl Component {
    /// Values that a row of its samples must have.
    fn row_len(&self) -> usize {
        (self.samples + SLACK).max(self.axis.reach())
    }
}

impl Stream {
    fn new(spec: &Spec, placement: Placement, layout: crate::layout::StreamLayout, from: usize, to: usize) -> Stream {
        let pixel_lines = spec.source.height;
        let lines = if layout.line_step > 1 { pixel_lines / layout.sub } else { pixel_lines.div_ceil(layout.sub) };
        let window = Window {
            start: placement.source.y,
            len: placement.source.height,
            target: placement.target.height,
            sub: layout.sub,
            samples: lines,
        };
        let axis = Axis::new(window, spec.filter, |taps| taps);
        let bits = layout.sample.bits();
        let narrow = Narrow {
            max: ((1u32 << bits) - 1) as u16,
            left: 15u32.saturating_sub(bits),
            right: bits.saturating_sub(15),
        };
        let (start_byte, kind) = match layout.sample {
            Sample::U8 => (from, StreamKind::Bytes),
            Sample::U16(_) => (2 * from, StreamKind::Words(narrow)),
            Sample::Packed10 => {
                (from / 4 * 5, StreamKind::Packed(Unpacked::new(Packing::Ten, to - from, axis.taps), narrow))
            }
            Sample::Packed12 => {
                (from / 2 * 3, StreamKind::Packed(Unpacked::new(Packing::Twelve, to - from, axis.taps), narrow))
            }
        };
        Stream {
            plane: layout.plane,
            line_step: layout.line_step,
            line_phase: layout.line_phase,
            axis,
            start_byte,
            samples: to - from,
            kind,
            sums: vec![0; to - from + SLACK],
            parts: None,
        }
    }

    /// Adds up the source lines of one line of the target.
    fn sum(&mut self, plane: PlaneView<'_>, line: usize, kernels: &Kernels) {
        let (first, count) = (self.axis.first[line] as usize, self.axis.count[line] as usize);
        let weights = &self.axis.weights[line * self.axis.taps..][..count];
        let stride = plane.stride * self.line_step;
        let data = &plane.data[self.line_phase * plane.stride + self.start_byte..];
        let out = &mut self.sums[..self.samples];
        match &mut self.kind {
            StreamKind::Bytes => {
                let lines = Lines { data: &data[first * stride..], stride };
                if let (Some(parts), Some(vertical_422)) = (&mut self.parts, kernels.vertical_422) {
                    parts.filled = vertical_422(lines, weights, parts.luma_first, parts.places(self.samples));
                    if parts.filled {
                        return;
                    }
                }
                (kernels.vertical_u8)(lines, weights, out);
            }
            StreamKind::Words(narrow) => {
                (kernels.vertical_u16)(Lines { data: &data[first * stride..], stride }, weights, *narrow, out);
            }
            StreamKind::Packed(unpacked, narrow) => {
                // A frame begins with its first line: what is left of the frame before must not be taken for it.
                let lines = unpacked.lines(Lines { data, stride }, (first, count), line == 0, kernels);
                (kernels.vertical_u16)(lines, weights, *narrow, out);
            }
        }
    }
}

impl Parts {
    /// Where a stream is packed 4:2:2 whose first sample begins a cell of two pixels, and all three components are wanted.
    fn of(stream: &Stream, components: &[Component]) -> Option<Parts> {
        let [y, u, v] = components else { return None };
        let steps = [y.step, u.step, v.step] == [2, 4, 4] && matches!(stream.kind, StreamKind::Bytes);
        let luma_first = match [y.phase, u.phase, v.phase] {
            [0, 1, 3] => true,
            [1, 0, 2] => false,
            _ => return None,
        };
        let row =
            |component: &Component| vec![0; (stream.samples.div_ceil(component.step) + SLACK).max(component.row_len())];
        let sums = [y, u, v].map(row);
        steps.then_some(Parts { luma_first, sums, filled: false })
    }

    /// The places for the parts of a line of so many samples.
    fn places(&mut self, samples: usize) -> Parts422<'_> {
        let [luma, u, v] = &mut self.sums;
        let (y_from, c_from) = if self.luma_first { (0, 1) } else { (1, 0) };
        let count = |from: usize, step: usize| samples.saturating_sub(from).div_ceil(step);
        Parts422 {
            luma: &mut luma[..count(y_from, 2)],
            chroma: [&mut u[..count(c_from, 4)], &mut v[..count(c_from + 2, 4)]],
        }
    }
}

/// The first sample that can be addressed by a whole byte, at or before `from`.
fn align_down(from: usize, sample: Sample) -> usize {
    match sample {
        Sample::Packed10 => from / 4 * 4,
        Sample::Packed12 => from / 2 * 2,
        Sample::U8 | Sample::U16(_) => from,
    }
}

fn column_axis(spec: &Spec, placement: Placement, layout: &Layout, c: usize) -> Axis {
    let component = layout.components[c];
    let width = spec.source.width;
    let mosaic = layout.meaning == crate::layout::Meaning::Mosaic;
    let samples = if mosaic { width / component.sub } else { width.div_ceil(component.sub) };
    let window = Window {
        start: placement.source.x,
        len: placement.source.width,
        target: placement.target.width,
        sub: component.sub,
        samples,
    };
    Axis::new(window, spec.filter, tap_room)
}

const _: () = assert!(MAX_COMPONENTS == 4, "the kernels add up four products in pairs");
