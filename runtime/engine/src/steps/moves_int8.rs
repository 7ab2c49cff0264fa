//! Steps that move bytes or look them up: tables, concatenation, resampling.

use super::{Build, Context, Made, Step};
use crate::RunError;
use crate::graph::{ConcatInt8, ResizeInt8, Tap};
use crate::kernels::{Scale, Table, linear_resize_int8, map_int8, nearest_resize_int8};
use crate::layout::{LANES, Quads};
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::team::cut;

fn quads(place: &Place) -> Result<Quads, String> {
    place.quads.ok_or_else(|| format!("expected bytes, got {:?} of shape {:?}", place.dtype, place.shape))
}

/// Channels one after the other, each part by its table.
struct Concat {
    parts: Vec<(Slot, Quads, Table)>,
    to: (Slot, Quads),
}

/// The step that puts channels one behind the other.
pub(super) fn concat(concat: &ConcatInt8, inputs: &[Place], out: &Place) -> Result<Made, String> {
    let scales = inputs.iter().zip(&concat.from);
    let parts = scales.map(|(place, from)| Ok((place.slot, quads(place)?, Table::rescale(*from, concat.to))));
    let parts = parts.collect::<Result<_, String>>()?;
    Ok(Made::simple(Concat { parts, to: (out.slot, quads(out)?) }))
}

/// The step that looks each byte up.
pub(super) fn table(table: Table, input: &Place, out: &Place) -> Result<Made, String> {
    Ok(Made::simple(Concat { parts: vec![(input.slot, quads(input)?, table)], to: (out.slot, quads(out)?) }))
}

impl Step for Concat {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        let (rest, dst) = memory.split::<i8>(self.to.0);
        let mut first = 0;
        for (from, source, table) in &self.parts {
            map_int8(table, rest.read::<i8>(*from), source, dst, &self.to.1, first);
            first += source.channels;
        }
        Ok(())
    }
}

enum Taps {
    Nearest(Box<Table>, [Vec<usize>; 2]),
    Linear((Scale, Scale), [Vec<(usize, usize, f32)>; 2]),
}

struct Resample {
    taps: Taps,
    from: (Slot, Quads),
    to: (Slot, Quads),
    /// The ends of the members' blocks of channels.
    cuts: Vec<usize>,
}

/// The step that resamples.
pub(super) fn resize(build: &Build, op: &ResizeInt8, input: &Place, out: &Place) -> Result<Made, String> {
    let (source, output) = (quads(input)?, quads(out)?);
    let ResizeInt8 { resize, from, to } = op;
    let inside = |taps: &[Tap], size: usize| taps.iter().all(|t| t.first < size && t.second < size);
    if !inside(&resize.rows, source.grid.height) || !inside(&resize.cols, source.grid.width) {
        return Err("a tap lies outside the input".into());
    }
    let axes = [&resize.rows, &resize.cols];
    let taps = if resize.nearest {
        Taps::Nearest(Box::new(Table::rescale(*from, *to)), axes.map(|taps| taps.iter().map(|t| t.first).collect()))
    } else {
        let blend = |t: &Tap| (t.first, t.second, t.fraction);
        Taps::Linear((*from, *to), axes.map(|taps| taps.iter().map(blend).collect()))
    };
    let detail = if resize.nearest { "nearest" } else { "linear" }.to_string();
    let cuts = cut(output.blocks(), 1, build.threads);
    Ok(Made { detail, ..Made::simple(Resample { taps, from: (input.slot, source), to: (out.slot, output), cuts }) })
}

impl Step for Resample {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let Resample { taps, from: (from, source), to: (to, output), cuts } = self;
        let (rest, dst) = memory.split::<i8>(*to);
        let (src, taps) = (rest.read::<i8>(*from), &*taps);
        context.share(dst, cuts, output.grid.plane * LANES, &|part, out| {
            let (first, end) = (cuts[part] * LANES, (cuts[part + 1] * LANES).min(output.channels));
            let (source, output) =
                (Quads { channels: end - first, ..*source }, Quads { channels: end - first, ..*output });
            let from = &src[cuts[part] * source.grid.plane * LANES..];
            match taps {
                Taps::Nearest(table, [rows, cols]) => {
                    nearest_resize_int8(table, [rows, cols], from, &source, out, &output);
                }
                Taps::Linear(scales, [rows, cols]) => {
                    linear_resize_int8(*scales, [rows, cols], from, &source, out, &output);
                }
            }
        });
        Ok(())
    }
}
