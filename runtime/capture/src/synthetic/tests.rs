//! The rendered conveyor keeps its word: the same everywhere, true masks, defects that show.

use super::*;

fn small(seed: u64, defect_rate: f64) -> SyntheticConfig {
    SyntheticConfig { width: 320, height: 240, seed, defect_rate, ..SyntheticConfig::default() }
}

/// FNV-1a, to compare frames across architectures.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn frames(config: &SyntheticConfig, count: usize) -> Vec<(Vec<u8>, Vec<u8>, FrameMeta)> {
    let mut source = Synthetic::open(config).expect("opens");
    (0..count)
        .map(|_| {
            let lease = source.next(Duration::ZERO).expect("renders");
            (lease.view().data.to_vec(), lease.mask().expect("a mask").to_vec(), *lease.meta())
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_frames_on_every_machine() {
    let mut all = Vec::new();
    for format in [PixelFormat::Grey, PixelFormat::Rgb24] {
        for (pixels, mask, _) in frames(&SyntheticConfig { format, ..small(7, 0.8) }, 6) {
            all.extend(pixels);
            all.extend(mask);
        }
    }
    // Fails when the picture changes on purpose, too: then put the new number here, after looking at the pictures, and
    // see that x86_64 and aarch64 agree on it.
    assert_eq!(digest(&all), 7_244_172_770_939_833_644, "the rendered pixels have changed");
}

#[test]
fn other_seeds_and_other_parts_look_different() {
    let [a, b] = [1, 2].map(|seed| frames(&small(seed, 0.0), 2));
    assert_ne!(a[0].0, b[0].0);
    assert_ne!(a[0].0, a[1].0);
}

#[test]
fn good_parts_have_empty_masks_and_every_defect_shows_where_its_mask_is() {
    let mut source = Synthetic::open(&small(11, 0.0)).expect("opens");
    for (part, defect) in Defect::RENDERED.into_iter().cycle().take(18).enumerate() {
        let part = part as u32;
        source.render(part, Truth::Good);
        assert!(source.mask.iter().all(|&m| m == 0), "part {part} is good");
        let good = source.pixels.clone();
        source.render(part, Truth::Defect(defect));
        let marked = source.mask.iter().filter(|&&m| m == 255).count();
        assert!((20..4000).contains(&marked), "{defect:?} of part {part} marks {marked} pixels");
        let difference = |inside: bool| {
            let pixels = good.iter().zip(&source.pixels).zip(&source.mask);
            let chosen = pixels.filter(|(_, mask)| (**mask == 255) == inside);
            let (sum, count) =
                chosen.fold((0u64, 0u64), |(sum, n), ((a, b), _)| (sum + u64::from(a.abs_diff(*b)), n + 1));
            sum as f64 / count as f64
        };
        assert!(difference(true) > 8.0, "{defect:?} of part {part} differs by {} levels", difference(true));
        assert!(difference(false) < 0.2, "{defect:?} of part {part} leaks {} levels", difference(false));
    }
}

#[test]
fn the_share_and_the_kinds_of_defects_are_as_asked() {
    let source = Synthetic::open(&small(5, 0.25)).expect("opens");
    let truths: Vec<Truth> = (0..4000).map(|part| source.truth_of(part)).collect();
    let defects = truths.iter().filter(|truth| !truth.is_good()).count();
    assert!((900..1100).contains(&defects), "{defects} of 4000");
    for defect in Defect::RENDERED {
        let count = truths.iter().filter(|&&truth| truth == Truth::Defect(defect)).count();
        assert!((110..230).contains(&count), "{count} x {defect:?}");
    }
}

#[test]
fn a_sequence_ends_after_its_parts() {
    let mut source = Synthetic::open(&SyntheticConfig { parts: Some(2), ..small(1, 0.0) }).expect("opens");
    for part in 0..2 {
        assert_eq!(source.next(Duration::ZERO).expect("a frame").meta().part, Some(part));
    }
    assert_eq!(source.next(Duration::ZERO).err(), Some(FrameFault::EndOfStream));
    assert_eq!(source.stats().frames, 2);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let good = small(1, 0.0);
    let cases = [
        (SyntheticConfig { width: 10, ..good.clone() }, "width = 10"),
        (SyntheticConfig { defect_rate: 1.5, ..good.clone() }, "defect_rate = 1.5"),
        (SyntheticConfig { fps: Some(0.0), ..good.clone() }, "fps = 0"),
        (SyntheticConfig { format: PixelFormat::Yuyv, ..good }, "format = YUYV"),
    ];
    for (config, part) in cases {
        let error = Synthetic::open(&config).err().expect("refused").to_string();
        assert!(error.contains(part) && error.contains("expected"), "{error}");
    }
}

#[test]
fn starting_at_a_later_part_shows_the_same_parts_from_there_on() {
    let all = frames(&small(5, 0.5), 5);
    let config = SyntheticConfig { first_part: 3, parts: Some(2), ..small(5, 0.5) };
    let later = frames(&config, 2);
    assert!(all[3..].iter().map(|frame| &frame.0).eq(later.iter().map(|frame| &frame.0)));
    let mut source = Synthetic::open(&config).expect("opens");
    assert!((0..2).all(|_| source.next(Duration::ZERO).is_ok()));
    assert_eq!(source.next(Duration::ZERO).err(), Some(FrameFault::EndOfStream));
}
