//! One part as it lies on the belt: what varies from part to part, drawn from (seed, part number).
//!
//! The part is a turned flange: a disc with a chamfered rim, a ring of bolt holes in milled spot faces, a raised hub
//! with a dowel hole, and a bore with a keyway. Lengths are in pixels of a 640x480 frame, times `scale`.

use super::math::{Random, sin_cos_turns};
use crate::source::Defect;

/// Radii and sizes at scale 1.
pub(crate) mod size {
    /// Rim of the disc.
    pub const RIM: f32 = 172.0;
    /// Width of the rim's chamfer.
    pub const CHAMFER: f32 = 6.0;
    /// Edge of the raised hub.
    pub const HUB: f32 = 90.0;
    /// Rim of the bore.
    pub const BORE: f32 = 46.0;
    /// Radius of the circle that the bolt holes lie on.
    pub const BOLT_CIRCLE: f32 = 131.0;
    /// Spot face of a bolt hole.
    pub const SPOT_FACE: f32 = 22.0;
    /// A bolt hole.
    pub const HOLE: f32 = 11.5;
    /// The dowel hole, and how far from the centre it is.
    pub const DOWEL: f32 = 5.0;
    /// Distance of the dowel hole from the centre.
    pub const DOWEL_CIRCLE: f32 = 69.0;
    /// Half the width of the keyway.
    pub const KEYWAY: f32 = 7.5;
    /// How far the keyway reaches.
    pub const KEYWAY_END: f32 = 59.0;
}

/// Number of bolt holes.
pub(crate) const HOLES: usize = 6;

/// A point in the part's own coordinates (origin at its centre, dowel hole on the x axis).
pub(crate) type Point = [f32; 2];

/// A bolt hole with its spot face.
#[derive(Clone, Copy, Default)]
pub(crate) struct Hole {
    /// Centre of the spot face.
    pub face: Point,
    /// Centre of the hole.
    pub hole: Point,
    /// False where the drill was missing.
    pub drilled: bool,
}

/// A defect that is painted on or cut out. Missing and misplaced holes are in the holes themselves.
#[derive(Clone, Copy)]
pub(crate) enum Flaw {
    None,
    /// A line through these points, `width` wide.
    Scratch {
        points: [Point; 4],
        half_width: f32,
        depth: f32,
    },
    /// A crater.
    Pit {
        centre: Point,
        radius: f32,
    },
    /// A film with an irregular border.
    Stain {
        centre: Point,
        radius: f32,
        strength: f32,
    },
    /// A bite out of the rim.
    Chip {
        centre: Point,
        radius: f32,
    },
    /// The hole with this number is missing or misplaced.
    Hole(usize),
}

/// Everything that is drawn for one part.
#[derive(Clone)]
pub(crate) struct Part {
    pub scale: f32,
    /// Centre in the frame, in pixels.
    pub centre: Point,
    /// Cosine and sine of the rotation.
    pub turn: [f32; 2],
    pub holes: [Hole; HOLES],
    pub flaw: Flaw,
    pub light: Light,
    /// Brightness of the metal.
    pub albedo: f32,
    /// How strongly the grooves show, and where in the noise tables this part begins.
    pub groove: f32,
    pub texture: Point,
    /// Sensor noise, in grey levels.
    pub noise: f32,
    /// Where the belt is under the part, in pixels.
    pub belt: [u32; 2],
}

/// The light over the station: one lamp and what the surroundings reflect.
#[derive(Clone, Copy)]
pub(crate) struct Light {
    /// Direction to the lamp, a unit vector.
    pub lamp: [f32; 3],
    /// Half way between lamp and camera, its horizontal part.
    pub half: Point,
    /// Overall brightness.
    pub gain: f32,
    /// Change of brightness across the frame, a fraction.
    pub slope: Point,
}

impl Part {
    /// Part number `index` of this seed, with or without a defect.
    pub fn draw(seed: u64, index: u32, defect: Option<Defect>, width: u32, height: u32) -> Part {
        let mut random = Random::new(seed, u64::from(index));
        let frame_scale = (width as f32 / 640.0).min(height as f32 / 480.0);
        let scale = frame_scale * (1.0 + 0.004 * random.normal());
        let centre = [
            width as f32 / 2.0 + 3.0 * frame_scale * random.normal(),
            height as f32 / 2.0 + 2.0 * frame_scale * random.normal(),
        ];
        // Most parts lie within 2 degrees of the fixture's angle.
        let (sine, cosine) = sin_cos_turns(0.0055 * random.normal());
        let light = Light::draw(&mut random);
        let mut part = Part {
            scale,
            centre,
            turn: [cosine, sine],
            holes: holes(&mut random),
            flaw: Flaw::None,
            light,
            albedo: 1.0 + 0.035 * random.normal(),
            groove: random.between(0.8, 1.25),
            texture: [random.between(0.0, 2000.0), random.between(0.0, 64.0)],
            noise: random.between(1.3, 2.0),
            belt: [random.next() as u32 % 4096, random.next() as u32 % 4096],
        };
        if let Some(defect) = defect {
            // A stream of its own, so that a part looks the same with and without its defect.
            part.damage(defect, &mut Random::new(seed ^ 0x000D_EFEC_7ED0, u64::from(index)));
        }
        part
    }

    fn damage(&mut self, defect: Defect, random: &mut Random) {
        match defect {
            Defect::Scratch => self.flaw = scratch(random),
            Defect::Pit => {
                let centre = on_face(random, 12.0);
                self.flaw = Flaw::Pit { centre, radius: random.between(4.5, 8.0) };
            }
            Defect::Stain => {
                let centre = on_face(random, 10.0);
                let (radius, strength) = (random.between(15.0, 27.0), random.between(0.4, 0.65));
                self.flaw = Flaw::Stain { centre, radius, strength };
            }
            Defect::MissingHole => {
                let k = random.below(HOLES);
                self.holes[k].drilled = false;
                self.flaw = Flaw::Hole(k);
            }
            Defect::MisplacedHole => {
                let k = random.below(HOLES);
                let (sine, cosine) = sin_cos_turns(random.unit());
                let distance = random.between(13.0, 18.0);
                self.holes[k].hole =
                    [self.holes[k].face[0] + distance * cosine, self.holes[k].face[1] + distance * sine];
                self.flaw = Flaw::Hole(k);
            }
            Defect::ChippedEdge | Defect::Other => {
                let (sine, cosine) = sin_cos_turns(random.unit());
                let radius = random.between(12.0, 19.0);
                let distance = size::RIM + 0.25 * radius;
                self.flaw = Flaw::Chip { centre: [distance * cosine, distance * sine], radius };
            }
        }
    }
}

impl Light {
    fn draw(random: &mut Random) -> Light {
        // The lamp hangs at the upper left, 40 degrees from the vertical, and is knocked about a little.
        let (sine, cosine) = sin_cos_turns(0.625 + 0.006 * random.normal());
        let tilt = 0.64 + 0.012 * random.normal();
        let up = (1.0 - tilt * tilt).sqrt();
        let lamp = [tilt * cosine, tilt * sine, up];
        let length = (tilt * tilt + (1.0 + up) * (1.0 + up)).sqrt();
        Light {
            lamp,
            half: [lamp[0] / length, lamp[1] / length],
            gain: 1.0 + 0.025 * random.normal(),
            slope: [0.05 + 0.012 * random.normal(), -0.03 + 0.012 * random.normal()],
        }
    }
}

/// The bolt holes, each within the drill's tolerance.
fn holes(random: &mut Random) -> [Hole; HOLES] {
    let mut holes = [Hole::default(); HOLES];
    for (k, hole) in holes.iter_mut().enumerate() {
        let (sine, cosine) = sin_cos_turns((k as f32 + 0.5) / HOLES as f32);
        let mut point =
            || [size::BOLT_CIRCLE * cosine + 0.35 * random.normal(), size::BOLT_CIRCLE * sine + 0.35 * random.normal()];
        *hole = Hole { face: point(), hole: point(), drilled: true };
    }
    holes
}

/// A point on the turned face, `margin` away from its edges and from the spot faces.
fn on_face(random: &mut Random, margin: f32) -> Point {
    // Between the holes there is always room, so that few draws are needed; the last is taken whatever it is.
    let mut point = [0.0, 0.0];
    for _ in 0..32 {
        let (sine, cosine) = sin_cos_turns(random.unit());
        let radius = random.between(size::HUB + margin, size::RIM - size::CHAMFER - margin);
        point = [radius * cosine, radius * sine];
        let clear = (0..HOLES).all(|k| {
            let (sine, cosine) = sin_cos_turns((k as f32 + 0.5) / HOLES as f32);
            let away = [point[0] - size::BOLT_CIRCLE * cosine, point[1] - size::BOLT_CIRCLE * sine];
            let reach = size::SPOT_FACE + margin;
            away[0] * away[0] + away[1] * away[1] > reach * reach
        });
        if clear {
            break;
        }
    }
    point
}

/// A slightly bent line across the face.
fn scratch(random: &mut Random) -> Flaw {
    let start = on_face(random, 6.0);
    let heading = random.unit();
    let step = random.between(13.0, 30.0);
    let bend = 0.03 * random.normal();
    let mut points = [start; 4];
    for k in 1..points.len() {
        let (sine, cosine) = sin_cos_turns(heading + bend * k as f32);
        points[k] = [points[k - 1][0] + step * cosine, points[k - 1][1] + step * sine];
    }
    Flaw::Scratch { points, half_width: random.between(1.4, 2.0), depth: random.between(0.65, 0.95) }
}
