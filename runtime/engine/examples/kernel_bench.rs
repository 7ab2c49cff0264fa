//! How fast each kernel is on this machine, as GFLOP/s (or GOP/s for int8) and as a share of the measured peak.
//!
//! `cargo run --release -p jidoka-engine --example kernel_bench [FILTER]`
//!
//! Times are CPU time of this thread, medians over rounds in which the candidates take turns, so that a busy machine slows
//! all alike.

use jidoka_engine::kernels::{
    Aligned, Clamp, Divisor, Isa, Kernels, PEAK_ROUNDS, Queries, QueryNorm, Requantise, Window, burn_f32, burn_int8,
};
use jidoka_engine::layout::{Grid, Pads, Planes, Quads};

/// CPU time of this thread in seconds.
fn cpu_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    assert_eq!(status, 0, "clock_gettime");
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// One thing to measure: what it is called, its operations per run (two a multiply-add), whether int8, and a run of it.
struct Candidate<'a> {
    name: String,
    operations: f64,
    is_int8: bool,
    run: Box<dyn FnMut() + 'a>,
}

const ROUNDS: usize = 15;

/// Median seconds of each, taking turns.
fn measure(candidates: &mut [Candidate<'_>]) -> Vec<f64> {
    let mut seconds = vec![Vec::with_capacity(ROUNDS); candidates.len()];
    for round in 0..=ROUNDS {
        for (candidate, times) in candidates.iter_mut().zip(&mut seconds) {
            let start = cpu_seconds();
            (candidate.run)();
            let time = cpu_seconds() - start;
            // The first round warms caches and pages.
            if round > 0 {
                times.push(time);
            }
        }
    }
    for times in &mut seconds {
        times.sort_by(f64::total_cmp);
    }
    seconds.iter().map(|times| times[ROUNDS / 2]).collect()
}

/// Peaks of this core: f32 and int8, in operations per second.
struct Peak {
    f32: f64,
    int8: f64,
}

fn peak() -> Peak {
    let best = |burn: fn(Isa, usize) -> Option<f64>| {
        let once = || {
            let start = cpu_seconds();
            Some(burn(Isa::best(), PEAK_ROUNDS)? / (cpu_seconds() - start))
        };
        (0..30).filter_map(|_| once()).fold(f64::NAN, f64::max)
    };
    Peak { f32: best(burn_f32), int8: best(burn_int8) }
}

/// Numbers that are neither zero nor denormal.
fn floats(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// All bytes but -128.
fn bytes(n: usize) -> Vec<i8> {
    floats(n).into_iter().map(|x| (x * 127.0) as i8).collect()
}

fn nearest<'a>(kernels: Kernels, count: usize, rows: usize, depth: usize) -> Candidate<'a> {
    let bank = kernels.pack_bank(&floats(rows * depth), depth);
    let data = floats(count * depth);
    let mut scratch = vec![0.0; bank.scratch_len()];
    let mut least = vec![0.0; count];
    Candidate {
        name: format!("nearest f32 {count} queries, {rows} rows, {depth} features, {}", kernels.isa()),
        operations: 2.0 * (count * rows * depth) as f64,
        is_int8: false,
        run: Box::new(move || {
            let queries = Queries::matrix(&data, depth);
            kernels.nearest(&bank, &queries, QueryNorm::Add, &mut scratch, &mut least, None);
        }),
    }
}

/// `channels` planes of `size` by `size` with padding for a window.
fn planes(channels: usize, size: usize, pad: usize) -> Planes {
    Planes { channels, grid: Grid::new(size, size, Pads::all(pad)) }
}

fn depthwise<'a>(kernels: Kernels, channels: usize, size: usize, kernel: usize, stride: usize) -> Candidate<'a> {
    let window = Window::square(kernel, stride, Pads::all(kernel / 2));
    let source = planes(channels, size, kernel / 2);
    let output = planes(channels, size.div_ceil(stride), kernel / 2);
    let (src, mut dst) = (floats(source.elements()), floats(output.elements()));
    let (weights, bias) = (floats(channels * window.taps()), floats(channels));
    Candidate {
        name: format!("depthwise f32 {kernel}x{kernel} stride {stride}, {channels} @ {size}, {}", kernels.isa()),
        operations: 2.0 * (channels * window.taps() * output.grid.height * output.grid.width) as f64,
        is_int8: false,
        run: Box::new(move || {
            kernels.depthwise(&window, Clamp::RELU6, &weights, &bias, &src, &source, &mut dst, &output);
        }),
    }
}

fn conv<'a>(kernels: Kernels, from: usize, to: usize, size: usize, kernel: usize, stride: usize) -> Candidate<'a> {
    let pads = Pads::all((kernel - 1) / 2);
    let window = Window::square(kernel, stride, pads);
    let source = Planes { channels: from, grid: Grid::new(size, size, pads) };
    let room = size + 2 * pads.top - kernel;
    let height = room / stride + 1;
    let pitch = if stride == 1 { source.grid.pitch } else { height + 1 };
    let output = Planes { channels: to, grid: Grid::with_pitch(height, height, pads, pitch) };
    let (src, mut dst) = (floats(source.elements()), floats(output.elements()));
    let packed = kernels.pack_conv(&window, &source, &floats(to * from * window.taps()), &floats(to), Clamp::RELU);
    Candidate {
        name: format!("conv f32 {kernel}x{kernel} stride {stride}, {from} to {to} @ {size}, {}", kernels.isa()),
        operations: 2.0 * (to * from * window.taps() * height * height) as f64,
        is_int8: false,
        run: Box::new(move || kernels.conv(&packed, &src, None, &mut dst, &output.grid, 0..to)),
    }
}

fn winograd<'a>(kernels: Kernels, from: usize, to: usize, size: usize, kernel: usize) -> Candidate<'a> {
    let window = Window::square(kernel, 1, Pads::all(1));
    let source = planes(from, size, 1);
    let height = size + 3 - kernel;
    let output = planes(to, height, 1);
    let (src, mut dst) = (floats(source.elements()), floats(output.elements()));
    let weights = floats(to * from * window.taps());
    let packed = kernels.pack_winograd(&window, &source, &weights, &floats(to), Clamp::RELU);
    let mut scratch = vec![0.0; packed.scratch_len(&output.grid)];
    Candidate {
        name: format!("winograd f32 {kernel}x{kernel} stride 1, {from} to {to} @ {size}, {}", kernels.isa()),
        operations: 2.0 * (to * from * window.taps() * height * height) as f64,
        is_int8: false,
        run: Box::new(move || kernels.winograd(&packed, &src, None, &mut scratch, &mut dst, &output.grid)),
    }
}

fn conv_int8<'a>(kernels: Kernels, from: usize, to: usize, size: usize, kernel: usize, stride: usize) -> Candidate<'a> {
    let pads = Pads::all((kernel - 1) / 2);
    let window = Window::square(kernel, stride, pads);
    let source = Quads { channels: from, grid: Grid::new(size, size, pads) };
    let height = (size + 2 * pads.top - kernel) / stride + 1;
    let pitch = if stride == 1 { source.grid.pitch } else { height + 1 };
    let output = Quads { channels: to, grid: Grid::with_pitch(height, height, pads, pitch) };
    let (src, mut dst) = (bytes(source.bytes()), bytes(output.bytes()));
    let requantise = Requantise { scale: &vec![1e-4; to], zero: 0, low: 0, high: 127 };
    let weights = bytes(to * from * window.taps());
    let packed = kernels.pack_conv_int8(&window, &source, 0, &weights, &vec![0; to], &requantise);
    Candidate {
        name: format!("conv int8 {kernel}x{kernel} stride {stride}, {from} to {to} @ {size}, {}", kernels.isa()),
        operations: 2.0 * (to * from * window.taps() * height * height) as f64,
        is_int8: true,
        run: Box::new(move || kernels.conv_int8(&packed, &src, &mut dst, &output.grid, 0..to)),
    }
}

fn winograd_int8<'a>(kernels: Kernels, from: usize, to: usize, size: usize, kernel: usize) -> Candidate<'a> {
    let window = Window::square(kernel, 1, Pads::all(1));
    let source = Quads { channels: from, grid: planes(from, size, 1).grid };
    let height = size + 3 - kernel;
    let output = Quads { channels: to, grid: planes(to, height, 1).grid };
    let (src, mut dst) = (bytes(source.bytes()), bytes(output.bytes()));
    let requantise = Requantise { scale: &vec![1e-4; to], zero: 0, low: 0, high: 127 };
    let weights: Vec<i8> = bytes(to * from * window.taps()).into_iter().map(|w| w / 2).collect();
    let packed = kernels.pack_winograd_int8(&window, &source, 0, &weights, &vec![0; to], &requantise);
    let packed = packed.expect("small weights");
    let mut scratch = Aligned::zeroed(packed.scratch_bytes(&output.grid));
    Candidate {
        name: format!("winograd int8 {kernel}x{kernel} stride 1, {from} to {to} @ {size}, {}", kernels.isa()),
        operations: 2.0 * (to * from * window.taps() * height * height) as f64,
        is_int8: true,
        run: Box::new(move || kernels.winograd_int8(&packed, &src, &mut scratch, &mut dst, &output.grid, 0..to)),
    }
}

fn nearest_int8<'a>(kernels: Kernels, count: usize, rows: usize, depth: usize) -> Candidate<'a> {
    let queries = Quads { channels: depth, grid: Grid::new(1, count, Pads::default()) };
    let (src, mut least) = (bytes(queries.bytes()), vec![0.0; count]);
    let bank = kernels.pack_bank_int8(&queries, 0, &bytes(rows * depth), &floats(rows), &vec![-1e-3; rows]);
    Candidate {
        name: format!("nearest int8 {count} queries, {rows} rows, {depth} features, {}", kernels.isa()),
        operations: 2.0 * (count * rows * depth) as f64,
        is_int8: true,
        run: Box::new(move || kernels.nearest_int8(&bank, &src, 0..1, &mut least, None)),
    }
}

fn depthwise_int8<'a>(kernels: Kernels, channels: usize, size: usize, kernel: usize, stride: usize) -> Candidate<'a> {
    let window = Window::square(kernel, stride, Pads::all(kernel / 2));
    let source = Quads { channels, grid: planes(channels, size, kernel / 2).grid };
    let output = Quads { channels, grid: planes(channels, size.div_ceil(stride), kernel / 2).grid };
    let (src, mut dst) = (bytes(source.bytes()), bytes(output.bytes()));
    let requantise = Requantise { scale: &vec![1e-3; channels], zero: 0, low: 0, high: 127 };
    let weights = bytes(channels * window.taps());
    let packed = kernels.pack_depthwise_int8(&window, 0, &weights, &vec![0; channels], &requantise);
    Candidate {
        name: format!("depthwise int8 {kernel}x{kernel} stride {stride}, {channels} @ {size}, {}", kernels.isa()),
        operations: 2.0 * (channels * window.taps() * output.grid.height * output.grid.width) as f64,
        is_int8: true,
        run: Box::new(move || kernels.depthwise_int8(&packed, 0, &src, &source, &mut dst, &output)),
    }
}

fn pool<'a>(kernels: Kernels, channels: usize, size: usize, kernel: usize, stride: usize) -> Candidate<'a> {
    let window = Window::square(kernel, stride, Pads::default());
    let source = planes(channels, size, 0);
    let output = planes(channels, (size - kernel) / stride + 1, 0);
    let (src, mut dst) = (floats(source.elements()), floats(output.elements()));
    Candidate {
        name: format!("average pool f32 {kernel}x{kernel} stride {stride}, {channels} @ {size}, {}", kernels.isa()),
        operations: (channels * window.taps() * output.grid.height * output.grid.width) as f64,
        is_int8: false,
        run: Box::new(move || {
            let divisor = Divisor::Uniform(1.0 / window.taps() as f32);
            kernels.average_pool(&window, divisor, &src, &source, &mut dst, &output);
        }),
    }
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let peak = peak();
    println!("peak of this core: {:.1} GFLOP/s f32, {:.1} GOP/s int8", peak.f32 / 1e9, peak.int8 / 1e9);
    let mut candidates = Vec::new();
    for isa in Isa::list_available() {
        let kernels = Kernels::new(isa).expect("it is available");
        for (count, rows, depth) in [(1024, 1000, 64), (1024, 1000, 160), (784, 2000, 384)] {
            candidates.push(nearest(kernels, count, rows, depth));
            candidates.push(nearest_int8(kernels, count, rows, depth));
        }
        for (channels, size, kernel, stride) in
            [(144, 56, 3, 1), (96, 112, 3, 2), (384, 14, 3, 1), (960, 7, 3, 1), (240, 28, 5, 1), (240, 28, 5, 2)]
        {
            candidates.push(depthwise(kernels, channels, size, kernel, stride));
            candidates.push(depthwise_int8(kernels, channels, size, kernel, stride));
        }
        for (from, to, size, kernel) in
            [(64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3), (128, 256, 126, 4), (256, 384, 59, 4)]
        {
            candidates.push(winograd(kernels, from, to, size, kernel));
            if isa != Isa::Portable {
                candidates.push(winograd_int8(kernels, from, to, size, kernel));
            }
        }
        for (from, to, size, kernel, stride) in [
            (128, 128, 28, 3, 1),
            (64, 64, 56, 3, 1),
            (128, 256, 126, 4, 1),
            (256, 256, 14, 3, 1),
            (24, 144, 56, 1, 1),
            (160, 960, 7, 1, 1),
            (64, 128, 56, 3, 2),
            (3, 32, 224, 3, 2),
        ] {
            candidates.push(conv(kernels, from, to, size, kernel, stride));
            candidates.push(conv_int8(kernels, from, to, size, kernel, stride));
        }
        candidates.push(pool(kernels, 128, 56, 3, 1));
        candidates.push(pool(kernels, 128, 112, 2, 2));
    }
    candidates.retain(|c| c.name.contains(&filter));
    let seconds = measure(&mut candidates);
    for (candidate, seconds) in candidates.iter().zip(seconds) {
        let peak = if candidate.is_int8 { peak.int8 } else { peak.f32 };
        let rate = candidate.operations / seconds;
        println!("{:64} {:9.3} ms {:7.1} G/s {:4.0} %", candidate.name, seconds * 1e3, rate / 1e9, 100.0 * rate / peak);
    }
}
