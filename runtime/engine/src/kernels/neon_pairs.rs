//! The inner loop of int8 convolution on ARMv8.0, in assembly: 4 channels by up to two registers of four positions.
//!
//! Two products fit into 16 bits unless all factors are -128, so the products of two taps are added there (`smull`, `smlal`)
//! and then pairwise into 32 bits (`sadalp`): 16 multiply-adds in three instructions. One `ld4r` brings the weights of two
//! channels and two taps, each in all lanes.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon_taps::Walk;

/// Channels of a tile.
pub(super) const ROWS: usize = 4;

/// One channel: weights of both taps in `$a` and `$b`, sums of each register's halves.
macro_rules! row {
    (1, $a:literal, $b:literal, $s0:literal, $s1:literal, $s2:literal, $s3:literal) => {
        concat!(
            "smull v8.8h, v0.8b, ",
            $a,
            ".8b\n",
            "smull2 v9.8h, v0.16b, ",
            $a,
            ".16b\n",
            "smlal v8.8h, v2.8b, ",
            $b,
            ".8b\n",
            "smlal2 v9.8h, v2.16b, ",
            $b,
            ".16b\n",
            "sadalp ",
            $s0,
            ".4s, v8.8h\n",
            "sadalp ",
            $s1,
            ".4s, v9.8h\n",
        )
    };
    (2, $a:literal, $b:literal, $s0:literal, $s1:literal, $s2:literal, $s3:literal) => {
        concat!(
            "smull v8.8h, v0.8b, ",
            $a,
            ".8b\n",
            "smull2 v9.8h, v0.16b, ",
            $a,
            ".16b\n",
            "smull v10.8h, v1.8b, ",
            $a,
            ".8b\n",
            "smull2 v11.8h, v1.16b, ",
            $a,
            ".16b\n",
            "smlal v8.8h, v2.8b, ",
            $b,
            ".8b\n",
            "smlal2 v9.8h, v2.16b, ",
            $b,
            ".16b\n",
            "smlal v10.8h, v3.8b, ",
            $b,
            ".8b\n",
            "smlal2 v11.8h, v3.16b, ",
            $b,
            ".16b\n",
            "sadalp ",
            $s0,
            ".4s, v8.8h\n",
            "sadalp ",
            $s1,
            ".4s, v9.8h\n",
            "sadalp ",
            $s2,
            ".4s, v10.8h\n",
            "sadalp ",
            $s3,
            ".4s, v11.8h\n",
        )
    };
}

/// Cells of a tile under one tap, every one or every second, into registers `$a` and `$b`; `$c` is overwritten at most.
macro_rules! load {
    (1, 1, $a:literal, $b:literal, $c:literal, $delta:literal) => {
        concat!("ld1 {{", $a, ".4s}}, [{x}], ", $delta, "\n")
    };
    (1, 2, $a:literal, $b:literal, $c:literal, $delta:literal) => {
        concat!("ld1 {{", $a, ".4s, ", $b, ".4s}}, [{x}], ", $delta, "\n")
    };
    (2, 1, $a:literal, $b:literal, $c:literal, $delta:literal) => {
        concat!("ld2 {{", $a, ".4s, ", $b, ".4s}}, [{x}], ", $delta, "\n")
    };
    (2, 2, $a:literal, $b:literal, $c:literal, $delta:literal) => {
        concat!("add {t}, {x}, #32\n", load!(2, 1, $a, $b, $c, $delta), "ld2 {{", $b, ".4s, ", $c, ".4s}}, [{t}]\n")
    };
}

macro_rules! walk {
    ($sums:ident, $walk:ident, $stride:tt, $nv:tt) => {
        asm!(
            "lsr {n}, {n}, #1 /* {t} */",
            "2:",
            "ldp {d0}, {d1}, [{deltas}], #16",
            load!($stride, $nv, "v0", "v1", "v2", "{d0}"),
            load!($stride, $nv, "v2", "v3", "v4", "{d1}"),
            "ld4r {{v4.4s, v5.4s, v6.4s, v7.4s}}, [{w}], #16",
            row!($nv, "v4", "v5", "v16", "v17", "v18", "v19"),
            row!($nv, "v6", "v7", "v20", "v21", "v22", "v23"),
            "ld4r {{v4.4s, v5.4s, v6.4s, v7.4s}}, [{w}], #16",
            row!($nv, "v4", "v5", "v24", "v25", "v26", "v27"),
            row!($nv, "v6", "v7", "v28", "v29", "v30", "v31"),
            "subs {n}, {n}, #1",
            "b.ne 2b",
            t = out(reg) _,
            d0 = out(reg) _,
            d1 = out(reg) _,
            n = inout(reg) $walk.taps => _,
            deltas = inout(reg) $walk.deltas => _,
            x = inout(reg) $walk.src => _,
            w = inout(reg) $walk.weights => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            inout("v16") $sums[0][0], inout("v17") $sums[0][1], inout("v18") $sums[0][2], inout("v19") $sums[0][3],
            inout("v20") $sums[1][0], inout("v21") $sums[1][1], inout("v22") $sums[1][2], inout("v23") $sums[1][3],
            inout("v24") $sums[2][0], inout("v25") $sums[2][1], inout("v26") $sums[2][2], inout("v27") $sums[2][3],
            inout("v28") $sums[3][0], inout("v29") $sums[3][1], inout("v30") $sums[3][2], inout("v31") $sums[3][3],
            options(readonly, nostack),
        )
    };
}

/// Adds the products of four cells a register with four cells of weights a tap. A row has two sums a position, neighbours: those
/// of the first register's halves, then those of the second's. Weights lie `[tap / 2][row][tap % 2]`.
///
/// # Safety
/// The walk's taps (an even number, at least two), weights and activations exist,
/// [`SLACK_CELLS`](crate::layout::SLACK_CELLS) of the latter past the last.
#[inline(always)]
pub(super) unsafe fn pairs<const NV: usize, const STRIDE: usize>(sums: &mut [[int32x4_t; 4]; ROWS], walk: Walk) {
    // SAFETY: the caller's; the loop reads what the walk names and changes only the registers it lists.
    unsafe {
        match (STRIDE, NV) {
            (1, 1) => walk!(sums, walk, 1, 1),
            (1, _) => walk!(sums, walk, 1, 2),
            (_, 1) => walk!(sums, walk, 2, 1),
            _ => walk!(sums, walk, 2, 2),
        }
    }
}
