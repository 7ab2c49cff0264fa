//! Alignment: finds where a part lies, and prepares it as if it lay where it was taught.
//!
//! The region and its surroundings are prepared at the target's scale (the *canvas*); a small grey copy of that is compared
//! with turned templates ([`correlate`]); then the target is sampled from the canvas where the part really is ([`warp`]).
//! A second look, at what the first would put straight, tells the rest. The work is the same for every frame: one pass over the
//! source, twice a transform of 64 x 64 values and one back for each turn, two passes over a picture of about the target's size. The pose is rounded to 1/16 pixel and 1/64 degree before it is used.

mod correlate;
mod warp;

use crate::corrections::{Align, CorrectionError, Picture, Pose, check};
use crate::flat;
use crate::format::{Encoding, PixelFormat, Range};
use crate::frame::{FrameError, FrameView, Geometry, Roi};
use crate::kernels::Kernels;
use crate::plan::Plan;
use crate::spec::{Channels, Filter, Fit, MAX_SIDE, Placement, RawTuning, Spec};
use correlate::{CELLS, Found, Matcher};
use warp::{Affine, ONE, Source};

/// Degrees between two templates at most: less than a cell at the picture's corners.
const STEP_DEGREES: f64 = 2.0;
const MOST_DEGREES: f64 = 45.0;

/// A plan that aligns. Allocates when it is made and not again.
pub(crate) struct Alignment {
    spec: Spec,
    placement: Placement,
    /// From the frame to the canvas.
    plan: Plan,
    canvas: Vec<u8>,
    /// The canvas as the first look would put it straight.
    straight: Vec<u8>,
    /// From the canvas to the cells that are compared.
    look: Plan,
    cells: Vec<u8>,
    matcher: Matcher,
    frame: Places,
    /// Degrees from one template to the next, and how many lie before the one that is not turned.
    step_degrees: f64,
    before: usize,
    least_match: f32,
    pose: Pose,
}

/// A turn about the region's centre, and a shift after it.
#[derive(Clone, Copy, Default)]
struct Turned {
    degrees: f64,
    shift_px: [f64; 2],
}

impl Turned {
    /// This one in what `before` has put straight, as one from the beginning.
    fn after(self, before: Turned) -> Turned {
        let (sin, cos) = before.degrees.to_radians().sin_cos();
        let [x, y] = self.shift_px;
        let shift_px = [before.shift_px[0] + cos * x - sin * y, before.shift_px[1] + sin * x + cos * y];
        Turned { degrees: before.degrees + self.degrees, shift_px }
    }
}

/// What turns places of the target into places of the canvas.
#[derive(Clone, Copy)]
struct Places {
    /// The region in the camera's frame, and what of the frame the canvas shows.
    region: Roi,
    shown: Roi,
    /// Canvas pixels a camera pixel, across and down.
    scale: [f64; 2],
    /// Camera pixels a target pixel, across and down.
    step: [f64; 2],
}

impl Alignment {
    /// Plans an alignment, flat field included where there is a white frame.
    pub fn new(
        spec: &Spec,
        align: &Align,
        white: Option<&Picture>,
        kernels: Kernels,
    ) -> Result<Alignment, CorrectionError> {
        let placement = spec.placement()?;
        check_settings(align, placement.source)?;
        check(&align.template, "template", spec.source)?;
        let max_degrees = f64::from(align.max_degrees);
        let shown = surroundings(placement.source, align, spec.source);
        let (target, region) = (placement.target, placement.source);
        let side = |shown: u32, target: u32, region: u32| {
            ((f64::from(shown) * f64::from(target) / f64::from(region)).round() as u32).clamp(1, MAX_SIDE)
        };
        let (width, height) =
            (side(shown.width, target.width, region.width), side(shown.height, target.height, region.height));
        let wide = Spec { roi: Some(shown), width, height, fit: Fit::Stretch, ..*spec };
        let mut plan = Plan::new(&wide, kernels)?;
        if let Some(white) = white {
            plan.set_gains(flat::gains(&plan, white, kernels)?);
        }
        let format = if spec.channels == Channels::Grey { PixelFormat::Grey } else { PixelFormat::Rgb24 };
        let encoding = Encoding { range: Range::Full, ..Encoding::default() };
        let small = Spec {
            channels: Channels::Grey,
            filter: Filter::Area,
            ..Spec::new(Geometry { width, height, format, encoding }, CELLS as u32, CELLS as u32)
        };
        let ratio = |a: u32, b: u32| f64::from(a) / f64::from(b);
        let frame = Places {
            region,
            shown,
            scale: [ratio(width, shown.width), ratio(height, shown.height)],
            step: [ratio(region.width, target.width), ratio(region.height, target.height)],
        };
        // One cell more than asked for: a peak at the very edge could not be told from one beyond it.
        let reach = [shown.width, shown.height]
            .map(|side| (f64::from(align.max_shift_px) * CELLS as f64 / f64::from(side)).ceil() as usize + 1);
        let steps = (max_degrees / STEP_DEGREES).ceil();
        let step_degrees = if steps > 0.0 { max_degrees / steps } else { 0.0 };
        // One more on either side, between which the last lies.
        let before = if steps > 0.0 { steps as usize + 1 } else { 0 };
        let mut alignment = Alignment {
            spec: *spec,
            placement,
            canvas: vec![0; plan.spec().target_len()],
            straight: vec![0; plan.spec().target_len()],
            plan,
            look: Plan::new(&small, kernels)?,
            cells: vec![0; CELLS * CELLS],
            matcher: Matcher::new(reach),
            frame,
            step_degrees,
            before,
            least_match: align.least_match,
            pose: Pose::default(),
        };
        alignment.learn(&align.template, white, kernels)?;
        Ok(alignment)
    }

    /// Makes the templates: the picture prepared like a frame, turned by each step.
    fn learn(&mut self, template: &Picture, white: Option<&Picture>, kernels: Kernels) -> Result<(), CorrectionError> {
        // A picture needs no black level, and has been taken under the same light.
        let spec = Spec { source: template.geometry(), raw: RawTuning::default(), ..*self.plan.spec() };
        let mut plan = Plan::new(&spec, kernels)?;
        if let Some(white) = white {
            plan.set_gains(flat::gains(&plan, white, kernels)?);
        }
        let whole = plan.write_u8(&template.view(), &mut self.canvas);
        whole.map_err(|_| CorrectionError::Picture { what: "template" })?;
        let straight = self.canvas.clone();
        for k in 0..=2 * self.before {
            let degrees = (k as f64 - self.before as f64) * self.step_degrees;
            let affine = self.frame.turned(degrees);
            let size = (self.look.spec().source.width as usize, self.look.spec().source.height as usize);
            turn(&straight, size, &affine, self.spec.channels, &mut self.canvas);
            let _ = look(&mut self.look, &self.canvas, &mut self.cells);
            if !self.matcher.add(&self.cells) {
                return Err(CorrectionError::Flat);
            }
        }
        Ok(())
    }

    /// Which inner loops run.
    pub fn kernels(&self) -> Kernels {
        self.plan.kernels()
    }

    /// Where the part lay last.
    pub fn pose(&self) -> Pose {
        self.pose
    }

    #[cfg(test)]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Draws the canvas, finds the part, and says where each target pixel comes from.
    fn find(&mut self, frame: &FrameView<'_>, values: usize) -> Result<Affine, FrameError> {
        if values != self.spec.target_len() {
            return Err(FrameError::Destination { got: values, expected: self.spec.target_len() });
        }
        self.plan.write_u8(frame, &mut self.canvas)?;
        look(&mut self.look, &self.canvas, &mut self.cells)?;
        let first = self.matcher.find(&self.cells);
        let coarse = self.turned(&first);
        // Again from near: the window weighs a part that lies off centre, or is turned, otherwise than the template.
        let affine = self.frame.straightened(coarse.degrees, coarse.shift_px);
        let Geometry { width, height, .. } = self.look.spec().source;
        let size = (width as usize, height as usize);
        turn(&self.canvas, size, &affine, self.spec.channels, &mut self.straight);
        look(&mut self.look, &self.straight, &mut self.cells)?;
        let second = self.matcher.find(&self.cells);
        let fine = self.turned(&second).after(coarse);
        // Where the second look is the worse one, the first has led astray, and is what counts.
        let (found, matches) =
            if second.matches >= first.matches { (fine, second.matches) } else { (coarse, first.matches) };
        let rounded = |value: f64, parts: f64| (value * parts).round() / parts;
        let degrees = rounded(found.degrees, 64.0);
        let shift_px = found.shift_px.map(|shift| rounded(shift, 16.0));
        self.pose = Pose {
            dx_px: shift_px[0] as f32,
            dy_px: shift_px[1] as f32,
            degrees: degrees as f32,
            matches: matches as f32,
        };
        // A match that is not a number is none.
        if self.pose.matches >= self.least_match {
            Ok(self.frame.affine(degrees, shift_px))
        } else {
            let percent = |share: f32| (share * 100.0).clamp(0.0, 100.0) as u8;
            Err(FrameError::NoPart { match_percent: percent(self.pose.matches), least: percent(self.least_match) })
        }
    }

    /// What was found, in degrees and pixels of the camera.
    fn turned(&self, found: &Found) -> Turned {
        let cell = [self.frame.shown.width, self.frame.shown.height].map(|side| f64::from(side) / CELLS as f64);
        let degrees = (found.turn - self.before as f64) * self.step_degrees;
        Turned { degrees, shift_px: [0, 1].map(|axis| found.shift[axis] * cell[axis]) }
    }

    pub fn write_u8(&mut self, frame: &FrameView<'_>, out: &mut [u8]) -> Result<(), FrameError> {
        let affine = self.find(frame, out.len())?;
        if let Fit::Pad(value) = self.spec.fit {
            out.fill(value);
        }
        let (target, width, channels) = (self.placement.target, self.spec.width as usize, self.spec.channels.count());
        for y in 0..target.height as usize {
            let start = ((target.y as usize + y) * width + target.x as usize) * channels;
            let out = &mut out[start..start + target.width as usize * channels];
            draw_u8(self.canvas(), &affine, y, self.spec.channels, out);
        }
        Ok(())
    }

    pub fn write_f32(&mut self, frame: &FrameView<'_>, out: &mut [f32]) -> Result<(), FrameError> {
        let affine = self.find(frame, out.len())?;
        if let Fit::Pad(value) = self.spec.fit {
            out.fill(f32::from(value) / 255.0);
        }
        let (target, width) = (self.placement.target, self.spec.width as usize);
        let plane = width * self.spec.height as usize;
        // A value has 24 bits, so that it is exact in f32, and one division rounds it.
        let white = (255 * ONE) as f32;
        for y in 0..target.height as usize {
            let start = (target.y as usize + y) * width + target.x as usize;
            let canvas = self.canvas();
            match self.spec.channels {
                Channels::Grey => warp::line::<1>(canvas, &affine, y, target.width as usize, |x, [value]| {
                    out[start + x] = value as f32 / white;
                }),
                Channels::Rgb => warp::line::<3>(canvas, &affine, y, target.width as usize, |x, values| {
                    for (c, value) in values.into_iter().enumerate() {
                        out[c * plane + start + x] = value as f32 / white;
                    }
                }),
            }
        }
        Ok(())
    }

    fn canvas(&self) -> Source<'_> {
        let Geometry { width, height, .. } = self.look.spec().source;
        Source { data: &self.canvas, width: width as usize, height: height as usize }
    }
}

/// Shrinks a canvas to the cells.
fn look(plan: &mut Plan, canvas: &[u8], cells: &mut [u8]) -> Result<(), FrameError> {
    let Geometry { width, height, format, .. } = plan.spec().source;
    plan.write_u8(&FrameView::packed(canvas, width, height, format), cells)
}

/// One line of bytes.
fn draw_u8(canvas: Source<'_>, affine: &Affine, y: usize, channels: Channels, out: &mut [u8]) {
    let round = |value: u32| ((value + ONE / 2) / ONE) as u8;
    match channels {
        Channels::Grey => {
            let width = out.len();
            warp::line::<1>(canvas, affine, y, width, |x, [value]| out[x] = round(value));
        }
        Channels::Rgb => {
            let width = out.len() / 3;
            warp::line::<3>(canvas, affine, y, width, |x, values| {
                out[3 * x..3 * x + 3].copy_from_slice(&values.map(round));
            });
        }
    }
}

/// The whole canvas, turned.
fn turn(canvas: &[u8], (width, height): (usize, usize), affine: &Affine, channels: Channels, out: &mut [u8]) {
    let source = Source { data: canvas, width, height };
    for (y, out) in out.chunks_exact_mut(width * channels.count()).enumerate() {
        draw_u8(source, affine, y, channels, out);
    }
}

impl Places {
    /// Where the target's pixels are in the canvas of a frame whose part is turned and shifted.
    fn affine(&self, degrees: f64, shift_px: [f64; 2]) -> Affine {
        let Places { region, step, .. } = *self;
        // The centre of the target's first pixel, in the camera's frame.
        let first = [f64::from(region.x) + step[0] / 2.0, f64::from(region.y) + step[1] / 2.0];
        self.map(degrees, first, step, shift_px)
    }

    /// Where a canvas's pixels come from when what it shows is turned.
    fn turned(&self, degrees: f64) -> Affine {
        // What is seen turned one way is sampled by turning the other way.
        self.straightened(-degrees, [0.0; 2])
    }

    /// Where a canvas's pixels come from when what it shows is turned and shifted back.
    fn straightened(&self, degrees: f64, shift_px: [f64; 2]) -> Affine {
        let step = self.scale.map(|scale| 1.0 / scale);
        let first = [f64::from(self.shown.x) + step[0] / 2.0, f64::from(self.shown.y) + step[1] / 2.0];
        self.map(degrees, first, step, shift_px)
    }

    /// `first` and `step` are a grid in the camera's frame; turned about the region's centre and shifted, in the canvas.
    fn map(&self, degrees: f64, first: [f64; 2], step: [f64; 2], shift_px: [f64; 2]) -> Affine {
        let Places { region, shown, scale, .. } = *self;
        let (sin, cos) = degrees.to_radians().sin_cos();
        let centre =
            [f64::from(region.x) + f64::from(region.width) / 2.0, f64::from(region.y) + f64::from(region.height) / 2.0];
        let from_centre = [first[0] - centre[0], first[1] - centre[1]];
        // Rows grow downwards: with this sign a positive angle turns clockwise as seen.
        let turned = |[x, y]: [f64; 2]| [cos * x - sin * y, sin * x + cos * y];
        let first = turned(from_centre);
        let corner = [f64::from(shown.x), f64::from(shown.y)];
        let scaled = |[x, y]: [f64; 2]| [x * scale[0], y * scale[1]];
        let origin =
            [0, 1].map(|axis| (first[axis] + centre[axis] + shift_px[axis] - corner[axis]) * scale[axis] - 0.5);
        Affine { origin, across: scaled(turned([step[0], 0.0])), down: scaled(turned([0.0, step[1]])) }
    }
}

/// The region with room for shift and turn, as far as the frame goes.
fn surroundings(region: Roi, align: &Align, source: Geometry) -> Roi {
    let half = f64::from(region.width.max(region.height)) / 2.0;
    let turn = (half * f64::from(align.max_degrees).to_radians().sin()).ceil() as u32;
    let margin = align.max_shift_px + turn;
    let (x, y) = (region.x.saturating_sub(margin), region.y.saturating_sub(margin));
    let right = (region.x + region.width + margin).min(source.width);
    let bottom = (region.y + region.height + margin).min(source.height);
    Roi { x, y, width: right - x, height: bottom - y }
}

fn check_settings(align: &Align, region: Roi) -> Result<(), CorrectionError> {
    let wrong = |key, value: f64, expected| Err(CorrectionError::Setting { key, value, expected });
    // Written so that a value that is not a number is refused.
    if !(0.0..=MOST_DEGREES).contains(&f64::from(align.max_degrees)) {
        return wrong("max_degrees", f64::from(align.max_degrees), "0 to 45");
    }
    if !(0.0..=1.0).contains(&align.least_match) {
        return wrong("least_match", f64::from(align.least_match), "0 to 1; 0.3 suits most parts");
    }
    if align.max_shift_px > region.width.min(region.height) / 3 {
        let expected = "at most a third of the region's shorter side; a larger region finds parts that are further off";
        return wrong("max_shift_px", f64::from(align.max_shift_px), expected);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
