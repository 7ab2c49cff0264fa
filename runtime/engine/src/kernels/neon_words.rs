//! The 16-bit products of ARMv8.0: `smlal`, four of a cell's channels at a time.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::Neon;
use super::winograd_int8_tiles::Words;

/// Three channels by a panel of eight tiles: 24 of 32 registers hold sums.
pub(crate) struct NeonWords;

impl Words for NeonWords {
    type S = Neon;
    const ROWS: usize = 3;

    #[inline(always)]
    unsafe fn rows_in(rows: [*const i8; 6], to: *mut i16, step: usize, cells: usize) {
        for x in (0..4 * cells).step_by(16) {
            // SAFETY: the trait's.
            unsafe {
                let d = rows.map(|row| vld1q_s8(row.add(x)));
                let low = into_numbers(d.map(|d| vmovl_s8(vget_low_s8(d))));
                let high = into_numbers(d.map(|d| vmovl_high_s8(d)));
                for (i, (low, high)) in low.into_iter().zip(high).enumerate() {
                    vst1q_s16(to.add(i * step + x), low);
                    vst1q_s16(to.add(i * step + x + 8), high);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tiles_in<const SIZE: usize>(row: *const i16, to: *mut i16, step: usize) {
        for half in 0..2 {
            // SAFETY: the trait's.
            unsafe {
                let (row, to) = (row.add(2 * half * SIZE * 4), to.add(8 * half));
                let pair = |j: usize| vcombine_s16(vld1_s16(row.add(j * 4)), vld1_s16(row.add((SIZE + j) * 4)));
                for (j, number) in into_numbers([0, 1, 2, 3, 4, 5].map(pair)).into_iter().enumerate() {
                    vst1q_s16(to.add(j * step), number);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn product(depth: usize, weights: *const i16, cells: *const i16, sums: *mut i32, pitch: usize) {
        // SAFETY: the trait's; the loop reads what it is given and changes only the registers it lists.
        unsafe {
            // For each channel and tile, four sums to be added in the end.
            let mut acc = [[vdupq_n_s32(0); 8]; 3];
            asm!(
                "2:",
                "ldp q0, q1, [{x}], #32",
                "ldp q2, q3, [{x}], #32",
                "ld3r {{v4.2d, v5.2d, v6.2d}}, [{w}], #24",
                "smlal v8.4s, v0.4h, v4.4h",
                "smlal2 v9.4s, v0.8h, v4.8h",
                "smlal v10.4s, v1.4h, v4.4h",
                "smlal2 v11.4s, v1.8h, v4.8h",
                "smlal v12.4s, v2.4h, v4.4h",
                "smlal2 v13.4s, v2.8h, v4.8h",
                "smlal v14.4s, v3.4h, v4.4h",
                "smlal2 v15.4s, v3.8h, v4.8h",
                "smlal v16.4s, v0.4h, v5.4h",
                "smlal2 v17.4s, v0.8h, v5.8h",
                "smlal v18.4s, v1.4h, v5.4h",
                "smlal2 v19.4s, v1.8h, v5.8h",
                "smlal v20.4s, v2.4h, v5.4h",
                "smlal2 v21.4s, v2.8h, v5.8h",
                "smlal v22.4s, v3.4h, v5.4h",
                "smlal2 v23.4s, v3.8h, v5.8h",
                "smlal v24.4s, v0.4h, v6.4h",
                "smlal2 v25.4s, v0.8h, v6.8h",
                "smlal v26.4s, v1.4h, v6.4h",
                "smlal2 v27.4s, v1.8h, v6.8h",
                "smlal v28.4s, v2.4h, v6.4h",
                "smlal2 v29.4s, v2.8h, v6.8h",
                "smlal v30.4s, v3.4h, v6.4h",
                "smlal2 v31.4s, v3.8h, v6.8h",
                "subs {n}, {n}, #1",
                "b.ne 2b",
                n = inout(reg) depth => _,
                x = inout(reg) cells => _,
                w = inout(reg) weights => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                inout("v8") acc[0][0], inout("v9") acc[0][1], inout("v10") acc[0][2], inout("v11") acc[0][3],
                inout("v12") acc[0][4], inout("v13") acc[0][5], inout("v14") acc[0][6], inout("v15") acc[0][7],
                inout("v16") acc[1][0], inout("v17") acc[1][1], inout("v18") acc[1][2], inout("v19") acc[1][3],
                inout("v20") acc[1][4], inout("v21") acc[1][5], inout("v22") acc[1][6], inout("v23") acc[1][7],
                inout("v24") acc[2][0], inout("v25") acc[2][1], inout("v26") acc[2][2], inout("v27") acc[2][3],
                inout("v28") acc[2][4], inout("v29") acc[2][5], inout("v30") acc[2][6], inout("v31") acc[2][7],
                options(readonly, nostack),
            );
            for (r, row) in acc.into_iter().enumerate() {
                let [a, b, c, d, e, f, g, h] = row;
                vst1q_s32(sums.add(r * pitch), vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
                vst1q_s32(sums.add(r * pitch + 4), vpaddq_s32(vpaddq_s32(e, f), vpaddq_s32(g, h)));
            }
        }
    }
}

/// `B^T d` of six vectors of words.
#[inline(always)]
unsafe fn into_numbers(d: [int16x8_t; 6]) -> [int16x8_t; 6] {
    // SAFETY: no pointer is involved.
    unsafe {
        let four = vdupq_n_s16(4);
        let (a, b) = (vmlsq_s16(d[4], d[2], four), vmlsq_s16(d[3], d[1], four));
        let (c, e) = (vsubq_s16(d[4], d[2]), vsubq_s16(d[3], d[1]));
        let e = vaddq_s16(e, e);
        [
            vsubq_s16(vmlaq_s16(a, d[0], four), d[2]),
            vaddq_s16(a, b),
            vsubq_s16(a, b),
            vaddq_s16(c, e),
            vsubq_s16(c, e),
            // d5 - 5 d3 + 4 d1
            vsubq_s16(vmlsq_s16(d[5], vsubq_s16(d[3], d[1]), four), d[3]),
        ]
    }
}
