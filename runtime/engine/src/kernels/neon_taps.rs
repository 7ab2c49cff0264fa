//! The inner loop of convolution on ARM, in assembly: 8 channels by up to three registers of positions.
//!
//! Twenty-four registers hold sums, four activations and four weights, and nothing else happens in the loop than the
//! multiplications, one load of activations a tap, and for two taps one load of weights and one of the way to the next. Written
//! out because compilers reload, copy and address more than that: 26.5 instructions a tap instead of 34 to 38.
//!
//! The text is the same for each kind of number; what differs is the multiplication.

use std::arch::aarch64::*;
use std::arch::asm;

/// Channels of a tile, and the most registers of positions.
pub(super) const ROWS: usize = 8;
pub(super) const MOST_VECTORS: usize = 3;

/// What the loop walks over.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    /// Activations under the first tap.
    pub src: *const u8,
    /// Bytes from each tap's activations to the next one's; as many as there are taps, the last of no meaning.
    pub deltas: *const isize,
    /// The same where it is always the same, for loops that say so.
    pub step: isize,
    /// The tile's weights, tap by tap.
    pub weights: *const u8,
    pub taps: usize,
}

/// A row of multiplications: one weight by each register of activations.
macro_rules! row {
    (1, $a:literal, $b:literal, $c:literal, $op:literal, $sum:literal, $x:literal, $($weight:literal),*) => {
        concat!($op, " ", $a, $sum, ", v0", $x, ", ", $($weight,)* "\n")
    };
    (2, $a:literal, $b:literal, $c:literal, $op:literal, $sum:literal, $x:literal, $($weight:literal),*) => {
        concat!(
            row!(1, $a, $b, $c, $op, $sum, $x, $($weight),*),
            $op, " ", $b, $sum, ", v1", $x, ", ", $($weight,)* "\n"
        )
    };
    (3, $a:literal, $b:literal, $c:literal, $op:literal, $sum:literal, $x:literal, $($weight:literal),*) => {
        concat!(
            row!(2, $a, $b, $c, $op, $sum, $x, $($weight),*),
            $op, " ", $c, $sum, ", v2", $x, ", ", $($weight,)* "\n"
        )
    };
}

/// All rows: four weights in each of two registers.
macro_rules! multiply {
    ($nv:tt, $op:literal, $sum:literal, $x:literal, $w0:literal, $w1:literal, $lane:literal) => {
        concat!(
            row!($nv, "v8", "v9", "v10", $op, $sum, $x, $w0, $lane, "[0]"),
            row!($nv, "v11", "v12", "v13", $op, $sum, $x, $w0, $lane, "[1]"),
            row!($nv, "v14", "v15", "v16", $op, $sum, $x, $w0, $lane, "[2]"),
            row!($nv, "v17", "v18", "v19", $op, $sum, $x, $w0, $lane, "[3]"),
            row!($nv, "v20", "v21", "v22", $op, $sum, $x, $w1, $lane, "[0]"),
            row!($nv, "v23", "v24", "v25", $op, $sum, $x, $w1, $lane, "[1]"),
            row!($nv, "v26", "v27", "v28", $op, $sum, $x, $w1, $lane, "[2]"),
            row!($nv, "v29", "v30", "v31", $op, $sum, $x, $w1, $lane, "[3]"),
        )
    };
}

/// Activations of a tap into v0 to v2, every one or every second; `x` moves on by the register `$delta`.
macro_rules! load {
    (1, 1, $delta:literal) => {
        concat!("ld1 {{v0.4s}}, [{x}], ", $delta, "\n")
    };
    (1, 2, $delta:literal) => {
        concat!("ld1 {{v0.4s, v1.4s}}, [{x}], ", $delta, "\n")
    };
    (1, 3, $delta:literal) => {
        concat!("ld1 {{v0.4s, v1.4s, v2.4s}}, [{x}], ", $delta, "\n")
    };
    (2, 1, $delta:literal) => {
        concat!("ld2 {{v0.4s, v1.4s}}, [{x}], ", $delta, "\n")
    };
    (2, 2, $delta:literal) => {
        concat!("add {t}, {x}, #32\n", load!(2, 1, $delta), "ld2 {{v1.4s, v2.4s}}, [{t}]\n")
    };
    (2, 3, $delta:literal) => {
        concat!(
            "add {t}, {x}, #32\n",
            load!(2, 1, $delta),
            "ld2 {{v1.4s, v2.4s}}, [{t}], #32\n",
            "ld2 {{v2.4s, v3.4s}}, [{t}]\n"
        )
    };
}

/// The way to the next two taps, from the table.
macro_rules! table {
    () => {
        "ldp {d0}, {d1}, [{deltas}], #16\n"
    };
}

/// Two taps: the way to the next two, the weights of both, and for each its activations and multiplications.
macro_rules! two_taps {
    ($stride:tt, $nv:tt, $next:expr, $op:literal, $sum:literal, $x:literal, $lane:literal) => {
        concat!(
            $next,
            "ld1 {{v4.4s, v5.4s, v6.4s, v7.4s}}, [{w}], #64\n",
            load!($stride, $nv, "{d0}"),
            multiply!($nv, $op, $sum, $x, "v4", "v5", $lane),
            load!($stride, $nv, "{d1}"),
            multiply!($nv, $op, $sum, $x, "v6", "v7", $lane),
        )
    };
}

/// The loop over taps, four in a turn, and what is left over.
macro_rules! walk {
    ($sums:ident, $walk:ident, $stride:tt, $nv:tt, $next:expr, $op:literal, $sum:literal, $x:literal, $lane:literal) => {
        asm!(
            "lsr {n}, {taps}, #2 /* {t} */",
            "cbz {n}, 3f",
            "2:",
            two_taps!($stride, $nv, $next, $op, $sum, $x, $lane),
            two_taps!($stride, $nv, $next, $op, $sum, $x, $lane),
            "subs {n}, {n}, #1",
            "b.ne 2b",
            "3:",
            "tbz {taps}, #1, 4f",
            two_taps!($stride, $nv, $next, $op, $sum, $x, $lane),
            "4:",
            "tbz {taps}, #0, 5f",
            "mov {d0}, #0",
            "ldp q4, q5, [{w}]",
            load!($stride, $nv, "{d0}"),
            multiply!($nv, $op, $sum, $x, "v4", "v5", $lane),
            "5:",
            n = out(reg) _,
            t = out(reg) _,
            d0 = inout(reg) $walk.step => _,
            d1 = inout(reg) $walk.step => _,
            taps = in(reg) $walk.taps,
            deltas = inout(reg) $walk.deltas => _,
            x = inout(reg) $walk.src => _,
            w = inout(reg) $walk.weights => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            inout("v8") $sums[0][0], inout("v9") $sums[0][1], inout("v10") $sums[0][2],
            inout("v11") $sums[1][0], inout("v12") $sums[1][1], inout("v13") $sums[1][2],
            inout("v14") $sums[2][0], inout("v15") $sums[2][1], inout("v16") $sums[2][2],
            inout("v17") $sums[3][0], inout("v18") $sums[3][1], inout("v19") $sums[3][2],
            inout("v20") $sums[4][0], inout("v21") $sums[4][1], inout("v22") $sums[4][2],
            inout("v23") $sums[5][0], inout("v24") $sums[5][1], inout("v25") $sums[5][2],
            inout("v26") $sums[6][0], inout("v27") $sums[6][1], inout("v28") $sums[6][2],
            inout("v29") $sums[7][0], inout("v30") $sums[7][1], inout("v31") $sums[7][2],
            options(readonly, nostack),
        )
    };
}

/// The six shapes of one kind of number: the multiplication, and how it names sums, activations and lanes of weights.
macro_rules! shapes {
    ($(#[$docs:meta])* $name:ident, $register:ty, $op:literal, $sum:literal, $x:literal, $lane:literal) => {
        $(#[$docs])*
        ///
        /// # Safety
        /// The walk's taps, weights and activations exist, [`SLACK_CELLS`](crate::layout::SLACK_CELLS) of the latter past
        /// the last; the CPU has the instruction.
        #[inline(always)]
        pub(super) unsafe fn $name<const NV: usize, const STRIDE: usize>(sums: &mut [[$register; 3]; ROWS], walk: Walk) {
            // SAFETY: the caller's; the loop reads what the walk names and changes only the registers it lists.
            unsafe {
                match (STRIDE, NV) {
                    (1, 1) => walk!(sums, walk, 1, 1, table!(), $op, $sum, $x, $lane),
                    (1, 2) => walk!(sums, walk, 1, 2, table!(), $op, $sum, $x, $lane),
                    (1, _) => walk!(sums, walk, 1, 3, table!(), $op, $sum, $x, $lane),
                    (_, 1) => walk!(sums, walk, 2, 1, table!(), $op, $sum, $x, $lane),
                    (_, 2) => walk!(sums, walk, 2, 2, table!(), $op, $sum, $x, $lane),
                    _ => walk!(sums, walk, 2, 3, table!(), $op, $sum, $x, $lane),
                }
            }
        }
    };
}

shapes!(
    /// Adds the products of four floats a register with eight weights a tap.
    floats, float32x4_t, "fmla", ".4s", ".4s", ".s"
);

shapes!(
    /// Adds the dot products of four cells of four bytes a register with eight cells of weights a tap: `sdot`.
    dots, int32x4_t, "sdot", ".4s", ".16b", ".4b"
);

/// As [`floats`] at stride 1, for at most two registers of positions whose taps lie `walk.step` apart; `walk.deltas` is not
/// read.
///
/// # Safety
/// As [`floats`].
#[inline(always)]
pub(super) unsafe fn floats_evenly<const NV: usize>(sums: &mut [[float32x4_t; 3]; ROWS], walk: Walk) {
    // SAFETY: the caller's; the loop reads what the walk names and changes only the registers it lists.
    unsafe {
        match NV {
            1 => walk!(sums, walk, 1, 1, "/* {deltas} */\n", "fmla", ".4s", ".4s", ".s"),
            _ => walk!(sums, walk, 1, 2, "/* {deltas} */\n", "fmla", ".4s", ".4s", ".s"),
        }
    }
}
