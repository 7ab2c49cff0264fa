//! The table of kernels: which function runs for each operation on the chosen instruction set.

use super::window::Call;
use super::{Isa, IsaError};
use super::{
    conv, conv_int8, depthwise, depthwise_int8, elementwise_int8, nearest, nearest_int8, pool, pool_int8, reduce,
    resize, winograd, winograd_int8, winograd_int8_tiles, winograd_tiles,
};

/// The kernels of one instruction set that this CPU has.
#[derive(Clone, Copy)]
pub struct Kernels {
    isa: Isa,
    pub(super) nearest_cores: nearest::Cores,
    pub(super) conv_cores: conv::Cores,
    pub(super) conv_int8_core: conv_int8::Core,
    /// For weights that `conv_int8_core` does not take.
    pub(super) conv_int8_exact: conv_int8::Core,
    pub(super) nearest_int8_core: nearest_int8::Core,
    /// For banks that `nearest_int8_core` does not take.
    pub(super) nearest_int8_exact: nearest_int8::Core,
    pub(super) depthwise_int8_core: depthwise_int8::Core,
    /// For weights and windows that `depthwise_int8_core` does not take.
    pub(super) depthwise_int8_exact: depthwise_int8::Core,
    pub(super) depthwise_core: depthwise::Core,
    pub(super) max_pool_core: pool::Core,
    pub(super) average_pool_core: pool::Core,
    pub(super) elementwise_int8: elementwise_int8::Cores,
    pub(super) winograd_cores: winograd::Cores,
    pub(super) winograd_int8_core: winograd_int8::Core,
    /// Whether that takes less time than `conv_int8_core`.
    pub(super) winograd_int8_pays: bool,
    pub(super) resize_core: resize::Core,
    pub(super) sum_core: reduce::Core,
    pub(super) maximum_core: reduce::Core,
    pub(super) softmax_core: reduce::SoftmaxCore,
    pub(super) max_pool_int8_core: pool_int8::MaxCore,
    pub(super) average_pool_int8_core: pool_int8::AverageCore,
}

/// Compiles the generic bodies for one instruction set into a module with a `table` function.
macro_rules! compile {
    ($module:ident, $simd:ty, $rows:literal x $pairs:literal pairs, $channels:literal x $vectors:literal conv, $block:literal rows, $(#[$attribute:meta])*) => {
        mod $module {
            use super::*;
            use crate::kernels::simd::Simd;

            $(#[$attribute])*
            unsafe fn least(d: usize, p: *const f32, q: *const f32, b: *mut f32, r: *mut f32, n: f32) {
                // SAFETY: the caller's contract is the body's; the attribute brings the instruction set.
                unsafe { nearest::tile::<$simd, $rows, $pairs, false>(d, p, q, b, r, n) }
            }

            $(#[$attribute])*
            unsafe fn least_with_index(d: usize, p: *const f32, q: *const f32, b: *mut f32, r: *mut f32, n: f32) {
                // SAFETY: as above.
                unsafe { nearest::tile::<$simd, $rows, $pairs, true>(d, p, q, b, r, n) }
            }

            $(#[$attribute])*
            unsafe fn conv(call: &conv::ConvCall<'_>) {
                // SAFETY: as above.
                unsafe { conv::conv::<$simd, $channels, $vectors>(call) }
            }

            $(#[$attribute])*
            unsafe fn depthwise(call: &Call<f32, f32>, weights: &depthwise::Weights) {
                // SAFETY: as above.
                unsafe { depthwise::depthwise::<$simd, $block>(call, weights) }
            }

            $(#[$attribute])*
            unsafe fn max_pool(call: &Call<f32, f32>, factor: f32, factors: *const f32) {
                // SAFETY: as above.
                unsafe { pool::maximum::<$simd>(call, factor, factors) }
            }

            $(#[$attribute])*
            unsafe fn average_pool(call: &Call<f32, f32>, factor: f32, factors: *const f32) {
                // SAFETY: as above.
                unsafe { pool::average::<$simd>(call, factor, factors) }
            }

            $(#[$attribute])*
            unsafe fn quantise(row: &elementwise_int8::Row) {
                // SAFETY: as above.
                unsafe { elementwise_int8::quantise::<$simd>(row) }
            }

            $(#[$attribute])*
            unsafe fn dequantise(row: &elementwise_int8::Row) {
                // SAFETY: as above.
                unsafe { elementwise_int8::dequantise::<$simd>(row) }
            }

            $(#[$attribute])*
            unsafe fn rescale(row: &elementwise_int8::Row) {
                // SAFETY: as above.
                unsafe { elementwise_int8::rescale::<$simd>(row) }
            }

            $(#[$attribute])*
            unsafe fn add(row: &elementwise_int8::Row) {
                // SAFETY: as above.
                unsafe { elementwise_int8::add::<$simd>(row) }
            }

            $(#[$attribute])*
            unsafe fn max_pool_int8(call: &Call<i8, i8>) {
                // SAFETY: as above.
                unsafe { pool_int8::maximum::<$simd>(call) }
            }

            $(#[$attribute])*
            unsafe fn average_pool_int8(call: &Call<i8, i8>, factor: f32, finish: &conv_int8::Finish, zeros: i32) {
                // SAFETY: as above.
                unsafe { pool_int8::average::<$simd>(call, factor, finish, zeros) }
            }

            $(#[$attribute])*
            unsafe fn resize_row(row: &resize::Row<'_>) {
                // SAFETY: as above.
                unsafe { resize::row::<$simd>(row) }
            }

            $(#[$attribute])*
            unsafe fn sum(rows: &reduce::Rows) -> f32 {
                // SAFETY: as above.
                unsafe { reduce::sum::<$simd>(rows) }
            }

            $(#[$attribute])*
            unsafe fn maximum(rows: &reduce::Rows) -> f32 {
                // SAFETY: as above.
                unsafe { reduce::maximum::<$simd>(rows) }
            }

            $(#[$attribute])*
            unsafe fn softmax(row: *mut f32, count: usize) {
                // SAFETY: as above.
                unsafe { reduce::softmax::<$simd>(row, count) }
            }

            $(#[$attribute])*
            unsafe fn winograd(call: &winograd::WinogradCall<'_>) {
                // SAFETY: as above.
                unsafe { winograd_tiles::winograd::<$simd, $channels>(call) }
            }

            pub(super) fn table(isa: Isa) -> Kernels {
                let lanes = <$simd as Simd>::LANES;
                Kernels {
                    isa,
                    nearest_cores: nearest::Cores {
                        tile: nearest::Tile { rows: $rows * lanes, queries: 2 * $pairs, lanes },
                        least,
                        least_with_index,
                    },
                    conv_cores: conv::Cores { tile_rows: 2 * $channels, run: conv },
                    conv_int8_core: super::portable_dot::CORE,
                    conv_int8_exact: super::portable_dot::CORE,
                    nearest_int8_core: super::portable_dot::SEARCH,
                    nearest_int8_exact: super::portable_dot::SEARCH,
                    depthwise_int8_core: super::portable_dot::DEPTH,
                    depthwise_int8_exact: super::portable_dot::DEPTH,
                    depthwise_core: depthwise,
                    max_pool_core: max_pool,
                    average_pool_core: average_pool,
                    winograd_cores: winograd::Cores { tile_rows: 2 * $channels, run: winograd },
                    winograd_int8_core: super::portable_words::CORE,
                    winograd_int8_pays: false,
                    resize_core: resize_row,
                    sum_core: sum,
                    maximum_core: maximum,
                    softmax_core: softmax,
                    elementwise_int8: elementwise_int8::Cores { quantise, dequantise, rescale, add },
                    max_pool_int8_core: max_pool_int8,
                    average_pool_int8_core: average_pool_int8,
                }
            }
        }
    };
}

compile!(portable, crate::kernels::portable::Portable, 2 x 2 pairs, 1 x 2 conv, 2 rows,);
#[cfg(target_arch = "x86_64")]
compile!(avx2, crate::kernels::x86_avx2::Avx2, 2 x 3 pairs, 3 x 2 conv, 2 rows, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
compile!(avx512, crate::kernels::x86_avx512::Avx512, 3 x 4 pairs, 4 x 3 conv, 4 rows,
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]);
#[cfg(target_arch = "aarch64")]
compile!(neon, crate::kernels::neon::Neon, 2 x 6 pairs, 4 x 3 conv, 4 rows, #[target_feature(enable = "neon")]);

/// What NEON has in assembly.
#[cfg(target_arch = "aarch64")]
mod neon_assembly {
    use super::{Isa, Kernels, conv};
    use crate::kernels::neon_conv;

    #[target_feature(enable = "neon")]
    unsafe fn convolve(call: &conv::ConvCall<'_>) {
        // SAFETY: the caller's contract is the body's; the attribute brings the instruction set.
        unsafe { neon_conv::conv(call) }
    }

    pub(super) fn table(isa: Isa) -> Kernels {
        let conv_cores = conv::Cores { tile_rows: neon_conv::TILE_ROWS, run: convolve };
        Kernels { conv_cores, ..super::neon::table(isa) }
    }
}

/// Compiles the int8 kernels that live from a dot product.
macro_rules! compile_dot {
    ($module:ident, $dot:ty, $depth:ty, $(#[$attribute:meta])*) => {
        mod $module {
            use super::conv_int8::{self, Dot};
            use super::depthwise_int8::{self, Depth};
            use super::nearest_int8;

            $(#[$attribute])*
            unsafe fn run(call: &conv_int8::ConvCall<'_>) {
                // SAFETY: the caller's contract is the body's; the attribute brings the instruction set.
                unsafe { conv_int8::conv::<$dot>(call) }
            }

            $(#[$attribute])*
            unsafe fn run_depth(call: &depthwise_int8::DepthCall<'_>) {
                // SAFETY: as above.
                unsafe { depthwise_int8::depthwise::<$depth>(call) }
            }

            $(#[$attribute])*
            unsafe fn search(call: &nearest_int8::SearchCall<'_>) {
                // SAFETY: as above.
                unsafe { nearest_int8::search::<$dot>(call) }
            }

            pub(super) const SEARCH: nearest_int8::Core =
                nearest_int8::Core { packing: <$dot as Dot>::PACKING, run: search };
            pub(super) const DEPTH: depthwise_int8::Core =
                depthwise_int8::Core { packing: <$depth as Depth>::PACKING, run: run_depth };
            pub(super) const CORE: conv_int8::Core = conv_int8::Core { packing: <$dot as Dot>::PACKING, run };
        }
    };
}

compile_dot!(portable_dot, crate::kernels::portable::PortableDot, crate::kernels::depthwise_int8::PortableDepth,);
#[cfg(target_arch = "x86_64")]
compile_dot!(avx2_dot, crate::kernels::x86_avx2_int8::Avx2Dot, crate::kernels::x86_avx2_int8::Avx2Depth, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
compile_dot!(vnni_dot, crate::kernels::x86_vnni::VnniDot, crate::kernels::x86_vnni::VnniDepth,
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]);
#[cfg(target_arch = "aarch64")]
compile_dot!(neon_dot, crate::kernels::neon_int8::NeonDot, crate::kernels::neon_int8::NeonDepth, #[target_feature(enable = "neon")]);
#[cfg(target_arch = "aarch64")]
compile_dot!(dotprod_dot, crate::kernels::neon_dotprod::DotprodDot, crate::kernels::neon_dotprod::DotprodDepth, #[target_feature(enable = "neon,dotprod")]);
#[cfg(target_arch = "aarch64")]
compile_dot!(i8mm_dot, crate::kernels::neon_i8mm::I8mmDot, crate::kernels::neon_dotprod::DotprodDepth, #[target_feature(enable = "neon,dotprod,i8mm")]);

/// Compiles int8 convolution by 16-bit products.
macro_rules! compile_words {
    ($module:ident, $words:ty, $(#[$attribute:meta])*) => {
        mod $module {
            use super::winograd_int8;
            use super::winograd_int8_tiles::{self, Words};

            $(#[$attribute])*
            unsafe fn run(call: &winograd_int8::WordsCall<'_>) {
                // SAFETY: the caller's contract is the body's; the attribute brings the instruction set.
                unsafe { winograd_int8_tiles::winograd::<$words>(call) }
            }

            pub(super) const CORE: winograd_int8::Core =
                winograd_int8::Core { rows: <$words as Words>::ROWS, run };
        }
    };
}

compile_words!(portable_words, crate::kernels::winograd_int8_tiles::PortableWords,);
#[cfg(target_arch = "x86_64")]
compile_words!(avx2_words, crate::kernels::x86_avx2_words::Avx2Words, #[target_feature(enable = "avx2,fma")]);

#[cfg(target_arch = "aarch64")]
compile_words!(neon_words, crate::kernels::neon_words::NeonWords, #[target_feature(enable = "neon")]);

/// The int8 dot product kernels of an available instruction set.
fn dot(isa: Isa) -> (conv_int8::Core, depthwise_int8::Core, nearest_int8::Core) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => (avx2_dot::CORE, avx2_dot::DEPTH, avx2_dot::SEARCH),
        #[cfg(target_arch = "x86_64")]
        Isa::Vnni => (vnni_dot::CORE, vnni_dot::DEPTH, vnni_dot::SEARCH),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => (neon_dot::CORE, neon_dot::DEPTH, neon_dot::SEARCH),
        #[cfg(target_arch = "aarch64")]
        Isa::Dotprod | Isa::Fp16 => (dotprod_dot::CORE, dotprod_dot::DEPTH, dotprod_dot::SEARCH),
        #[cfg(target_arch = "aarch64")]
        Isa::I8mm => (i8mm_dot::CORE, i8mm_dot::DEPTH, i8mm_dot::SEARCH),
        _ => (portable_dot::CORE, portable_dot::DEPTH, portable_dot::SEARCH),
    }
}

impl Kernels {
    /// The kernels of `isa`.
    ///
    /// # Errors
    /// [`IsaError::Lacking`] where this CPU does not have it.
    pub fn new(isa: Isa) -> Result<Kernels, IsaError> {
        let mut table = match isa.checked()? {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::table(isa),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => avx512::table(isa),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::Dotprod | Isa::Fp16 | Isa::I8mm => neon_assembly::table(isa),
            _ => portable::table(isa),
        };
        (table.conv_int8_core, table.depthwise_int8_core, table.nearest_int8_core) = dot(isa);
        #[cfg(target_arch = "x86_64")]
        if matches!(isa, Isa::Avx2 | Isa::Avx512) {
            (table.winograd_int8_core, table.winograd_int8_pays) = (avx2_words::CORE, true);
        }
        #[cfg(target_arch = "aarch64")]
        if isa == Isa::Neon {
            (table.winograd_int8_core, table.winograd_int8_pays) = (neon_words::CORE, true);
        }
        Ok(table)
    }

    /// Whose kernels these are.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({})", self.isa)
    }
}
