//! What a session may be told.

use crate::Error;

/// How a [`Session`](crate::Session) is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Worker threads that share each step, at least 1. The results do not depend on it.
    pub threads: usize,
    /// Refuse a model that has a node without a static step, since such a node allocates while it runs.
    pub strict: bool,
    /// The instruction set to use; `None` takes the best there is, or what `JIDOKA_ISA` names.
    pub isa: Option<Isa>,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: 1, strict: false, isa: None }
    }
}

/// A family of kernels. The order is that of preference within an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust; the reference that the others are tested against.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL and DQ.
    Avx512,
    /// AVX-512 with the int8 dot product (VNNI).
    Vnni,
    /// 64-bit ARM with NEON (ARMv8.0: Cortex-A72, Raspberry Pi 4).
    Neon,
    /// NEON with the int8 dot product (Cortex-A76, Raspberry Pi 5).
    Dotprod,
    /// Dot product and half-precision arithmetic.
    Fp16,
    /// Int8 matrix multiply (Cortex-A78AE does not have it; ARMv8.6 does).
    I8mm,
}

impl Isa {
    /// All families, in the order of preference within an architecture.
    pub const ALL: [Isa; 8] =
        [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Vnni, Isa::Neon, Isa::Dotprod, Isa::Fp16, Isa::I8mm];

    /// The name that `JIDOKA_ISA` and reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Vnni => "vnni",
            Isa::Neon => "neon",
            Isa::Dotprod => "dotprod",
            Isa::Fp16 => "fp16",
            Isa::I8mm => "i8mm",
        }
    }

    /// Whether this CPU has it.
    #[must_use]
    pub fn available(self) -> bool {
        if self == Isa::Portable {
            return true;
        }
        detect(self)
    }

    /// The most capable family of this CPU.
    #[must_use]
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.available()).unwrap_or(Isa::Portable)
    }

    /// The families that this CPU has, by name.
    #[must_use]
    pub fn names_available() -> String {
        let names: Vec<_> = Isa::ALL.into_iter().filter(|isa| isa.available()).map(Isa::name).collect();
        names.join(", ")
    }

    /// What a session uses: the option, else `JIDOKA_ISA`, else the best.
    pub(crate) fn resolve(option: Option<Isa>) -> Result<Isa, Error> {
        let fail = |asked: &str| Error::Isa { asked: asked.to_string(), available: Isa::names_available() };
        let asked = match option {
            Some(isa) => Some(isa),
            None => match std::env::var("JIDOKA_ISA") {
                Ok(name) if !name.is_empty() => {
                    Some(Isa::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| fail(&name))?)
                }
                _ => None,
            },
        };
        match asked {
            None => Ok(Isa::best()),
            Some(isa) if isa.available() => Ok(isa),
            Some(isa) => Err(fail(isa.name())),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detect(isa: Isa) -> bool {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq");
    match isa {
        Isa::Avx2 => avx2,
        Isa::Avx512 => avx512,
        Isa::Vnni => avx512 && is_x86_feature_detected!("avx512vnni"),
        _ => false,
    }
}

#[cfg(target_arch = "aarch64")]
fn detect(isa: Isa) -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    let dotprod = has!("dotprod");
    match isa {
        Isa::Neon => has!("neon"),
        Isa::Dotprod => dotprod,
        Isa::Fp16 => dotprod && has!("fp16"),
        Isa::I8mm => dotprod && has!("fp16") && has!("i8mm"),
        _ => false,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect(_: Isa) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_of_another_architecture_is_refused_by_name() {
        let absent = if cfg!(target_arch = "x86_64") { Isa::Neon } else { Isa::Avx2 };
        let text = Isa::resolve(Some(absent)).unwrap_err().to_string();
        assert!(text.contains(absent.name()) && text.contains("portable"), "{text}");
    }

    #[test]
    fn the_best_family_is_available() {
        assert!(Isa::best().available());
        assert_eq!(Isa::resolve(Some(Isa::Portable)).unwrap(), Isa::Portable);
    }
}
