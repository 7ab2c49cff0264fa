//! Instruction sets: which this CPU has, and how to force one.

use std::fmt;
use std::str::FromStr;

/// The environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "JIDOKA_ISA";

/// An instruction set that has kernels of its own. A level includes what the levels of its architecture before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust; runs everywhere and is slow.
    Portable,
    /// x86_64 with AVX2 and FMA.
    Avx2,
    /// x86_64 with AVX-512 F, BW, DQ and VL (Skylake-X).
    Avx512,
    /// `Avx512` with the int8 dot product (Cascade Lake, Zen 4).
    Vnni,
    /// ARMv8.0 with NEON (Cortex-A53, A72; Raspberry Pi 3 and 4).
    Neon,
    /// `Neon` with `sdot`.
    Dotprod,
    /// `Dotprod` with half-precision arithmetic (Cortex-A76, A78AE; Raspberry Pi 5, Orin).
    Fp16,
    /// `Fp16` with `smmla` (Cortex-A510, Neoverse V1 and later).
    I8mm,
}

/// Why an instruction set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The name is none of [`Isa::ALL`].
    #[error("{ISA_VARIABLE}={name}: no such instruction set; expected one of {}", names(&Isa::ALL))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// This CPU would stop with an illegal instruction.
    #[error("{ISA_VARIABLE}={isa}: this CPU does not have it; it has {}", names(&Isa::list_available()))]
    Lacking {
        /// What was asked for.
        isa: Isa,
    },
}

fn names(sets: &[Isa]) -> String {
    let names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
    names.join(", ")
}

impl Isa {
    /// Every instruction set, of all architectures.
    pub const ALL: [Isa; 8] =
        [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Vnni, Isa::Neon, Isa::Dotprod, Isa::Fp16, Isa::I8mm];

    /// The name that [`ISA_VARIABLE`] takes.
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
        self == Isa::Portable || detected(self)
    }

    /// What this CPU has, least to most capable.
    #[must_use]
    pub fn list_available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.available()).collect()
    }

    /// The most capable that this CPU has.
    #[must_use]
    pub fn best() -> Isa {
        let mut best = Isa::Portable;
        for isa in Isa::ALL {
            if isa.available() {
                best = isa;
            }
        }
        best
    }

    /// This one, if the CPU has it.
    ///
    /// # Errors
    /// [`IsaError::Lacking`] where it would be an illegal instruction.
    pub fn checked(self) -> Result<Isa, IsaError> {
        if self.available() { Ok(self) } else { Err(IsaError::Lacking { isa: self }) }
    }

    /// What [`ISA_VARIABLE`] asks for, or the best there is where it is unset or empty.
    ///
    /// # Errors
    /// [`IsaError`] where the name is unknown or the CPU lacks it.
    pub fn from_environment() -> Result<Isa, IsaError> {
        match std::env::var(ISA_VARIABLE) {
            Ok(name) if !name.is_empty() => name.parse::<Isa>()?.checked(),
            _ => Ok(Isa::best()),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detected(isa: Isa) -> bool {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match isa {
        Isa::Avx2 => avx2,
        Isa::Avx512 => avx512,
        Isa::Vnni => avx512 && is_x86_feature_detected!("avx512vnni"),
        _ => false,
    }
}

#[cfg(target_arch = "aarch64")]
fn detected(isa: Isa) -> bool {
    use std::arch::is_aarch64_feature_detected;
    let neon = is_aarch64_feature_detected!("neon");
    let dotprod = neon && is_aarch64_feature_detected!("dotprod");
    let fp16 = dotprod && is_aarch64_feature_detected!("fp16");
    match isa {
        Isa::Neon => neon,
        Isa::Dotprod => dotprod,
        Isa::Fp16 => fp16,
        Isa::I8mm => fp16 && is_aarch64_feature_detected!("i8mm"),
        _ => false,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detected(_: Isa) -> bool {
    false
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Isa, IsaError> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| IsaError::Unknown { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        let error = "sse9".parse::<Isa>().expect_err("no such set");
        assert!(error.to_string().contains("portable, avx2"), "{error}");
    }

    #[test]
    fn a_set_of_another_architecture_is_refused() {
        let foreign = if cfg!(target_arch = "x86_64") { Isa::Neon } else { Isa::Avx2 };
        let error = foreign.checked().expect_err("another architecture");
        assert!(error.to_string().contains("it has portable"), "{error}");
    }

    #[test]
    fn the_best_is_available() {
        assert!(Isa::best().available());
        assert_eq!(Isa::list_available().last(), Some(&Isa::best()));
    }
}
