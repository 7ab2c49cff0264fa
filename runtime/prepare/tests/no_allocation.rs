//! A preparation takes no memory once it is planned.

use jidoka_prepare::{Align, Corrections, FrameView, Geometry, Picture, PixelFormat, Preparer, Spec};
use jidoka_test_support::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn preparing_takes_no_memory_in_any_format() {
    for format in PixelFormat::all() {
        let spec = Spec::new(Geometry::new(70, 50, format), 32, 32);
        let data = vec![100; spec.source.frame_bytes(format.packed_stride(70))];
        let (mut bytes, mut floats) = (vec![0; spec.target_len()], vec![0.0; spec.target_len()]);
        let mut preparer = Preparer::new(&spec).expect("a valid spec");
        let view = FrameView::packed(&data, 70, 50, format);
        let short = FrameView { data: &data[1..], ..view };
        let before = allocations();
        for _ in 0..3 {
            preparer.write_u8(&view, &mut bytes).expect("prepares");
            preparer.write_f32(&view, &mut floats).expect("prepares");
            assert!(preparer.write_u8(&short, &mut bytes).is_err());
        }
        assert_eq!(allocations() - before, 0, "allocations for {format}");
    }
    let before = allocations();
    drop(vec![1u8; 3]);
    assert_eq!(allocations() - before, 1, "the counter counts");
}

#[test]
fn correcting_takes_no_memory() {
    let spec = Spec::new(Geometry::new(96, 64, PixelFormat::Yuyv), 32, 32);
    let pixel = |x: usize, y: usize| if (20..60).contains(&x) && (10..40).contains(&y) { 180 } else { 60 };
    let data = (0..64 * 96).map(|at| pixel(at % 96, at / 96)).collect();
    let template = Picture { width: 96, height: 64, format: PixelFormat::Grey, data };
    let white = Picture { data: vec![200; 96 * 64], ..template.clone() };
    let frame: Vec<u8> = template.data.iter().flat_map(|&luma| [luma, 128]).collect();
    let align = Align { template, max_shift_px: 8, max_degrees: 4.0, least_match: 0.0 };
    let corrections = Corrections { white: Some(white), align: Some(align) };
    let mut preparer = Preparer::corrected(&spec, &corrections).expect("a plan");
    let (mut bytes, mut floats) = (vec![0; spec.target_len()], vec![0.0; spec.target_len()]);
    let view = FrameView::packed(&frame, 96, 64, PixelFormat::Yuyv);
    let before = allocations();
    for _ in 0..3 {
        preparer.write_u8(&view, &mut bytes).expect("prepares");
        preparer.write_f32(&view, &mut floats).expect("prepares");
    }
    assert_eq!(allocations() - before, 0);
}
