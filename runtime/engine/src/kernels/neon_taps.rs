//! The inner loop of convolution on ARM, in assembly: 8 channels by up to three registers of positions.
//!
//! Twenty-four registers hold sums, three activations and two weights, and nothing else happens in the loop than the
//! multiplications, one load of activations, one of weights, and half a load of the way to the next taps. Written out because
//! compilers reload, copy and address more than that: 27 instructions a tap instead of 34 to 38.
//!
//! The text is the same for each kind of number; what differs is the multiplication and how the weights lie in registers.

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
    /// `ROWS` weights a tap.
    pub weights: *const u8,
    pub taps: usize,
}

/// A row of multiplications: one weight by each register of activations.
macro_rules! row {
    (1, $a:literal, $b:literal, $c:literal, $op:literal, $sum:literal, $x:literal, $weight:literal) => {
        concat!($op, " ", $a, $sum, ", v2", $x, ", ", $weight, "\n")
    };
    (2, $a:literal, $b:literal, $c:literal, $op:literal, $sum:literal, $x:literal, $weight:literal) => {
        concat!(row!(1, $a, $b, $c, $op, $sum, $x, $weight), $op, " ", $b, $sum, ", v3", $x, ", ", $weight, "\n")
    };
    (3, $a:literal, $b:literal, $c:literal, $op:literal, $sum:literal, $x:literal, $weight:literal) => {
        concat!(row!(2, $a, $b, $c, $op, $sum, $x, $weight), $op, " ", $c, $sum, ", v4", $x, ", ", $weight, "\n")
    };
}

/// All rows.
macro_rules! multiply {
    ($nv:tt, $op:literal, $sum:literal, $x:literal,
     [$w0:literal $w1:literal $w2:literal $w3:literal $w4:literal $w5:literal $w6:literal $w7:literal]) => {
        concat!(
            row!($nv, "v8", "v9", "v10", $op, $sum, $x, $w0),
            row!($nv, "v11", "v12", "v13", $op, $sum, $x, $w1),
            row!($nv, "v14", "v15", "v16", $op, $sum, $x, $w2),
            row!($nv, "v17", "v18", "v19", $op, $sum, $x, $w3),
            row!($nv, "v20", "v21", "v22", $op, $sum, $x, $w4),
            row!($nv, "v23", "v24", "v25", $op, $sum, $x, $w5),
            row!($nv, "v26", "v27", "v28", $op, $sum, $x, $w6),
            row!($nv, "v29", "v30", "v31", $op, $sum, $x, $w7),
        )
    };
}

/// Activations of a tap into v2 to v4, every one or every second; `x` moves on by the register `$delta`.
macro_rules! load {
    (1, 1, $t:literal, $delta:literal) => {
        concat!("ld1 {{v2", $t, "}}, [{x}], ", $delta, "\n")
    };
    (1, 2, $t:literal, $delta:literal) => {
        concat!("ld1 {{v2", $t, ", v3", $t, "}}, [{x}], ", $delta, "\n")
    };
    (1, 3, $t:literal, $delta:literal) => {
        concat!("ld1 {{v2", $t, ", v3", $t, ", v4", $t, "}}, [{x}], ", $delta, "\n")
    };
    (2, 1, $t:literal, $delta:literal) => {
        concat!("ld2 {{v2", $t, ", v3", $t, "}}, [{x}], ", $delta, "\n")
    };
    (2, 2, $t:literal, $delta:literal) => {
        concat!("add {t}, {x}, #32\n", load!(2, 1, $t, $delta), "ld2 {{v3", $t, ", v4", $t, "}}, [{t}]\n")
    };
    (2, 3, $t:literal, $delta:literal) => {
        concat!(
            "add {t}, {x}, #32\n",
            load!(2, 1, $t, $delta),
            "ld2 {{v3",
            $t,
            ", v4",
            $t,
            "}}, [{t}], #32\n",
            "ld2 {{v4",
            $t,
            ", v5",
            $t,
            "}}, [{t}]\n"
        )
    };
}

/// The loop over pairs of taps and the odd one: `$first` and `$second` multiply, `$more` loads weights between the two.
macro_rules! walk {
    ($sums:ident, $walk:ident, $stride:tt, $nv:tt, $t:literal, $more:literal, $first:expr, $second:expr) => {
        asm!(
            "lsr {n}, {taps}, #1 /* {t} */",
            "cbz {n}, 3f",
            "2:",
            "ldp {d0}, {d1}, [{deltas}], #16",
            "ldp q0, q1, [{w}], #32",
            load!($stride, $nv, $t, "{d0}"),
            $first,
            $more,
            load!($stride, $nv, $t, "{d1}"),
            $second,
            "subs {n}, {n}, #1",
            "b.ne 2b",
            "3:",
            "tbz {taps}, #0, 4f",
            "mov {d0}, #0",
            "ldp q0, q1, [{w}]",
            load!($stride, $nv, $t, "{d0}"),
            $first,
            "4:",
            n = out(reg) _,
            t = out(reg) _,
            d0 = out(reg) _,
            d1 = out(reg) _,
            taps = in(reg) $walk.taps,
            deltas = inout(reg) $walk.deltas => _,
            x = inout(reg) $walk.src => _,
            w = inout(reg) $walk.weights => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
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

/// The six shapes of one kind of number.
macro_rules! shapes {
    ($(#[$docs:meta])* $name:ident, $register:ty, $t:literal, $op:literal, $sum:literal, $x:literal, $more:literal,
     $first:tt, $second:tt) => {
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
                    (1, 1) => walk!(sums, walk, 1, 1, $t, $more, multiply!(1, $op, $sum, $x, $first), multiply!(1, $op, $sum, $x, $second)),
                    (1, 2) => walk!(sums, walk, 1, 2, $t, $more, multiply!(2, $op, $sum, $x, $first), multiply!(2, $op, $sum, $x, $second)),
                    (1, _) => walk!(sums, walk, 1, 3, $t, $more, multiply!(3, $op, $sum, $x, $first), multiply!(3, $op, $sum, $x, $second)),
                    (_, 1) => walk!(sums, walk, 2, 1, $t, $more, multiply!(1, $op, $sum, $x, $first), multiply!(1, $op, $sum, $x, $second)),
                    (_, 2) => walk!(sums, walk, 2, 2, $t, $more, multiply!(2, $op, $sum, $x, $first), multiply!(2, $op, $sum, $x, $second)),
                    _ => walk!(sums, walk, 2, 3, $t, $more, multiply!(3, $op, $sum, $x, $first), multiply!(3, $op, $sum, $x, $second)),
                }
            }
        }
    };
}

shapes!(
    /// Adds the products of four floats a register with eight weights a tap.
    floats, float32x4_t, ".4s", "fmla", ".4s", ".4s", "ldp q0, q1, [{w}], #32",
    ["v0.s[0]" "v0.s[1]" "v0.s[2]" "v0.s[3]" "v1.s[0]" "v1.s[1]" "v1.s[2]" "v1.s[3]"],
    ["v0.s[0]" "v0.s[1]" "v0.s[2]" "v0.s[3]" "v1.s[0]" "v1.s[1]" "v1.s[2]" "v1.s[3]"]
);

shapes!(
    /// Adds the dot products of four cells of four bytes a register with eight cells of weights a tap: `sdot`.
    dots, int32x4_t, ".4s", "sdot", ".4s", ".16b", "ldp q0, q1, [{w}], #32",
    ["v0.4b[0]" "v0.4b[1]" "v0.4b[2]" "v0.4b[3]" "v1.4b[0]" "v1.4b[1]" "v1.4b[2]" "v1.4b[3]"],
    ["v0.4b[0]" "v0.4b[1]" "v0.4b[2]" "v0.4b[3]" "v1.4b[0]" "v1.4b[1]" "v1.4b[2]" "v1.4b[3]"]
);
