//! Phase correlation: by how much a small picture is moved against a template, and which of its turned copies fits best.
//!
//! C. D. Kuglin and D. C. Hines, "The phase correlation image alignment method", 1975: the spectra of two pictures that
//! differ by a shift differ by a linear phase, whose inverse transform is a peak at the shift. Here the spectra are
//! whitened only as far as there is signal, and weighted by a Gaussian low-pass, which makes the peak a Gaussian: three
//! points of it tell where between the cells it lies. Turning is found by trying: one inverse transform a turned template.
//!
//! In f64 and by the scalar transforms, so that every machine finds the same to far below what is kept of it.

use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlannerScalar};

/// Cells along each side of the pictures that are compared.
pub(crate) const CELLS: usize = 64;
/// Frequencies that count, in cycles a picture (the low-pass's standard deviation). Finer detail is noise, and is lost by
/// a part that is turned by half a step anyway.
const LOW_PASS: f64 = 9.0;
/// Share of the mean magnitude below which a frequency is rather noise than signal.
const FLOOR: f64 = 0.2;

type Number = Complex<f64>;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Which template, with a fraction towards its neighbours.
    pub turn: f64,
    /// Cells to the right and down.
    pub shift: [f64; 2],
    /// 1 for the template itself.
    pub matches: f64,
}

/// Compares pictures of [`CELLS`] x [`CELLS`] with a row of templates. Allocates when it is made and not again.
pub(crate) struct Matcher {
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
    window: Vec<f64>,
    templates: Vec<Template>,
    /// What each template gave for the last picture.
    found: Vec<Found>,
    spectrum: Vec<Number>,
    product: Vec<Number>,
    scratch: Vec<Number>,
    /// Farthest shift that is looked for, in cells across and down.
    reach: [usize; 2],
}

struct Template {
    /// What a whitened spectrum is multiplied with.
    filter: Vec<Number>,
    /// The peak that the template itself gives.
    best: f64,
}

impl Matcher {
    /// A matcher without templates that looks for shifts of up to `reach` cells across and down.
    pub fn new(reach: [usize; 2]) -> Matcher {
        let mut planner = FftPlannerScalar::new();
        let (forward, inverse) = (planner.plan_fft_forward(CELLS), planner.plan_fft_inverse(CELLS));
        let room = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        let hann = |i: usize| 0.5 - 0.5 * (std::f64::consts::TAU * (i as f64 + 0.5) / CELLS as f64).cos();
        let zero = Number::new(0.0, 0.0);
        Matcher {
            forward,
            inverse,
            window: (0..CELLS * CELLS).map(|i| hann(i / CELLS) * hann(i % CELLS)).collect(),
            templates: Vec::new(),
            found: Vec::new(),
            spectrum: vec![zero; CELLS * CELLS],
            product: vec![zero; CELLS * CELLS],
            scratch: vec![zero; room],
            reach: reach.map(|cells| cells.clamp(1, CELLS / 2 - 2)),
        }
    }

    /// Adds a template after the others. False: there is nothing in it that a shift could be told by.
    pub fn add(&mut self, picture: &[u8]) -> bool {
        self.transform(picture);
        let filter = self.spectrum.iter().enumerate().map(|(i, value)| value.conj() * low_pass(i)).collect();
        self.templates.push(Template { filter, best: 1.0 });
        self.found.push(Found::default());
        let last = self.templates.len() - 1;
        let best = self.correlate(last).matches;
        self.templates[last].best = best;
        // A flat picture has a spectrum of zeros; the least edge gives a peak that is a good part of this sum.
        let most: f64 = (0..CELLS * CELLS).map(low_pass).sum::<f64>();
        best > 0.05 * most
    }

    /// Finds a picture's turn and shift. There must be a template.
    pub fn find(&mut self, picture: &[u8]) -> Found {
        self.transform(picture);
        for k in 0..self.templates.len() {
            self.found[k] = self.correlate(k);
        }
        let matches = |k: usize| self.found.get(k).map_or(0.0, |found| found.matches);
        let best = (0..self.found.len()).fold(0, |best, k| if matches(k) > matches(best) { k } else { best });
        let found = self.found[best];
        let between = best > 0 && best + 1 < self.found.len();
        // As the peak over shifts, the peak over turns is a bell rather than a parabola.
        let log = |k: usize| matches(k).max(matches(best) * 1e-3).ln();
        let aside = if between && matches(best) > 0.0 { vertex(log(best - 1), log(best), log(best + 1)) } else { 0.0 };
        Found { turn: best as f64 + aside, ..found }
    }

    /// The picture's whitened spectrum.
    fn transform(&mut self, picture: &[u8]) {
        let mean = picture.iter().map(|&value| f64::from(value)).sum::<f64>() / picture.len() as f64;
        for ((out, &value), window) in self.spectrum.iter_mut().zip(picture).zip(&self.window) {
            *out = Number::new((f64::from(value) - mean) * window, 0.0);
        }
        two_dimensional(self.forward.as_ref(), &mut self.spectrum, &mut self.scratch);
        self.spectrum[0] = Number::new(0.0, 0.0);
        let magnitude = |value: &Number| value.norm_sqr().sqrt();
        // Weighted, so that the floor is that of the frequencies that count.
        let (sum, weights) = self.spectrum.iter().enumerate().fold((0.0, 0.0), |(sum, weights), (i, value)| {
            (sum + low_pass(i) * magnitude(value), weights + low_pass(i))
        });
        // Half a grey level of noise, so that a picture without any signal is not whitened into one.
        let floor = FLOOR * sum / weights + 0.5 * CELLS as f64;
        for value in &mut self.spectrum {
            *value /= magnitude(value) + floor;
        }
    }

    /// Where template `k` fits the present spectrum best.
    fn correlate(&mut self, k: usize) -> Found {
        let template = &self.templates[k];
        for ((out, value), filter) in self.product.iter_mut().zip(&self.spectrum).zip(&template.filter) {
            *out = value * filter;
        }
        two_dimensional(self.inverse.as_ref(), &mut self.product, &mut self.scratch);
        let product = &self.product;
        let at = |x: isize, y: isize| {
            let wrap = |v: isize| v.rem_euclid(CELLS as isize) as usize;
            product[wrap(y) * CELLS + wrap(x)].re
        };
        let [across, down] = self.reach.map(|cells| cells as isize);
        let (mut peak, mut place) = (f64::MIN, (0, 0));
        for y in -down..=down {
            for x in -across..=across {
                let value = at(x, y);
                if value > peak {
                    (peak, place) = (value, (x, y));
                }
            }
        }
        let (x, y) = place;
        // The logarithm of a Gaussian is a parabola; far from the peak there may be no logarithm.
        let log = |value: f64| value.max(peak * 1e-3).ln();
        let aside = |before: f64, after: f64| if peak > 0.0 { vertex(log(before), log(peak), log(after)) } else { 0.0 };
        let shift = [x as f64 + aside(at(x - 1, y), at(x + 1, y)), y as f64 + aside(at(x, y - 1), at(x, y + 1))];
        Found { turn: k as f64, shift, matches: peak.max(0.0) / template.best }
    }
}

/// The weight of frequency `i` of a transformed picture.
fn low_pass(i: usize) -> f64 {
    let cycles = |k: usize| k.min(CELLS - k) as f64;
    let (x, y) = (cycles(i % CELLS), cycles(i / CELLS));
    (-(x * x + y * y) / (2.0 * LOW_PASS * LOW_PASS)).exp()
}

/// Where between -1/2 and 1/2 the parabola through three points has its top.
fn vertex(before: f64, here: f64, after: f64) -> f64 {
    let bend = before - 2.0 * here + after;
    if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 }
}

/// Rows, then columns. The result is as it was laid out before: two transpositions.
fn two_dimensional(fft: &dyn Fft<f64>, data: &mut [Number], scratch: &mut [Number]) {
    for _ in 0..2 {
        fft.process_with_scratch(data, scratch);
        for y in 0..CELLS {
            for x in 0..y {
                data.swap(y * CELLS + x, x * CELLS + y);
            }
        }
    }
}
