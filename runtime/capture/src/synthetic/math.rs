//! Numbers that are the same on every machine: random draws, sine and cosine, noise.
//!
//! Only `+ - * /` and `sqrt` on f32, which IEEE 754 fixes to the bit; `f32::sin`, `powi` and the like are left to the
//! platform's library and differ between architectures.

/// A random generator: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for each (seed, index).
    pub fn new(seed: u64, index: u64) -> Random {
        let mut random = Random(seed ^ index.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.next();
        random
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1, in steps of 2^-24.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// Uniform between the two.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Roughly normal: mean 0, deviation 1, never beyond 3.5.
    pub fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.unit()).sum();
        (sum - 2.0) * 1.732_050_8
    }

    /// Uniform in 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

/// Sine and cosine of an angle in turns (1 is a full circle), to 2e-6.
pub(crate) fn sin_cos_turns(turns: f32) -> (f32, f32) {
    (sine_turns(turns), sine_turns(turns + 0.25))
}

fn sine_turns(turns: f32) -> f32 {
    // To -0.5..0.5, then mirrored to -0.25..0.25, where sine is nearly its Taylor polynomial.
    let wrapped = turns - (turns + 0.5).floor();
    let folded = if wrapped > 0.25 {
        0.5 - wrapped
    } else if wrapped < -0.25 {
        -0.5 - wrapped
    } else {
        wrapped
    };
    let x = folded * std::f32::consts::TAU;
    let q = x * x;
    x * (1.0 - q * (1.0 / 6.0 - q * (1.0 / 120.0 - q * (1.0 / 5040.0 - q / 362_880.0))))
}

/// 0 below `low`, 1 above `high`, smooth between. `low` may be the larger one.
#[inline(always)]
pub(crate) fn smooth_step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The whole number below, wrapped to an index, and the rest. `f32::floor` is a call into the C library on processors
/// that are not promised to have an instruction for it; this is two conversions.
#[inline(always)]
fn split(x: f32) -> (usize, f32) {
    let toward_zero = x as i32;
    let below = toward_zero - i32::from((toward_zero as f32) > x);
    (below as usize, x - below as f32)
}

/// Tables of noise, made once.
pub(crate) struct Noise {
    lattice: Vec<f32>,
    rings: Vec<f32>,
}

const LATTICE: usize = 64;
const RINGS: usize = 2048;

impl Noise {
    /// The same tables for the same seed, on every machine.
    pub fn new(seed: u64) -> Noise {
        let mut random = Random::new(seed, 0x4E01);
        let lattice = (0..LATTICE * LATTICE).map(|_| random.between(-1.0, 1.0)).collect();
        let rings = (0..RINGS).map(|_| random.normal()).collect();
        Noise { lattice, rings }
    }

    /// Value noise in -1..1, one lattice cell a unit, repeating every 64.
    #[inline(always)]
    pub fn plane(&self, x: f32, y: f32) -> f32 {
        let ((ix, tx), (iy, ty)) = (split(x), split(y));
        let (tx, ty) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
        let at = |dx: usize, dy: usize| {
            self.lattice[(iy.wrapping_add(dy) % LATTICE) * LATTICE + ix.wrapping_add(dx) % LATTICE]
        };
        let (top, bottom) = (at(0, 0) + tx * (at(1, 0) - at(0, 0)), at(0, 1) + tx * (at(1, 1) - at(0, 1)));
        top + ty * (bottom - top)
    }

    /// Noise along a line, deviation about 0.8, one table entry a unit: the grooves of a turned face.
    #[inline(always)]
    pub fn line(&self, x: f32) -> f32 {
        let (i, t) = split(x);
        let (a, b) = (self.rings[i % RINGS], self.rings[i.wrapping_add(1) % RINGS]);
        a + t * (b - a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_close_to_the_librarys() {
        for step in -3000..3000 {
            let turns = step as f32 / 1000.0;
            let (sine, cosine) = sin_cos_turns(turns);
            let angle = f64::from(turns) * std::f64::consts::TAU;
            assert!((f64::from(sine) - angle.sin()).abs() < 5e-6, "sine of {turns} turns is {sine}");
            assert!((f64::from(cosine) - angle.cos()).abs() < 5e-6, "cosine of {turns} turns is {cosine}");
        }
    }

    #[test]
    fn draws_stay_in_bounds_and_spread() {
        let mut random = Random::new(3, 4);
        let mut counts = [0; 6];
        for _ in 0..6000 {
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
            assert!(random.normal().abs() <= 3.5);
            counts[random.below(6)] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }

    #[test]
    fn noise_is_smooth_across_cells_and_zero() {
        let noise = Noise::new(1);
        for x in [-3.0, -1.0, 0.0, 5.0, 63.0, 64.0] {
            let step = noise.plane(x + 1e-3, 0.3) - noise.plane(x - 1e-3, 0.3);
            assert!(step.abs() < 1e-2, "a jump of {step} at {x}");
        }
    }
}
