//! Maximum and average pools on the kernels' window sweep. The input's padding holds what the pool wants to see there.

use super::{Build, Context, Made, Step, planes};
use crate::RunError;
use crate::graph::{Pool, PoolKind};
use crate::kernels::{Divisor, Kernels, Window};
use crate::layout::Planes;
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::team::cut;

struct Run {
    kernels: Kernels,
    window: Window,
    /// `None` for the maximum.
    average: Option<Factors>,
    /// The ends of the members' channels.
    cuts: Vec<usize>,
    from: (Slot, Planes),
    to: (Slot, Planes),
}

enum Factors {
    Uniform(f32),
    PerPosition(Vec<f32>),
}

pub(super) fn build(build: &Build, pool: &Pool, input: &Place, out: &Place) -> Result<Made, String> {
    let (from, to) = (planes(input)?, planes(out)?);
    let window = pool.window;
    let average = match pool.kind {
        PoolKind::Max => None,
        PoolKind::Sum => Some(Factors::Uniform(1.0)),
        PoolKind::Mean { count_pads: true } => Some(Factors::Uniform(1.0 / window.taps() as f32)),
        PoolKind::Mean { count_pads: false } if pool.window.pads == Default::default() => {
            Some(Factors::Uniform(1.0 / window.taps() as f32))
        }
        PoolKind::Mean { count_pads: false } => Some(Factors::PerPosition(factors(pool, &from, &to))),
    };
    let cuts = cut(to.channels, 1, build.threads);
    let kernels = build.tiles.kernels;
    let step = Run { kernels, window, average, cuts, from: (input.slot, from), to: (out.slot, to) };
    let detail = format!("{}x{} {:?}", pool.window.kernel[0], pool.window.kernel[1], pool.kind);
    Ok(Made { detail, ..Made::simple(step) })
}

/// One over the taps that lie inside, for each output position.
fn factors(pool: &Pool, from: &Planes, to: &Planes) -> Vec<f32> {
    let inside = |axis: usize, at: usize, before: usize, size: usize| {
        let taps =
            (0..pool.window.kernel[axis]).map(|t| at * pool.window.stride[axis] + t * pool.window.dilation[axis]);
        taps.filter(|p| (before..before + size).contains(p)).count()
    };
    let mut factors = Vec::with_capacity(to.grid.height * to.grid.width);
    for y in 0..to.grid.height {
        for x in 0..to.grid.width {
            let taps = inside(0, y, pool.window.pads.top, from.grid.height)
                * inside(1, x, pool.window.pads.left, from.grid.width);
            factors.push(1.0 / taps.max(1) as f32);
        }
    }
    factors
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let (rest, to) = memory.split::<f32>(self.to.0);
        let from = rest.read::<f32>(self.from.0);
        let (source, output) = (self.from.1.grid, self.to.1.grid);
        context.share(to, &self.cuts, output.plane, &|part, out| {
            let (first, channels) = (self.cuts[part], self.cuts[part + 1] - self.cuts[part]);
            let (source, output) = (Planes { channels, grid: source }, Planes { channels, grid: output });
            let from = &from[first * source.grid.plane..];
            let divisor = match &self.average {
                None => return self.kernels.max_pool(&self.window, from, &source, out, &output),
                Some(Factors::Uniform(factor)) => Divisor::Uniform(*factor),
                Some(Factors::PerPosition(factors)) => Divisor::PerPosition(factors),
            };
            self.kernels.average_pool(&self.window, divisor, from, &source, out, &output);
        });
        Ok(())
    }
}
