//! The table of kernels: which function runs for each operation on the chosen instruction set.

use super::nearest;
use super::{Isa, IsaError};

/// The kernels of one instruction set that this CPU has.
#[derive(Clone, Copy)]
pub struct Kernels {
    isa: Isa,
    pub(super) nearest_cores: nearest::Cores,
}

/// Compiles the generic bodies for one instruction set into a module with a `table` function.
macro_rules! compile {
    ($module:ident, $simd:ty, $rows:literal x $quads:literal quads, $(#[$attribute:meta])*) => {
        mod $module {
            use super::*;
            use crate::kernels::simd::Simd;

            $(#[$attribute])*
            unsafe fn least(d: usize, p: *const f32, q: *const f32, b: *mut f32, r: *mut f32, n: f32) {
                // SAFETY: the caller's contract is the body's; the attribute brings the instruction set.
                unsafe { nearest::tile::<$simd, $rows, $quads, false>(d, p, q, b, r, n) }
            }

            $(#[$attribute])*
            unsafe fn least_with_index(d: usize, p: *const f32, q: *const f32, b: *mut f32, r: *mut f32, n: f32) {
                // SAFETY: as above.
                unsafe { nearest::tile::<$simd, $rows, $quads, true>(d, p, q, b, r, n) }
            }

            pub(super) fn table(isa: Isa) -> Kernels {
                let lanes = <$simd as Simd>::LANES;
                Kernels {
                    isa,
                    nearest_cores: nearest::Cores {
                        tile: nearest::Tile { rows: $rows * lanes, queries: 4 * $quads, lanes },
                        least,
                        least_with_index,
                    },
                }
            }
        }
    };
}

compile!(portable, crate::kernels::portable::Portable, 2 x 1 quads,);
#[cfg(target_arch = "x86_64")]
compile!(avx2, crate::kernels::x86_avx2::Avx2, 3 x 1 quads, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
compile!(avx512, crate::kernels::x86_avx512::Avx512, 2 x 3 quads,
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]);
#[cfg(target_arch = "aarch64")]
compile!(neon, crate::kernels::neon::Neon, 2 x 3 quads, #[target_feature(enable = "neon")]);

impl Kernels {
    /// The kernels of `isa`.
    ///
    /// # Errors
    /// [`IsaError::Lacking`] where this CPU does not have it.
    pub fn new(isa: Isa) -> Result<Kernels, IsaError> {
        let table = match isa.checked()? {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::table(isa),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => avx512::table(isa),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::Dotprod | Isa::Fp16 | Isa::I8mm => neon::table(isa),
            _ => portable::table(isa),
        };
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
