//! Puts the kernel's test camera (vivid) through its paces on the virtual board, and writes down what came of it. It judges
//! nothing: the host's test does.
//!
//! `board-camera UNPLUGS REBINDS`. /dev/video0 is a single-planar webcam, video1 a multi-planar one, video2 has an HDMI input,
//! which can crop.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use jidoka_capture::{Camera, FrameFault, FrameSource, Memory, PixelFormat, Roi, V4l2Config, V4l2Source};
use jidoka_prepare::{Preparer, Spec};
use jidoka_tests::reference;
use jidoka_tests::unplug::{PATIENCE, Result, by_control, by_unbinding, by_unbinding_the_stations};
use serde_json::{Value, json};

const SINGLE: &str = "/dev/video0";
const MULTI: &str = "/dev/video1";
const CROPS: &str = "/dev/video2";
const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
/// Pixels along the side of the boxes that are compared.
const BOX: usize = 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let unplugs = arguments.next().transpose()?.unwrap_or(20);
    let rebinds = arguments.next().transpose()?.unwrap_or(10);
    let mut formats = table(SINGLE)?;
    formats.extend(table(MULTI)?);
    formats.extend(table_apart()?);
    let report = json!({
        "formats": formats,
        "offered": Camera::open(Path::new(SINGLE))?.formats().iter().map(|format| json!({
            "code": format.code, "sizes": format.sizes.iter().map(|s| json!([s.size, s.rates])).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "damaged": damaged()?,
        "export": export()?,
        "heap": heap(),
        "crop": crop(),
        "refusals": refusals()?,
        "unplugs": by_control(&config(SINGLE, PixelFormat::Yuyv, 0), unplugs)?,
        "rebinds": by_unbinding(&config(SINGLE, PixelFormat::Yuyv, 0), rebinds)?,
        "station": by_unbinding_the_stations(rebinds)?,
    });
    fs::write("/share/camera.json", serde_json::to_vec_pretty(&report)?)?;
    Ok(())
}

/// 75 % colour bars without text; bars are 80 pixels wide, so that no chroma sample crosses an edge.
fn config(device: &str, format: PixelFormat, quantization: i64) -> V4l2Config {
    let controls = [("test_pattern", 0), ("osd_text_mode", 2), ("quantization", quantization)];
    let controls = controls.map(|(name, value)| (name.to_string(), value)).to_vec();
    V4l2Config { size: Some((WIDTH, HEIGHT)), format: Some(format), controls, ..V4l2Config::new(device) }
}

/// Every format of a device that can be prepared, with full and limited range where that means something.
fn table(device: &str) -> Result<Vec<Value>> {
    let offered = Camera::open(Path::new(device))?.formats();
    let mut rows = Vec::new();
    for format in PixelFormat::all().filter(|format| offered.iter().any(|info| info.format == Some(*format))) {
        use PixelFormat as P;
        let is_yuv = matches!(format, P::Yuyv | P::Uyvy | P::Nv12 | P::Nv21 | P::Yu12);
        let ranges: &[(i64, &str)] = if is_yuv { &[(1, "full"), (2, "limited")] } else { &[(1, "full")] };
        for &(quantization, range) in ranges {
            let row = match compare(device, format, quantization) {
                Ok(row) => row,
                Err(error) => json!({ "error": error.to_string() }),
            };
            println!("{device} {format} {range}: {row}");
            rows.push(json!({ "device": device, "format": format.name(), "range": range, "found": row }));
        }
    }
    Ok(rows)
}

/// The formats that have a buffer a plane as well.
fn table_apart() -> Result<Vec<Value>> {
    let mut rows = Vec::new();
    for format in [PixelFormat::Nv12, PixelFormat::Nv21, PixelFormat::Yu12] {
        for (quantization, range) in [(1, "full"), (2, "limited")] {
            let config = V4l2Config { planes_apart: true, ..config(MULTI, format, quantization) };
            let row = compare_config(&config).unwrap_or_else(|error| json!({ "error": error.to_string() }));
            println!("{MULTI} {format} {range}, planes apart: {row}");
            rows.push(json!({ "device": MULTI, "format": format.name(), "range": range, "found": row }));
        }
    }
    Ok(rows)
}

/// One frame, prepared by the product, against the reference conversion of the same frame, and against what the driver
/// shows as RGB24.
fn compare(device: &str, format: PixelFormat, quantization: i64) -> Result<Value> {
    compare_config(&config(device, format, quantization))
}

fn compare_config(wanted: &V4l2Config) -> Result<Value> {
    let driver = {
        let device = wanted.device.to_str().ok_or("a path")?;
        let mut source = V4l2Source::open(&config(device, PixelFormat::Rgb24, 1))?;
        let encoding = source.geometry().encoding;
        let lease = source.next(PATIENCE)?;
        reference::boxes(&lease.view(), encoding, BOX)
    };
    let mut source = V4l2Source::open(wanted)?;
    let geometry = source.geometry();
    let (width, height) = (WIDTH / BOX as u32, HEIGHT / BOX as u32);
    let mut preparer = Preparer::new(&Spec::new(geometry, width, height))?;
    let mut out = vec![0; preparer.spec().target_len()];
    let lease = source.next(PATIENCE)?;
    preparer.write_u8(&lease.view(), &mut out)?;
    let own = reference::boxes(&lease.view(), geometry.encoding, BOX);
    // vivid makes grey formats from BT.709 luma, whatever the colour space.
    let luma = |[r, g, b]: [f64; 3]| [0.2126 * r + 0.7152 * g + 0.0722 * b; 3];
    let driver: Vec<[f64; 3]> =
        if geometry.format.is_color() { driver } else { driver.into_iter().map(luma).collect() };
    Ok(json!({
        "reference": largest(&out, &own), "driver": largest(&out, &driver), "planes": lease.view().chroma.is_some(),
        "age_us": jidoka_capture::monotonic_now().saturating_sub(lease.meta().captured_at).as_micros() as u64,
    }))
}

fn largest(out: &[u8], expected: &[[f64; 3]]) -> f64 {
    let differences = out.iter().zip(expected.iter().flatten()).map(|(got, want)| (f64::from(*got) - want).abs());
    differences.fold(0.0, f64::max)
}

/// A frame that the driver marks is told as damaged, and the stream goes on.
fn damaged() -> Result<Value> {
    let mut source = V4l2Source::open(&config(SINGLE, PixelFormat::Yuyv, 0))?;
    source.next(PATIENCE)?;
    source.camera().set_control("inject_v4l2_buf_flag_error", 1)?;
    let told = (0..30).any(|_| matches!(source.next(PATIENCE), Err(FrameFault::Damaged { .. })));
    let goes_on = (0..30).any(|_| source.next(PATIENCE).is_ok());
    Ok(json!({ "told": told, "goes_on": goes_on, "counted": source.stats().damaged }))
}

/// Exported buffers hold the frame that the mapped ones hold.
fn export() -> Result<Value> {
    let mut source = V4l2Source::open(&config(SINGLE, PixelFormat::Yuyv, 0))?;
    let exported = source.export()?;
    let (buffers, planes) = (exported.len(), exported.first().map_or(0, Vec::len));
    let monotonic = source.stamps_monotonic();
    let lease = source.next(PATIENCE)?;
    let bytes = lease.view().needed_bytes();
    let frame = &lease.view().data[..bytes];
    // Which buffer the lease is of is not told; one of them shows these bytes.
    let same = exported.iter().flatten().any(|fd| mapped(fd.as_raw_fd(), bytes).is_some_and(|copy| copy == frame));
    Ok(json!({ "buffers": buffers, "planes": planes, "same": same, "monotonic": monotonic }))
}

fn mapped(fd: i32, bytes: usize) -> Option<Vec<u8>> {
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    // SAFETY: the descriptor is open for as long as its owner is borrowed by the caller.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    // SAFETY: a new read-only mapping at an address of the kernel's choice.
    let start = unsafe { mmap(std::ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::SHARED, fd, 0) }.ok()?;
    // SAFETY: the mapping has `bytes` bytes; the buffer is dequeued, so that the driver leaves it alone.
    let copy = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), bytes) }.to_vec();
    // SAFETY: the mapping is ours and nobody borrows it any more.
    let _ = unsafe { munmap(start, bytes) };
    Some(copy)
}

/// Buffers of a DMA heap, where the kernel has one.
fn heap() -> Value {
    let config = V4l2Config { memory: Memory::DmaHeap, ..config(SINGLE, PixelFormat::Yuyv, 1) };
    let run = || -> Result<f64> {
        let mut source = V4l2Source::open(&config)?;
        let geometry = source.geometry();
        let (width, height) = (WIDTH / BOX as u32, HEIGHT / BOX as u32);
        let mut preparer = Preparer::new(&Spec::new(geometry, width, height))?;
        let mut out = vec![0; preparer.spec().target_len()];
        let mut worst: f64 = 0.0;
        for _ in 0..10 {
            let lease = source.next(PATIENCE)?;
            preparer.write_u8(&lease.view(), &mut out)?;
            worst = worst.max(largest(&out, &reference::boxes(&lease.view(), geometry.encoding, BOX)));
        }
        Ok(worst)
    };
    match run() {
        Ok(worst) => json!({ "there": true, "reference": worst }),
        Err(error) => {
            json!({ "there": Path::new("/dev/dma_heap").exists(), "error": error.to_string() })
        }
    }
}

/// A part of the sensor is read out alone, and one that does not fit is refused.
fn crop() -> Value {
    let run = || -> Result<Value> {
        let bounds = Camera::open(Path::new(CROPS))?.crop_bounds().ok_or("it cannot crop")?;
        let crop = Roi { x: 64, y: 32, width: bounds.width / 2, height: bounds.height / 2 };
        let config = V4l2Config { crop: Some(crop), format: Some(PixelFormat::Yuyv), ..V4l2Config::new(CROPS) };
        let mut source = V4l2Source::open(&config)?;
        let got = source.next(PATIENCE)?.view().width;
        let now = source.camera().crop().ok_or("no crop")?;
        drop(source);
        let outside = Roi { x: bounds.width, y: 0, ..crop };
        let refused = V4l2Source::open(&V4l2Config { crop: Some(outside), ..config }).err();
        Ok(json!({
            "asked": [crop.x, crop.y, crop.width, crop.height], "now": [now.x, now.y, now.width, now.height],
            "frame_width": got, "outside": refused.map(|error| error.to_string()),
        }))
    };
    run().unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// What a camera does not have is refused in words.
fn refusals() -> Result<Value> {
    let base = config(SINGLE, PixelFormat::Yuyv, 0);
    let with = |name: &str, value: i64| V4l2Config { controls: vec![(name.into(), value)], ..base.clone() };
    let cases = [
        ("control", with("brightness", 100_000)),
        ("no-control", with("brightnes", 1)),
        ("size", V4l2Config { size: Some((641, 361)), ..base.clone() }),
        ("crop", V4l2Config { crop: Some(Roi { x: 0, y: 0, width: 64, height: 64 }), ..base.clone() }),
        ("missing", V4l2Config::new("/dev/video77")),
        ("not-a-camera", V4l2Config::new("/dev/null")),
    ];
    let text = |config: &V4l2Config| V4l2Source::open(config).err().map(|error| error.to_string());
    Ok(cases
        .iter()
        .map(|(name, config)| ((*name).to_string(), json!(text(config))))
        .collect::<serde_json::Map<_, _>>()
        .into())
}
