//! Which sizes and rates a format has.

use v4l::v4l_sys::{v4l2_fract, v4l2_frmivalenum, v4l2_frmsizeenum};

use super::device::Camera;
use super::formats::Code;
use super::sys::{self, Zeroed};

/// A size, or a range of sizes, of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeInfo {
    /// `640x480`, or `16x16 to 1920x1080 in steps of 2x2`.
    pub size: String,
    /// Frames a second at that size (of a range, at its largest), as `30` or `1 to 60`; empty where the driver does not say.
    pub rates: Vec<String>,
}

const DISCRETE: u32 = 1;
/// Most entries that are asked for: a driver that never says stop must not keep us for ever.
const MOST: u32 = 256;

impl Camera {
    /// The sizes of a format, with their rates.
    pub(super) fn sizes(&self, code: Code) -> Vec<SizeInfo> {
        let pixel_format = u32::from_le_bytes(code);
        (0..MOST)
            .map_while(|index| {
                let mut entry = v4l2_frmsizeenum { index, pixel_format, ..v4l2_frmsizeenum::zeroed() };
                self.node.ioctl(sys::ENUM_FRAMESIZES, &mut entry).ok()?;
                // SAFETY: both variants are plain integers, written by the kernel or zero.
                let (discrete, steps) = unsafe { (entry.__bindgen_anon_1.discrete, entry.__bindgen_anon_1.stepwise) };
                if entry.type_ == DISCRETE {
                    let size = format!("{}x{}", discrete.width, discrete.height);
                    return Some(SizeInfo { size, rates: self.rates(pixel_format, discrete.width, discrete.height) });
                }
                let size = format!(
                    "{}x{} to {}x{} in steps of {}x{}",
                    steps.min_width,
                    steps.min_height,
                    steps.max_width,
                    steps.max_height,
                    steps.step_width,
                    steps.step_height
                );
                Some(SizeInfo { size, rates: self.rates(pixel_format, steps.max_width, steps.max_height) })
            })
            .collect()
    }

    /// The sizes of a format in one line.
    pub(super) fn size_list(&self, code: Code) -> String {
        self.sizes(code).into_iter().map(|info| info.size).collect::<Vec<_>>().join(", ")
    }

    fn rates(&self, pixel_format: u32, width: u32, height: u32) -> Vec<String> {
        (0..MOST)
            .map_while(|index| {
                let mut entry = v4l2_frmivalenum { index, pixel_format, width, height, ..v4l2_frmivalenum::zeroed() };
                self.node.ioctl(sys::ENUM_FRAMEINTERVALS, &mut entry).ok()?;
                // SAFETY: both variants are plain integers, written by the kernel or zero.
                let (discrete, steps) = unsafe { (entry.__bindgen_anon_1.discrete, entry.__bindgen_anon_1.stepwise) };
                // The longest interval is the lowest rate.
                Some(if entry.type_ == DISCRETE {
                    rate(discrete)
                } else {
                    format!("{} to {}", rate(steps.max), rate(steps.min))
                })
            })
            .collect()
    }
}

/// An interval as frames a second.
fn rate(interval: v4l2_fract) -> String {
    let fps = f64::from(interval.denominator) / f64::from(interval.numerator.max(1));
    let text = format!("{fps:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_said_as_rates() {
        let text = |numerator, denominator| rate(v4l2_fract { numerator, denominator });
        assert_eq!(text(1, 30), "30");
        assert_eq!(text(2, 15), "7.5");
        assert_eq!(text(1001, 30000), "29.97");
        assert_eq!(text(0, 5), "5");
    }
}
