//! What a core could do at best: loops of nothing but multiply-adds, for whoever wants to say how near a kernel comes.
//!
//! No clock here: each loop does a number of operations and says how many, and the caller times it.

use super::Isa;

/// Rounds of a loop that takes about a millisecond.
pub const PEAK_ROUNDS: usize = 100_000;

/// Multiply-adds of `f32` of an instruction set, two operations each: does `rounds` of them and says how many operations
/// that was. None where there is no such loop for it, or the CPU lacks it.
#[must_use]
pub fn burn_f32(isa: Isa, rounds: usize) -> Option<f64> {
    burn(isa, rounds, false)
}

/// As [`burn_f32`], for exact sums of products of bytes.
#[must_use]
pub fn burn_int8(isa: Isa, rounds: usize) -> Option<f64> {
    burn(isa, rounds, true)
}

#[cfg(target_arch = "x86_64")]
fn burn(isa: Isa, rounds: usize, int8: bool) -> Option<f64> {
    if !isa.available() {
        return None;
    }
    // SAFETY: the CPU has the instruction set.
    unsafe {
        match (isa, int8) {
            (Isa::Avx2, false) => Some(x86::fma256(rounds)),
            (Isa::Avx512 | Isa::Vnni, false) => Some(x86::fma512(rounds)),
            (Isa::Avx2 | Isa::Avx512, true) => Some(x86::madd256(rounds)),
            (Isa::Vnni, true) => Some(x86::vnni512(rounds)),
            _ => None,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Chains that hide the latency of two units.
    const CHAINS: usize = 12;

    #[target_feature(enable = "avx512f")]
    pub fn fma512(rounds: usize) -> f64 {
        let mut acc = [_mm512_set1_ps(1.0); CHAINS];
        let (b, c) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(1e-7)));
        for _ in 0..rounds {
            for a in &mut acc {
                *a = _mm512_fmadd_ps(*a, b, c);
            }
        }
        black_box(acc);
        (rounds * CHAINS * 32) as f64
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub fn vnni512(rounds: usize) -> f64 {
        let mut acc = [_mm512_setzero_si512(); CHAINS];
        let b = _mm512_set1_epi8(black_box(3));
        for _ in 0..rounds {
            for a in &mut acc {
                *a = _mm512_dpbusd_epi32(*a, b, b);
            }
        }
        black_box(acc);
        (rounds * CHAINS * 128) as f64
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn fma256(rounds: usize) -> f64 {
        let mut acc = [_mm256_set1_ps(1.0); CHAINS];
        let (b, c) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(1e-7)));
        for _ in 0..rounds {
            for a in &mut acc {
                *a = _mm256_fmadd_ps(*a, b, c);
            }
        }
        black_box(acc);
        (rounds * CHAINS * 16) as f64
    }

    /// Bytes as words: without VNNI, the fewest instructions for exact sums.
    #[target_feature(enable = "avx2")]
    pub fn madd256(rounds: usize) -> f64 {
        let mut acc = [_mm256_setzero_si256(); CHAINS];
        let b = _mm256_set1_epi16(black_box(3));
        for _ in 0..rounds {
            for a in &mut acc {
                // The factor depends on the sum, lest the product be taken out of the loop.
                *a = _mm256_add_epi32(*a, _mm256_madd_epi16(*a, b));
            }
        }
        black_box(acc);
        (rounds * CHAINS * 32) as f64
    }
}

#[cfg(target_arch = "aarch64")]
fn burn(isa: Isa, rounds: usize, int8: bool) -> Option<f64> {
    use std::arch::aarch64::{vdupq_n_f32, vfmaq_f32};
    use std::hint::black_box;
    /// Chains that hide the latency of two units.
    const CHAINS: usize = 16;
    if int8 || !isa.available() || isa < Isa::Neon {
        return None;
    }
    // SAFETY: the CPU has NEON.
    unsafe {
        let mut acc = [vdupq_n_f32(1.0); CHAINS];
        let (b, c) = (vdupq_n_f32(black_box(0.999)), vdupq_n_f32(black_box(1e-7)));
        for _ in 0..rounds {
            for a in &mut acc {
                *a = vfmaq_f32(c, *a, b);
            }
        }
        black_box(acc);
    }
    Some((rounds * CHAINS * 8) as f64)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn burn(_: Isa, _: usize, _: bool) -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_with_a_loop_counts_its_operations() {
        for isa in Isa::list_available() {
            for burn in [burn_f32, burn_int8] {
                let (one, two) = (burn(isa, 10), burn(isa, 20));
                assert!(one.is_none_or(|one| one > 0.0 && two == Some(2.0 * one)), "{isa}");
            }
        }
    }
}
