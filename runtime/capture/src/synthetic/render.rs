//! Shading: what each pixel of the frame shows.

use jidoka_prepare::PixelFormat;

use super::math::{Noise, Random, smooth_step};
use super::part::{Flaw, HOLES, Part, Point, size};

/// Colour of a surface: red, green and blue relative to its brightness.
type Tint = [f32; 3];

const STEEL: Tint = [0.985, 1.0, 1.015];
const RUBBER: Tint = [0.86, 1.03, 0.94];
const RUST: Tint = [1.16, 0.97, 0.66];

/// What is seen at one place: brightness in grey levels, colour, and how much of it is defect.
#[derive(Clone, Copy)]
struct Sight {
    level: f32,
    tint: Tint,
    defect: f32,
}

/// The parts of a picture that do not change.
pub(crate) struct Stage {
    noise: Noise,
    belt: Vec<u8>,
}

/// Side of the belt's repeating pattern.
const BELT: usize = 512;

impl Stage {
    /// The belt and its noise by `seed`.
    pub fn new(seed: u64) -> Stage {
        let noise = Noise::new(seed);
        let belt = belt(&noise, seed);
        Stage { noise, belt }
    }

    /// Renders a part into `pixels` (no padding) and its true defect mask into `mask`.
    pub fn render(&self, part: &Part, index: u32, width: u32, format: PixelFormat, pixels: &mut [u8], mask: &mut [u8]) {
        let channels = if format == PixelFormat::Rgb24 { 3 } else { 1 };
        let width = width as usize;
        let frame = Frame::new(part, width, mask.len() / width);
        let lines = pixels.chunks_exact_mut(channels * width).zip(mask.chunks_exact_mut(width));
        for (y, (pixels, mask)) in lines.enumerate() {
            let mut random = Random::new(u64::from(index) << 32 | 0x5EED, y as u64 ^ u64::from(part.belt[0]) << 16);
            let mut grain = random.next() as u32 | 1;
            for (x, (pixel, mask)) in pixels.chunks_exact_mut(channels).zip(mask).enumerate() {
                let sight = self.look(part, &frame, x, y);
                let light = frame.light(part, x, y);
                *mask = if sight.defect > 0.3 { 255 } else { 0 };
                grain ^= grain << 13;
                grain ^= grain >> 17;
                grain ^= grain << 5;
                let tint = if channels == 3 { sight.tint } else { [1.0; 3] };
                for ((value, tint), bell) in pixel.iter_mut().zip(tint).zip(bells(grain)) {
                    let level = sight.level * light * tint;
                    // Shot noise grows with the light.
                    let noise = bell as f32 * frame.noise * (0.55 + level * (1.0 / 260.0));
                    *value = (level + noise + 0.5) as u8;
                }
            }
        }
    }

    /// What pixel (x, y) shows before light fall-off and noise.
    #[inline(always)]
    fn look(&self, part: &Part, frame: &Frame, x: usize, y: usize) -> Sight {
        let away = [x as f32 + 0.5 - part.centre[0], y as f32 + 0.5 - part.centre[1]];
        let square = away[0] * away[0] + away[1] * away[1];
        if square > frame.reach {
            return self.ground(part, frame, away, x, y);
        }
        let [cosine, sine] = part.turn;
        let here =
            [(away[0] * cosine + away[1] * sine) * frame.inverse, (away[1] * cosine - away[0] * sine) * frame.inverse];
        let radius = square.sqrt() * frame.inverse;
        let outward = if radius > 0.01 {
            [away[0] * frame.inverse / radius, away[1] * frame.inverse / radius]
        } else {
            [1.0, 0.0]
        };
        let (metal, bite) = self.outline(part, here, radius);
        if metal <= 0.0 {
            let mut ground = self.ground(part, frame, away, x, y);
            ground.defect = bite;
            return ground;
        }
        let mut sight = self.metal(part, here, radius, outward);
        self.blemish(part, here, &mut sight, bite);
        if metal < 1.0 {
            let ground = self.ground(part, frame, away, x, y);
            sight.level = ground.level + metal * (sight.level - ground.level);
            for (tint, other) in sight.tint.iter_mut().zip(ground.tint) {
                *tint = other + metal * (*tint - other);
            }
        }
        sight
    }

    /// The belt, with the part's shadow on it.
    #[inline(always)]
    fn ground(&self, part: &Part, frame: &Frame, away: Point, x: usize, y: usize) -> Sight {
        let at = (y + part.belt[1] as usize) % BELT * BELT + (x + part.belt[0] as usize) % BELT;
        let lamp = part.light.lamp;
        let shadow_centre = [away[0] + lamp[0] * frame.drop, away[1] + lamp[1] * frame.drop];
        let square = shadow_centre[0] * shadow_centre[0] + shadow_centre[1] * shadow_centre[1];
        let shade = if square > frame.shadow {
            1.0
        } else {
            let distance = square.sqrt() * frame.inverse;
            1.0 - 0.55 * smooth_step(size::RIM + 13.0, size::RIM - 9.0, distance)
        };
        Sight { level: f32::from(self.belt[at]) * shade, tint: RUBBER, defect: 0.0 }
    }

    /// How much of the pixel is metal (rim and chip), and how much of it a chip takes.
    #[inline(always)]
    fn outline(&self, part: &Part, here: Point, radius: f32) -> (f32, f32) {
        let metal = (size::RIM - radius + 0.5).clamp(0.0, 1.0);
        let Flaw::Chip { centre, radius: reach } = part.flaw else { return (metal, 0.0) };
        let distance = distance(here, centre);
        if distance > 1.6 * reach {
            return (metal, 0.0);
        }
        let ragged = reach * (1.0 + 0.22 * self.noise.plane(here[0] * 0.21 + 9.0, here[1] * 0.21));
        let bite = (ragged - distance + 0.5).clamp(0.0, 1.0);
        (metal.min(1.0 - bite), bite * metal)
    }

    /// The part itself, by zones from the rim to the bore.
    #[inline(always)]
    fn metal(&self, part: &Part, here: Point, radius: f32, outward: Point) -> Sight {
        let lamp = part.light.lamp;
        let toward = outward[0] * lamp[0] + outward[1] * lamp[1];
        let level = if radius > size::RIM - size::CHAMFER {
            // A 45 degree chamfer: bright towards the lamp, dark away from it.
            let glint = (0.72 * toward + 0.69 * lamp[2]).max(0.0);
            34.0 + 150.0 * glint * glint + 3.0 * self.noise.line(radius * 4.0 + part.texture[0])
        } else if radius > size::HUB {
            self.bolt_face(part, here, radius, outward)
        } else if radius > size::HUB - 4.0 {
            // The hub's shoulder rises here: a fillet that faces outward.
            let glint = (0.8 * toward + 0.55 * lamp[2]).max(0.0);
            40.0 + 138.0 * glint * glint
        } else {
            self.hub(part, here, radius, outward, toward)
        };
        Sight { level: level * part.albedo, tint: STEEL, defect: 0.0 }
    }

    /// The turned face with its bolt holes.
    #[inline(always)]
    fn bolt_face(&self, part: &Part, here: Point, radius: f32, outward: Point) -> f32 {
        if (radius - size::BOLT_CIRCLE).abs() < size::SPOT_FACE + 18.0 {
            for hole in &part.holes {
                let near = [here[0] - hole.hole[0], here[1] - hole.hole[1]];
                let bore = near[0] * near[0] + near[1] * near[1];
                let from_face = [here[0] - hole.face[0], here[1] - hole.face[1]];
                let face = from_face[0] * from_face[0] + from_face[1] * from_face[1];
                let reach = size::SPOT_FACE + 1.5;
                if face > reach * reach && (bore > 169.0 || !hole.drilled) {
                    continue;
                }
                let turned = self.turned(part, radius, outward, here, 118.0, 1.9);
                let face = face.sqrt();
                let milled = self.spot_face(part, from_face, face);
                let inside = smooth_step(size::SPOT_FACE + 0.7, size::SPOT_FACE - 0.7, face);
                let surface = turned + inside * (milled - turned);
                return if hole.drilled { drilled(part, surface, near, bore.sqrt(), size::HOLE) } else { surface };
            }
        }
        // A shade darker where the hub's shoulder keeps the light off.
        let corner = 1.0 - 0.16 * smooth_step(size::HUB + 7.0, size::HUB, radius);
        corner * self.turned(part, radius, outward, here, 118.0, 1.9)
    }

    /// A milled disc: finer marks, around its own centre, in a shallow recess with a dark border.
    #[inline(always)]
    fn spot_face(&self, part: &Part, from_centre: Point, distance_px: f32) -> f32 {
        let inverse = 1.0 / distance_px.max(0.5);
        let [cosine, sine] = part.turn;
        let local = [from_centre[0] * inverse, from_centre[1] * inverse];
        let outward = [local[0] * cosine - local[1] * sine, local[0] * sine + local[1] * cosine];
        let border = smooth_step(size::SPOT_FACE - 3.0, size::SPOT_FACE, distance_px);
        let lamp = part.light.lamp;
        let facing = outward[0] * lamp[0] + outward[1] * lamp[1];
        let marks = self.turned(part, distance_px + 300.0, outward, from_centre, 138.0, 3.1);
        marks * (1.0 - border * (0.30 + 0.38 * facing))
    }

    /// The raised hub, its dowel hole, the bore and the keyway.
    #[inline(always)]
    fn hub(&self, part: &Part, here: Point, radius: f32, outward: Point, toward: f32) -> f32 {
        let key = (here[1].abs() - size::KEYWAY).max(here[0] - size::KEYWAY_END).max(-here[0]);
        // The keyway lies opposite the dowel hole.
        let key = key.max(-(here[0] + radius));
        let opening = (size::BORE - radius).max(-key);
        if opening > 0.0 {
            // Down in the bore: nearly black, the far wall catches some light.
            let wall = smooth_step(16.0, 0.0, opening) * (-toward).max(0.0);
            let edge = smooth_step(0.0, 1.2, opening);
            return 12.0 + 78.0 * wall + (1.0 - edge) * 60.0;
        }
        let chamfer = size::BORE + 4.5 - radius;
        if chamfer > 0.0 {
            // This one faces inward: bright away from the lamp.
            let lamp = part.light.lamp;
            let glint = (-0.72 * toward + 0.69 * lamp[2]).max(0.0);
            return 38.0 + 146.0 * glint * glint;
        }
        let surface = self.turned(part, radius, outward, here, 132.0, 2.6);
        let dowel = [here[0] + size::DOWEL_CIRCLE, here[1]];
        let distance = (dowel[0] * dowel[0] + dowel[1] * dowel[1]).sqrt();
        if distance < size::DOWEL + 2.0 { drilled(part, surface, dowel, distance, size::DOWEL) } else { surface }
    }

    /// A turned or milled surface: concentric grooves that mirror the lamp where they run across its direction, which
    /// gives the bright bow tie that every lathe leaves (the anisotropic highlight of Kajiya and Kay).
    #[inline(always)]
    fn turned(&self, part: &Part, radius: f32, outward: Point, here: Point, base: f32, grooves_per_px: f32) -> f32 {
        let half = part.light.half;
        let along = outward[0] * half[1] - outward[1] * half[0];
        let sheen = 1.0 - 5.2 * along * along;
        let sheen = sheen.max(0.0);
        let grooves = self.noise.line(radius * grooves_per_px + part.texture[0])
            + 0.6 * self.noise.line(radius * 0.37 + part.texture[0] * 0.5);
        let cloud = self.noise.plane(here[0] * 0.045 + part.texture[1], here[1] * 0.045);
        let mark = 1.0 + part.groove * (0.045 + 0.05 * sheen) * grooves + 0.025 * cloud;
        (base * (0.62 + 0.22 * part.light.lamp[2]) + 78.0 * sheen * sheen) * mark
    }

    /// Lays the part's defect over what is there.
    #[inline(always)]
    fn blemish(&self, part: &Part, here: Point, sight: &mut Sight, bite: f32) {
        match part.flaw {
            Flaw::None => {}
            Flaw::Scratch { ref points, half_width, depth } => scratched(points, half_width, depth, here, sight),
            Flaw::Pit { centre, radius } => self.pitted(part, centre, radius, here, sight),
            Flaw::Stain { centre, radius, strength } => self.stained(centre, radius, strength, here, sight),
            Flaw::Chip { centre, radius } => self.broken(centre, radius, here, sight, bite),
            Flaw::Hole(k) => {
                let hole = &part.holes[k % HOLES];
                let on_face = distance(here, hole.face) < size::SPOT_FACE;
                let in_hole = hole.drilled && distance(here, hole.hole) < size::HOLE;
                sight.defect = if on_face || in_hole { 1.0 } else { 0.0 };
            }
        }
    }

    #[inline(always)]
    fn pitted(&self, part: &Part, centre: Point, radius: f32, here: Point, sight: &mut Sight) {
        let away = [here[0] - centre[0], here[1] - centre[1]];
        let distance = (away[0] * away[0] + away[1] * away[1]).sqrt();
        if distance > radius * 1.7 {
            return;
        }
        let ragged = radius * (1.0 + 0.2 * self.noise.plane(here[0] * 0.3, here[1] * 0.3 + 5.0));
        let inside = smooth_step(ragged + 0.8, ragged - 1.6, distance);
        let lamp = part.light.lamp;
        let facing = (away[0] * lamp[0] + away[1] * lamp[1]) / radius;
        // The wall next to the lamp lies in shadow, the one across is lit; displaced metal shines around the border.
        let floor = 52.0 - 46.0 * facing + 9.0 * self.noise.plane(here[0] * 0.8, here[1] * 0.8);
        let border = smooth_step(2.2, 0.0, (distance - ragged - 0.8).abs());
        sight.level += inside * (floor.max(8.0) - sight.level) + 42.0 * border * (1.0 - inside);
        sight.defect = inside.max(0.8 * border);
    }

    #[inline(always)]
    fn stained(&self, centre: Point, radius: f32, strength: f32, here: Point, sight: &mut Sight) {
        let distance = distance(here, centre);
        if distance > radius * 1.8 {
            return;
        }
        let lobes = self.noise.plane(here[0] * 0.075 + 31.0, here[1] * 0.075) * 0.5
            + self.noise.plane(here[0] * 0.2, here[1] * 0.2 + 17.0) * 0.16;
        let ragged = radius * (1.0 + lobes);
        let inside = smooth_step(ragged + 1.5, ragged - 3.5, distance);
        let border = inside * smooth_step(ragged - 7.0, ragged - 1.5, distance);
        let mottle = 1.0 + 0.25 * self.noise.plane(here[0] * 0.33, here[1] * 0.33);
        let film = (strength * mottle * inside + 0.18 * border).clamp(0.0, 0.92);
        sight.level *= 1.0 - film;
        for (tint, rust) in sight.tint.iter_mut().zip(RUST) {
            *tint += inside * (rust - *tint);
        }
        sight.defect = inside;
    }

    /// The torn metal along a chip.
    #[inline(always)]
    fn broken(&self, centre: Point, radius: f32, here: Point, sight: &mut Sight, bite: f32) {
        let distance = distance(here, centre);
        if distance > 1.9 * radius {
            return;
        }
        let ragged = radius * (1.0 + 0.22 * self.noise.plane(here[0] * 0.21 + 9.0, here[1] * 0.21));
        let depth = 3.0 + 2.0 * self.noise.plane(here[0] * 0.15, here[1] * 0.15);
        let torn = smooth_step(ragged + depth + 1.0, ragged + depth - 1.0, distance);
        let facets = 96.0 + 75.0 * self.noise.plane(here[0] * 0.55, here[1] * 0.55);
        sight.level += torn * (facets - sight.level);
        sight.defect = torn.max(bite);
    }
}

/// What does not change within a frame.
struct Frame {
    /// One over the scale.
    inverse: f32,
    /// Square of the distance, in pixels, beyond which there is no metal, and beyond which no shadow.
    reach: f32,
    shadow: f32,
    /// How far the shadow falls, in pixels, for a lamp at the horizon.
    drop: f32,
    middle: Point,
    /// One over half the diagonal, squared.
    corner: f32,
    /// Change of brightness for each pixel across and down.
    slope: Point,
    /// Sensor noise for each step of a bell.
    noise: f32,
}

impl Frame {
    fn new(part: &Part, width: usize, height: usize) -> Frame {
        let (half_width, half_height) = (width as f32 / 2.0, height as f32 / 2.0);
        let square = |radius: f32| (radius * part.scale) * (radius * part.scale);
        Frame {
            inverse: 1.0 / part.scale,
            reach: square(size::RIM + 1.0),
            shadow: square(size::RIM + 13.0),
            drop: 21.0 * part.scale,
            middle: [half_width, half_height],
            corner: 1.0 / (half_width * half_width + half_height * half_height),
            slope: part.light.slope.map(|slope| slope / half_width),
            noise: part.noise / BELL_DEVIATION,
        }
    }

    /// Brightness at a pixel: lamp, its slope, and the lens that is darker in the corners.
    #[inline(always)]
    fn light(&self, part: &Part, x: usize, y: usize) -> f32 {
        let away = [x as f32 - self.middle[0], y as f32 - self.middle[1]];
        let corner = (away[0] * away[0] + away[1] * away[1]) * self.corner;
        let slope = self.slope[0] * away[0] + self.slope[1] * away[1];
        part.light.gain * (1.0 - 0.17 * corner) * (1.0 + slope)
    }
}

/// Standard deviation of a bell.
const BELL_DEVIATION: f32 = 147.8;

/// Three independent draws from a bell curve around 0, from 32 random bits: sums and differences of four bytes.
#[inline(always)]
fn bells(bits: u32) -> [i32; 3] {
    let [a, b, c, d] = bits.to_le_bytes().map(i32::from);
    [a + b - c - d, a - b + c - d, a - b - c + d]
}

#[inline(always)]
fn distance(a: Point, b: Point) -> f32 {
    let (x, y) = (a[0] - b[0], a[1] - b[1]);
    (x * x + y * y).sqrt()
}

/// A drilled hole over a surface: dark, its far wall lit, a burr of light around it.
#[inline(always)]
fn drilled(part: &Part, surface: f32, near: Point, distance_px: f32, radius: f32) -> f32 {
    let [cosine, sine] = part.turn;
    let lamp = [
        part.light.lamp[0] * cosine + part.light.lamp[1] * sine,
        part.light.lamp[1] * cosine - part.light.lamp[0] * sine,
    ];
    let facing = (near[0] * lamp[0] + near[1] * lamp[1]) / radius;
    let wall = smooth_step(0.45 * radius, radius, distance_px) * (-facing).max(0.0);
    let depth = 11.0 + 105.0 * wall;
    let inside = smooth_step(radius + 0.7, radius - 0.7, distance_px);
    let rim = smooth_step(1.6, 0.0, (distance_px - radius - 0.9).abs());
    surface + inside * (depth - surface) + rim * (1.0 - inside) * (26.0 - 60.0 * facing)
}

/// A scratch: a bright furrow with a dark flank.
#[inline(always)]
fn scratched(points: &[Point; 4], half_width: f32, depth: f32, here: Point, sight: &mut Sight) {
    let mut nearest = f32::MAX;
    let mut side = 0.0;
    for pair in points.windows(2) {
        let along = [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]];
        let from = [here[0] - pair[0][0], here[1] - pair[0][1]];
        let square = along[0] * along[0] + along[1] * along[1];
        let t = ((from[0] * along[0] + from[1] * along[1]) / square).clamp(0.0, 1.0);
        let off = [from[0] - t * along[0], from[1] - t * along[1]];
        let distance = off[0] * off[0] + off[1] * off[1];
        if distance < nearest {
            nearest = distance;
            side = from[0] * along[1] - from[1] * along[0];
        }
    }
    let distance = nearest.sqrt();
    let furrow = smooth_step(half_width + 0.9, half_width - 0.6, distance) * depth;
    let flank = smooth_step(half_width + 2.4, half_width, distance) * depth;
    let shade = if side > 0.0 { 0.5 } else { 0.1 };
    sight.level *= 1.0 - shade * flank;
    sight.level += furrow * (226.0 - sight.level);
    sight.defect = furrow.max(flank * 0.6);
}

/// The belt's pattern: ribbed rubber, worn in places.
fn belt(noise: &Noise, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed, 0xBE17);
    let mut pattern = Vec::with_capacity(BELT * BELT);
    for y in 0..BELT {
        for x in 0..BELT {
            // Two crossing ribs, each a triangle wave of 8 pixels, that repeats with the pattern.
            let wave = |phase: usize| (phase % 8).abs_diff(4) as f32 / 2.0 - 1.0;
            let weave = wave(x + y) * wave(x + 7 * y);
            // 64 lattice cells in 512 pixels: seamless.
            let wear = noise.plane(x as f32 * 0.125, y as f32 * 0.125);
            let fine = random.normal();
            pattern.push((47.0 + 6.0 * weave + 5.0 * wear + 2.2 * fine).clamp(0.0, 255.0) as u8);
        }
    }
    pattern
}
