//! tract-linalg's matrix micro-kernels, called directly: no dispatch, no packing behind our back, no allocation.
//!
//! A [`Tile`] computes an `mr` by `nr` block of C = A · B from a panel of A (`[k][mr]`) and a panel of B (`[k][nr]`), then
//! applies what follows (bias, residual, clamp) while the block is in registers. [`Tiles`] knows which tiles this CPU has
//! and how fast each is, measured once a process.

use crate::kernels::{Aligned, Clamp, Isa, Kernels};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;
use tract_linalg::mmm::{DynKernel, FusedKerSpec as Spec, MatMatMulKer, OutputStoreKer};

/// Floats that a micro-kernel may read past the end of a panel.
pub(crate) const PANEL_SLACK: usize = 256;

/// The largest tile, in elements.
const MAX_TILE: usize = 1024;

/// A micro-kernel for `f32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    pub name: &'static str,
    pub mr: usize,
    pub nr: usize,
    kernel: unsafe fn(&[Spec<f32>]) -> isize,
}

/// What follows the product, in this order.
#[derive(Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// One number a row, padded to whole tiles.
    pub bias: Option<&'a [f32]>,
    /// Added to C; lies as C does, at the same strides, from this index on.
    pub residual: Option<(&'a [f32], usize)>,
    pub clamp: Clamp,
}

/// Where C lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub start: usize,
    pub row: usize,
    pub col: usize,
}

impl Tile {
    fn of<const MR: usize, const NR: usize>(kernel: &'static DynKernel<MR, NR, f32>) -> Option<Tile> {
        (kernel.built && MatMatMulKer::runnable(kernel)).then(|| Tile {
            name: &kernel.name,
            mr: MR,
            nr: NR,
            kernel: kernel.kernel,
        })
    }

    /// Floats of packed A for `m` rows.
    pub fn packed_len(&self, m: usize, k: usize) -> usize {
        m.div_ceil(self.mr) * self.mr * k
    }

    /// Packs A, where `at(row, depth)` is an element.
    pub fn pack_a(&self, m: usize, k: usize, at: impl Fn(usize, usize) -> f32) -> Aligned<f32> {
        let mut packed = Aligned::zeroed(self.packed_len(m, k) + PANEL_SLACK);
        self.pack_a_into(&mut packed, m, k, at);
        packed
    }

    /// As [`Tile::pack_a`], into memory that is there.
    pub fn pack_a_into(&self, packed: &mut [f32], m: usize, k: usize, at: impl Fn(usize, usize) -> f32) {
        pack(packed, self.mr, m, k, at);
    }

    /// Packs B, where `at(depth, column)` is an element.
    pub fn pack_b_into(&self, packed: &mut [f32], n: usize, k: usize, at: impl Fn(usize, usize) -> f32) {
        pack(packed, self.nr, n, k, |column, depth| at(depth, column));
    }

    /// A bias padded to whole tiles.
    #[cfg(test)]
    fn pad_rows(&self, values: &[f32]) -> Aligned<f32> {
        let mut padded = Aligned::zeroed(values.len().div_ceil(self.mr) * self.mr);
        padded[..values.len()].copy_from_slice(values);
        padded
    }

    /// C = epilogue(A · B) for `m` rows and the `n` columns of the panels in `b`.
    ///
    /// # Panics
    /// When a slice is too short.
    #[allow(clippy::too_many_arguments)] // a matrix product has these
    pub fn multiply(
        &self,
        [m, n, k]: [usize; 3],
        a: &[f32],
        b: &[f32],
        c: &mut [f32],
        target: Target,
        epilogue: &Epilogue,
    ) {
        let (rows, cols) = (m.div_ceil(self.mr), n.div_ceil(self.nr));
        assert!(a.len() >= rows * self.mr * k + PANEL_SLACK && b.len() >= cols * self.nr * k + PANEL_SLACK);
        let extent = (m - 1) * target.row + (n - 1) * target.col;
        assert!(target.start + extent < c.len());
        assert!(epilogue.residual.is_none_or(|(r, at)| at + extent < r.len()));
        assert!(epilogue.bias.is_none_or(|b| b.len() >= rows * self.mr));
        for row in 0..rows {
            for col in 0..cols {
                let (i, j) = (row * self.mr, col * self.nr);
                let whole = i + self.mr <= m && j + self.nr <= n;
                let offset = i * target.row + j * target.col;
                let bias = epilogue.bias.map_or(std::ptr::null(), |b| b[i..].as_ptr());
                let pa = a[row * self.mr * k..].as_ptr().cast();
                let pb = b[col * self.nr * k..].as_ptr().cast();
                let product = Spec::AddMatMul { k, pa, pb, packing: 0 };
                if whole {
                    let store = |base: *const f32| OutputStoreKer {
                        ptr: base.cast_mut().cast(),
                        row_byte_stride: (target.row * 4) as isize,
                        col_byte_stride: (target.col * 4) as isize,
                        item_size: 4,
                    };
                    let out = store(c[target.start + offset..].as_mut_ptr());
                    let residual = epilogue.residual.map(|(r, at)| store(r[at + offset..].as_ptr()));
                    // SAFETY: the tile is whole, so it lies inside C and the residual, whose extents were checked.
                    unsafe { self.direct(product, bias, residual, epilogue.clamp, out) };
                } else {
                    let size = [(m - i).min(self.mr), (n - j).min(self.nr)];
                    let at = Target { start: target.start + offset, ..target };
                    let residual = epilogue.residual.map(|(r, from)| &r[from + offset..]);
                    // SAFETY: the panels and the bias were checked; the tile is stored to a block of its own.
                    unsafe { self.part(product, bias, residual, epilogue.clamp, c, at, size) };
                }
            }
        }
    }

    /// # Safety
    /// The panels hold a whole tile; the bias is null or holds `mr`; both stores may be accessed for a whole tile.
    unsafe fn direct(
        &self,
        product: Spec<f32>,
        bias: *const f32,
        residual: Option<OutputStoreKer>,
        clamp: Clamp,
        out: OutputStoreKer,
    ) {
        let mut specs = [Spec::Done; 8];
        specs[0] = Spec::Clear;
        specs[1] = product;
        let mut next = 2;
        let mut push = |spec| {
            specs[next] = spec;
            next += 1;
        };
        if !bias.is_null() {
            push(Spec::PerRowAdd(bias));
        }
        if let Some(residual) = residual {
            push(Spec::AddUnicast(residual));
        }
        if clamp.low > f32::NEG_INFINITY {
            push(Spec::ScalarMax(clamp.low));
        }
        if clamp.high < f32::INFINITY {
            push(Spec::ScalarMin(clamp.high));
        }
        push(Spec::Store(out));
        // SAFETY: the caller's promises; the specs end with Done.
        unsafe { (self.kernel)(&specs) };
    }

    /// A tile that reaches over C's edge: stored to a block of its own, from which what exists is taken.
    ///
    /// # Safety
    /// The panels hold a whole tile; the bias is null or holds `mr`.
    #[allow(clippy::too_many_arguments)] // as `multiply`
    unsafe fn part(
        &self,
        product: Spec<f32>,
        bias: *const f32,
        residual: Option<&[f32]>,
        clamp: Clamp,
        c: &mut [f32],
        target: Target,
        [rows, cols]: [usize; 2],
    ) {
        let mut block = Block([0.0; MAX_TILE]);
        let store = OutputStoreKer {
            ptr: block.0.as_mut_ptr().cast(),
            row_byte_stride: (self.nr * 4) as isize,
            col_byte_stride: 4,
            item_size: 4,
        };
        // SAFETY: the block holds the largest tile; the rest is the caller's promise.
        unsafe { self.direct(product, bias, None, Clamp::NONE, store) };
        for i in 0..rows {
            for j in 0..cols {
                let offset = i * target.row + j * target.col;
                let value = block.0[i * self.nr + j] + residual.map_or(0.0, |r| r[offset]);
                c[target.start + offset] = value.max(clamp.low).min(clamp.high);
            }
        }
    }
}

#[repr(align(64))]
struct Block([f32; MAX_TILE]);

fn pack(packed: &mut [f32], lanes: usize, count: usize, k: usize, at: impl Fn(usize, usize) -> f32) {
    for (panel, out) in packed.chunks_exact_mut(lanes * k).take(count.div_ceil(lanes)).enumerate() {
        let first = panel * lanes;
        for (depth, row) in out.chunks_exact_mut(lanes).enumerate() {
            for (lane, value) in row.iter_mut().enumerate() {
                *value = if first + lane < count { at(first + lane, depth) } else { 0.0 };
            }
        }
    }
}

/// The tiles of an instruction set, and its other kernels.
pub(crate) struct Tiles {
    pub kernels: Kernels,
    f32: Vec<Tile>,
}

impl Tiles {
    /// The `f32` tiles that the instruction set of `kernels` has.
    pub fn new(kernels: Kernels) -> Tiles {
        Tiles { f32: f32_tiles(kernels.isa()), kernels }
    }

    /// The tile that is fastest for a product of this size, by measured speed and by how much of its edge tiles is used.
    pub fn pick(&self, m: usize, n: usize, k: usize) -> Tile {
        let cost = |tile: &Tile| {
            let speed = Speed::of(tile);
            let calls = (m.div_ceil(tile.mr) * n.div_ceil(tile.nr)) as f64;
            let gather = n.div_ceil(tile.nr) as f64 * k as f64 * GATHER_NS;
            calls * (speed.call_ns + speed.depth_ns * k as f64) + gather
        };
        let best = self.f32.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        *best.unwrap_or_else(|| unreachable!("the portable tile is always there"))
    }
}

/// What copying one row of a panel costs, roughly.
const GATHER_NS: f64 = 0.4;

/// Time of one tile: `call_ns + depth_ns * k`.
#[derive(Clone, Copy, Debug)]
struct Speed {
    call_ns: f64,
    depth_ns: f64,
}

impl Speed {
    /// Measured once a process for each tile, on panels in the first-level cache.
    fn of(tile: &Tile) -> Speed {
        static SPEEDS: OnceLock<Mutex<HashMap<&'static str, Speed>>> = OnceLock::new();
        let speeds = SPEEDS.get_or_init(Default::default);
        let mut speeds = speeds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *speeds.entry(tile.name).or_insert_with(|| Speed::measure(tile))
    }

    fn measure(tile: &Tile) -> Speed {
        const SHORT: usize = 32;
        const LONG: usize = 160;
        let a = tile.pack_a(tile.mr, LONG, |_, _| 1.0);
        let b: Aligned<f32> = Aligned::zeroed(tile.nr * LONG + PANEL_SLACK);
        let mut c: Aligned<f32> = Aligned::zeroed(tile.mr * tile.nr);
        let epilogue = Epilogue { bias: None, residual: None, clamp: Clamp::NONE };
        let mut time = |k: usize| {
            let mut best = f64::INFINITY;
            for _ in 0..12 {
                let start = Instant::now();
                for _ in 0..16 {
                    let target = Target { start: 0, row: tile.nr, col: 1 };
                    tile.multiply([tile.mr, tile.nr, k], &a, &b, &mut c, target, &epilogue);
                }
                best = best.min(start.elapsed().as_nanos() as f64 / 16.0);
            }
            best
        };
        let (short, long) = (time(SHORT), time(LONG));
        let depth_ns = ((long - short) / (LONG - SHORT) as f64).max(0.01);
        Speed { depth_ns, call_ns: (short - depth_ns * SHORT as f64).max(0.0) }
    }
}

/// The tiles to choose from. Older levels stay in, since a narrow one of theirs may fit a small matrix better.
fn f32_tiles(isa: Isa) -> Vec<Tile> {
    let mut tiles: Vec<Option<Tile>> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        use tract_linalg::x86_64::mmm as x86;
        if isa >= Isa::Avx2 {
            tiles.extend([
                Tile::of(&*x86::fma_mmm_f32_16x6),
                Tile::of(&*x86::fma_mmm_f32_24x4),
                Tile::of(&*x86::fma_mmm_f32_8x8),
                Tile::of(&*x86::fma_mmm_f32_40x2),
            ]);
        }
        if isa >= Isa::Avx512 {
            tiles.extend([
                Tile::of(&*x86::avx512_mmm_f32_32x6),
                Tile::of(&*x86::avx512_mmm_f32_16x12),
                Tile::of(&*x86::avx512_mmm_f32_16x8),
                Tile::of(&*x86::avx512_mmm_f32_48x4),
                Tile::of(&*x86::avx512_mmm_f32_16x1),
            ]);
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        use tract_linalg::arm64::*;
        if isa >= Isa::Neon {
            tiles.extend([
                Tile::of(&*arm64simd_mmm_f32_8x8_gen),
                Tile::of(&*arm64simd_mmm_f32_12x8_gen),
                Tile::of(&*arm64simd_mmm_f32_16x4_gen),
                Tile::of(&*arm64simd_mmm_f32_24x4_gen),
            ]);
        }
    }
    let mut tiles: Vec<Tile> = tiles.into_iter().flatten().collect();
    if tiles.is_empty() {
        let _ = isa;
        tiles.extend(Tile::of(&*tract_linalg::generic::mmm::generic_f32_4x4));
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tile: &Tile, [m, n, k]: [usize; 3]) {
        let a_at = |i: usize, p: usize| ((i * 7 + p * 3) % 11) as f32 - 5.0;
        let b_at = |p: usize, j: usize| ((p * 5 + j * 2) % 13) as f32 - 6.0;
        let a = tile.pack_a(m, k, a_at);
        let mut b = Aligned::zeroed(n.div_ceil(tile.nr) * tile.nr * k + PANEL_SLACK);
        tile.pack_b_into(&mut b, n, k, b_at);
        let bias = tile.pad_rows(&(0..m).map(|i| i as f32).collect::<Vec<_>>());
        let residual: Vec<f32> = (0..m * n).map(|i| (i % 17) as f32).collect();
        let clamp = Clamp { low: -40.0, high: 60.0 };
        let mut c = vec![f32::NAN; m * n];
        let epilogue = Epilogue { bias: Some(&bias), residual: Some((&residual, 0)), clamp };
        tile.multiply([m, n, k], &a, &b, &mut c, Target { start: 0, row: n, col: 1 }, &epilogue);
        for i in 0..m {
            for j in 0..n {
                let dot: f32 = (0..k).map(|p| a_at(i, p) * b_at(p, j)).sum();
                let want = (dot + i as f32 + residual[i * n + j]).clamp(clamp.low, clamp.high);
                assert_eq!(c[i * n + j], want, "{} {m}x{n}x{k} at {i},{j}", tile.name);
            }
        }
    }

    #[test]
    fn every_tile_of_every_set_multiplies() {
        for isa in Isa::list_available() {
            for tile in f32_tiles(isa) {
                for size in [[1, 1, 1], [tile.mr, tile.nr, 5], [tile.mr + 1, tile.nr * 2 + 1, 17], [3, 2, 64]] {
                    check(&tile, size);
                }
            }
        }
    }

    /// An assembler that is too old drops kernels from tract's build without a word, and tract's own choice on ARMv9 is a tier
    /// that is slower than these: ours names its tiles, and all of them have to be there.
    #[cfg(target_arch = "aarch64")]
    #[test]
    fn every_arm_tile_was_built_and_none_is_of_another_tier() {
        let tiles = f32_tiles(Isa::Neon);
        let sizes: Vec<[usize; 2]> = tiles.iter().map(|t| [t.mr, t.nr]).collect();
        assert_eq!(sizes, [[8, 8], [12, 8], [16, 4], [24, 4]], "{tiles:?}");
        assert!(tiles.iter().all(|t| t.name.starts_with("arm64simd")), "{tiles:?}");
    }
}
