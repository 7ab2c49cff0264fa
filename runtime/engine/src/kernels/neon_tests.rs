//! Each level of ARM is recognised and has int8 kernels of its own. (What the kernels compute is tested beside them.)
//!
//! `scripts/cross nextest run` runs these under qemu-user as the CPU that `JIDOKA_CPU` names.

use super::{Isa, Kernels};

/// The best set of the CPU models that the tests are run as.
const MODELS: [(&str, Isa); 3] = [("cortex-a72", Isa::Neon), ("cortex-a76", Isa::Fp16), ("max", Isa::I8mm)];

#[test]
fn an_emulated_cpu_has_what_its_model_has() {
    let Ok(model) = std::env::var("JIDOKA_CPU") else {
        println!("skipped: JIDOKA_CPU names no model");
        return;
    };
    if let Some((_, best)) = MODELS.iter().find(|(name, _)| *name == model) {
        assert_eq!(Isa::best(), *best, "{model}");
    }
}

#[test]
fn each_level_has_int8_kernels_of_its_own() {
    let core = |isa| Kernels::new(isa).expect("it is available").conv_int8_core.run as usize;
    let mut seen: Vec<(Isa, usize)> = vec![(Isa::Portable, core(Isa::Portable))];
    for isa in [Isa::Neon, Isa::Dotprod, Isa::I8mm] {
        if isa.available() {
            let own = core(isa);
            assert!(seen.iter().all(|(_, other)| *other != own), "{isa} runs the kernels of one of {seen:x?}");
            seen.push((isa, own));
        }
    }
}
