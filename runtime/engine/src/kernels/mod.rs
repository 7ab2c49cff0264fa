//! The kernels: free functions over slices, one implementation per instruction set, chosen once.
//!
//! What lives here: the arithmetic of the steps that tract-linalg has no (good) kernel for. What must not: graphs, plans,
//! tract types, allocation after packing. [`Kernels`] is the table of the functions chosen for one instruction set; its
//! methods check every bound against the slices and then call the unsafe core, so they are safe to call with anything.
//!
//! Most bodies are written once over [`simd::Simd`] and compiled per instruction set; those that live from a special
//! instruction (`vpdpbusd`, `sdot`, `smmla`) stand in that set's own file. Each is tested against a plain definition beside
//! it, on every instruction set that the CPU has.
//!
//! Relies on: [`crate::layout`] for how activations lie in memory and how far past a grid may be read.

mod aligned;
#[cfg(test)]
mod check;
mod conv;
mod conv_int8;
#[cfg(test)]
mod conv_int8_tests;
mod depthwise;
mod depthwise_int8;
#[cfg(test)]
mod digest_tests;
mod elementwise_int8;
mod isa;
mod moves_int8;
mod nearest;
mod nearest_int8;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_conv;
#[cfg(target_arch = "aarch64")]
mod neon_dotprod;
#[cfg(target_arch = "aarch64")]
mod neon_i8mm;
#[cfg(target_arch = "aarch64")]
mod neon_int8;
#[cfg(target_arch = "aarch64")]
mod neon_pairs;
#[cfg(target_arch = "aarch64")]
mod neon_taps;
#[cfg(all(test, target_arch = "aarch64"))]
mod neon_tests;
#[cfg(target_arch = "aarch64")]
mod neon_words;
mod peak;
mod pool;
mod pool_int8;
mod portable;
mod reduce;
mod resize;
mod simd;
mod table;
mod window;
#[cfg(test)]
mod window_tests;
mod winograd;
mod winograd_int8;
mod winograd_int8_tiles;
mod winograd_tiles;
#[cfg(target_arch = "x86_64")]
mod x86_avx2;
#[cfg(target_arch = "x86_64")]
mod x86_avx2_int8;
#[cfg(target_arch = "x86_64")]
mod x86_avx2_words;
#[cfg(target_arch = "x86_64")]
mod x86_avx512;
#[cfg(target_arch = "x86_64")]
mod x86_vnni;

pub(crate) use aligned::recast;
pub use aligned::{Aligned, Number};
pub use conv::Conv;
pub use conv_int8::{ConvInt8, Requantise};
pub use depthwise::Clamp;
pub use depthwise_int8::DepthwiseInt8;
pub use elementwise_int8::{Bytes, Scale};
pub use isa::{ISA_VARIABLE, Isa, IsaError};
pub use moves_int8::{Blend, Table, linear_resize_int8, map_int8, nearest_resize_int8};
pub use nearest::{Bank, Queries, QueryNorm, Tile};
pub use nearest_int8::BankInt8;
pub use peak::{PEAK_ROUNDS, burn_f32, burn_int8};
pub use pool::Divisor;
pub use resize::{Axis, RESIZE_SLACK};
pub use table::Kernels;
pub use window::Window;
pub use winograd::Winograd;
pub use winograd_int8::WinogradInt8;
