//! Poses that are known are found, and what is prepared then is what the template shows.

use super::*;
use crate::{Corrections, Preparer};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
const REGION: Roi = Roi { x: 90, y: 50, width: 140, height: 140 };

/// A part with some detail on a noisy ground, turned by `degrees` about the region's centre and shifted.
fn picture(degrees: f64, shift: [f64; 2], seed: u32) -> Picture {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mut noise = seed | 1;
    let mut data = Vec::with_capacity((WIDTH * HEIGHT) as usize);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let (dx, dy) = (f64::from(x) + 0.5 - 160.0 - shift[0], f64::from(y) + 0.5 - 120.0 - shift[1]);
            let (u, v) = (cos * dx + sin * dy, cos * dy - sin * dx);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            data.push((part(u, v) + f64::from(noise >> 24) / 32.0).clamp(0.0, 255.0) as u8);
        }
    }
    Picture { width: WIDTH, height: HEIGHT, format: PixelFormat::Grey, data }
}

/// Brightness of the part at a place from its centre: a rounded plate with a notch, holes and a bar, soft edges.
fn part(u: f64, v: f64) -> f64 {
    let soft = |distance: f64| (distance + 0.5).clamp(0.0, 1.0);
    let disc = |x: f64, y: f64, r: f64| soft(r - ((u - x).powi(2) + (v - y).powi(2)).sqrt());
    let plate = soft(50.0 - u.abs()).min(soft(38.0 - v.abs()));
    let holes = disc(-30.0, -18.0, 8.0).max(disc(24.0, 14.0, 12.0)).max(disc(50.0, -38.0, 14.0));
    let bar = soft(3.0 - (v + 8.0).abs()).min(soft(20.0 - (u - 4.0).abs()));
    40.0 + 120.0 * plate * (1.0 - holes) + 60.0 * bar
}

fn corrections(max_degrees: f32, white: Option<Picture>) -> Corrections {
    let template = picture(0.0, [0.0; 2], 7);
    let align = Align { template, max_shift_px: 24, max_degrees, least_match: 0.3 };
    Corrections { white, align: Some(align) }
}

fn spec(channels: Channels) -> Spec {
    Spec { roi: Some(REGION), channels, ..Spec::new(Geometry::new(WIDTH, HEIGHT, PixelFormat::Grey), 96, 96) }
}

fn prepare(preparer: &mut Preparer, picture: &Picture) -> Vec<u8> {
    let mut out = vec![0; preparer.spec().target_len()];
    preparer.write_u8(&picture.view(), &mut out).expect("the part is found");
    out
}

fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn turned_and_shifted_parts_are_found_and_put_straight() {
    let mut preparer = Preparer::corrected(&spec(Channels::Grey), &corrections(8.0, None)).expect("a plan");
    let expected = prepare(&mut preparer, &picture(0.0, [0.0; 2], 7));
    let poses = [
        (0.0, [0.0, 0.0]),
        (0.0, [7.0, -5.0]),
        (0.0, [-20.5, 13.25]),
        (3.0, [0.0, 0.0]),
        (-7.5, [4.0, 9.0]),
        (5.3, [-18.0, -16.0]),
        (1.0, [2.5, 0.5]),
    ];
    for (index, (degrees, shift)) in poses.into_iter().enumerate() {
        let moved = picture(degrees, shift, 1000 + index as u32);
        let out = prepare(&mut preparer, &moved);
        let pose = preparer.pose().expect("it aligns");
        println!("{degrees} {shift:?}: {pose}");
        assert!((f64::from(pose.degrees) - degrees).abs() < 0.8, "{degrees} {shift:?}: {pose}");
        assert!((f64::from(pose.dx_px) - shift[0]).abs() < 0.9, "{degrees} {shift:?}: {pose}");
        assert!((f64::from(pose.dy_px) - shift[1]).abs() < 0.9, "{degrees} {shift:?}: {pose}");
        let mut plain = Preparer::new(&spec(Channels::Grey)).expect("a plan");
        let (aligned, straight) =
            (mean_difference(&out, &expected), mean_difference(&prepare(&mut plain, &moved), &expected));
        assert!(aligned < 4.0 && (straight < 4.0 || aligned < straight / 2.0), "{aligned} against {straight}");
    }
}

#[test]
fn bytes_and_floats_agree_and_colour_is_kept() {
    let corrections = corrections(4.0, None);
    let mut grey = Preparer::corrected(&spec(Channels::Grey), &corrections).expect("a plan");
    let mut rgb = Preparer::corrected(&spec(Channels::Rgb), &corrections).expect("a plan");
    let moved = picture(2.0, [5.0, -6.0], 3);
    let (bytes, colour) = (prepare(&mut grey, &moved), prepare(&mut rgb, &moved));
    assert!(colour.chunks(3).zip(&bytes).all(|(pixel, value)| pixel == [*value; 3]));
    let mut floats = vec![0.0; rgb.spec().target_len()];
    rgb.write_f32(&moved.view(), &mut floats).expect("the part is found");
    for (at, value) in bytes.iter().enumerate() {
        for plane in 0..3 {
            assert_eq!((floats[plane * bytes.len() + at] * 255.0).round(), f32::from(*value));
        }
    }
}

#[test]
fn a_frame_without_the_part_is_none_to_judge() {
    let mut preparer = Preparer::corrected(&spec(Channels::Grey), &corrections(4.0, None)).expect("a plan");
    let mut out = vec![0; preparer.spec().target_len()];
    let blank = Picture { data: vec![90; (WIDTH * HEIGHT) as usize], ..picture(0.0, [0.0; 2], 1) };
    let far = picture(0.0, [110.0, 90.0], 1);
    for frame in [&blank, &far] {
        let error = preparer.write_u8(&frame.view(), &mut out).expect_err("no part here");
        assert!(matches!(error, FrameError::NoPart { least: 30, .. }), "{error}");
    }
    prepare(&mut preparer, &picture(0.0, [1.0, 1.0], 5));
}

#[test]
fn what_cannot_align_is_refused() {
    type Change = fn(&mut Align);
    let with = |change: Change| {
        let mut corrections = corrections(4.0, None);
        corrections.align.as_mut().map(change);
        Preparer::corrected(&spec(Channels::Grey), &corrections).err().map(|error| error.to_string())
    };
    let cases: [(Change, &str); 6] = [
        (|align| align.template.data.fill(100), "no edges"),
        (|align| align.template.width = 64, "64x240"),
        (|align| align.template.data.truncate(9), "not a whole"),
        (|align| align.max_degrees = f32::NAN, "0 to 45"),
        (|align| align.least_match = 1.5, "0 to 1"),
        (|align| align.max_shift_px = 90, "a third"),
    ];
    for (change, words) in cases {
        let text = with(change).unwrap_or_default();
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
}

#[test]
fn uneven_light_is_evened_before_the_part_is_looked_for() {
    let shade = |picture: &Picture| {
        let data = picture.data.iter().enumerate().map(|(at, &value)| {
            let x = at as f64 % f64::from(WIDTH) / f64::from(WIDTH);
            (f64::from(value) * (1.0 - 0.6 * x)).round() as u8
        });
        Picture { data: data.collect(), ..picture.clone() }
    };
    let white = shade(&Picture { data: vec![240; (WIDTH * HEIGHT) as usize], ..picture(0.0, [0.0; 2], 1) });
    let mut corrections = corrections(4.0, Some(white));
    corrections.align.iter_mut().for_each(|align| align.template = shade(&align.template));
    let mut preparer = Preparer::corrected(&spec(Channels::Grey), &corrections).expect("a plan");
    let expected = prepare(&mut preparer, &shade(&picture(0.0, [0.0; 2], 7)));
    let moved = prepare(&mut preparer, &shade(&picture(2.0, [15.0, 4.0], 9)));
    assert!(mean_difference(&moved, &expected) < 4.0, "{}", mean_difference(&moved, &expected));
}
