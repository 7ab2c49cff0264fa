//! Sampling a picture at turned and moved places: bilinear, in integers, so that every machine has the same values.

/// Fraction bits of a place.
const PLACE_BITS: u32 = 16;
/// Fraction bits of a weight; a value has twice as many.
const WEIGHT_BITS: u32 = 8;
/// One, as the sum of all four weights.
pub(crate) const ONE: u32 = 1 << (2 * WEIGHT_BITS);

/// Where the pixels of a target come from, in pixels of the picture that is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    /// Of the target's first pixel.
    pub origin: [f64; 2],
    /// From one pixel to the next in a line.
    pub across: [f64; 2],
    /// From one line to the next.
    pub down: [f64; 2],
}

/// A picture, channels side by side.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub data: &'a [u8],
    pub width: usize,
    pub height: usize,
}

/// Gives each pixel of one target line: `put(x, channels)`, values with 16 fraction bits. Places outside the picture have
/// the value of its nearest edge. `C` channels.
pub(crate) fn line<const C: usize>(
    source: Source<'_>,
    affine: &Affine,
    y: usize,
    width: usize,
    mut put: impl FnMut(usize, [u32; C]),
) {
    let fixed = |value: f64| (value * f64::from(1 << PLACE_BITS)).round() as i64;
    let mut place = [0, 1].map(|axis| fixed(affine.origin[axis]) + y as i64 * fixed(affine.down[axis]));
    let step = [0, 1].map(|axis| fixed(affine.across[axis]));
    let last = [source.width - 1, source.height - 1].map(|last| (last as i64) << PLACE_BITS);
    for x in 0..width {
        let [u, v] = [0, 1].map(|axis| place[axis].clamp(0, last[axis]) as usize);
        let (left, top) = (u >> PLACE_BITS, v >> PLACE_BITS);
        let (right, bottom) = ((left + 1).min(source.width - 1), (top + 1).min(source.height - 1));
        let fraction = |place: usize| (place >> (PLACE_BITS - WEIGHT_BITS)) as u32 & ((1 << WEIGHT_BITS) - 1);
        let (right_share, bottom_share) = (fraction(u), fraction(v));
        let (left_share, top_share) = ((1 << WEIGHT_BITS) - right_share, (1 << WEIGHT_BITS) - bottom_share);
        let pixel = |x: usize, y: usize| &source.data[(y * source.width + x) * C..][..C];
        let (a, b, c, d) = (pixel(left, top), pixel(right, top), pixel(left, bottom), pixel(right, bottom));
        let mut values = [0; C];
        for (channel, value) in values.iter_mut().enumerate() {
            let upper = u32::from(a[channel]) * left_share + u32::from(b[channel]) * right_share;
            let lower = u32::from(c[channel]) * left_share + u32::from(d[channel]) * right_share;
            *value = upper * top_share + lower * bottom_share;
        }
        put(x, values);
        place = [place[0] + step[0], place[1] + step[1]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(source: Source<'_>, affine: Affine, width: usize, height: usize) -> Vec<u8> {
        let mut out = vec![0; width * height];
        for y in 0..height {
            line::<1>(source, &affine, y, width, |x, [value]| out[y * width + x] = ((value + ONE / 2) / ONE) as u8);
        }
        out
    }

    #[test]
    fn places_are_sampled_between_pixels_and_beyond_edges() {
        let data: Vec<u8> = (0..12).map(|i| 10 * i).collect();
        let source = Source { data: &data, width: 4, height: 3 };
        let straight = Affine { origin: [0.0, 0.0], across: [1.0, 0.0], down: [0.0, 1.0] };
        assert_eq!(grey(source, straight, 4, 3), data);
        let half = Affine { origin: [0.5, 0.5], ..straight };
        assert_eq!(grey(source, half, 2, 1), [25, 35]);
        let turned = Affine { origin: [3.0, 0.0], across: [0.0, 1.0], down: [-1.0, 0.0] };
        assert_eq!(grey(source, turned, 3, 4), [30, 70, 110, 20, 60, 100, 10, 50, 90, 0, 40, 80]);
        let outside = Affine { origin: [-2.0, -9.0], ..straight };
        assert_eq!(grey(source, outside, 7, 1), [0, 0, 0, 10, 20, 30, 30]);
    }
}
