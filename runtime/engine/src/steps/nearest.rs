//! The search in a memory bank, among floats and among bytes.

use super::{Build, Context, Made, Step};
use crate::RunError;
use crate::graph::{Nearest, NearestInt8};
use crate::kernels::{Bank, BankInt8, Kernels, Queries, QueryNorm, recast};
use crate::layout::Quads;
use crate::memory::{Memory, Slot};
use crate::plan::Place;
use crate::team::cut;

/// What is searched.
enum Search {
    Floats {
        bank: Bank,
        /// From one query to the next, and from one feature to the next.
        steps: [usize; 2],
        norm: QueryNorm,
    },
    Bytes {
        bank: BankInt8,
    },
}

struct Run {
    kernels: Kernels,
    search: Search,
    from: Slot,
    least: Slot,
    /// Where the rows' numbers go, if they are asked for.
    rows: Option<Slot>,
    /// The ends of the members' lines of queries, and queries in a line.
    cuts: Vec<usize>,
    line: usize,
    /// Numbers that the scratch holds for each member, and its floats before them.
    numbers: usize,
    floats: usize,
}

/// The queries' lines, shared among the members.
struct Lines {
    count: usize,
    line: usize,
}

pub(super) fn build(build: &Build, nearest: &Nearest, input: &Place, outputs: &[Place]) -> Result<Made, String> {
    let queries = outputs[0].elements();
    if !input.is_dense() || queries * nearest.features != input.elements() {
        return Err(format!("{queries} queries of {} features in {:?}", nearest.features, input.shape));
    }
    let bank = build.tiles.kernels.pack_bank(&nearest.bank, nearest.features);
    let norm = if nearest.add_query_norm { QueryNorm::Add } else { QueryNorm::Leave };
    let (rows, floats) = (bank.rows(), bank.scratch_len().next_multiple_of(16));
    let search = Search::Floats { bank, steps: [nearest.query_step, nearest.feature_step], norm };
    let lines = Lines { count: queries, line: 1 };
    finish(build, search, [rows, nearest.features], lines, floats, input, outputs)
}

pub(super) fn among_bytes(
    build: &Build,
    nearest: &NearestInt8,
    input: &Place,
    outputs: &[Place],
) -> Result<Made, String> {
    let quads: Quads = input.quads.ok_or("expected bytes")?;
    let lines = Lines { count: quads.grid.height, line: quads.grid.width };
    if outputs[0].elements() != lines.count * lines.line {
        return Err(format!("{} distances for {:?}", outputs[0].elements(), input.shape));
    }
    let NearestInt8 { bank, offset, scale, zero } = nearest;
    let bank = build.tiles.kernels.pack_bank_int8(&quads, *zero, bank, offset, scale);
    let shape = [bank.rows(), quads.channels];
    finish(build, Search::Bytes { bank }, shape, lines, 0, input, outputs)
}

fn finish(
    build: &Build,
    search: Search,
    [rows, features]: [usize; 2],
    lines: Lines,
    floats: usize,
    input: &Place,
    outputs: &[Place],
) -> Result<Made, String> {
    if outputs.iter().any(|o| !o.is_dense()) {
        return Err("the distances have padding".into());
    }
    let cuts = cut(lines.count, 1, build.threads);
    let most = cuts.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0) * lines.line;
    let numbers = if outputs.len() > 1 { most.next_multiple_of(16) } else { 0 };
    let queries = lines.count * lines.line;
    let step = Run {
        kernels: build.tiles.kernels,
        search,
        from: input.slot,
        least: outputs[0].slot,
        rows: outputs.get(1).map(|o| o.slot),
        cuts,
        line: lines.line,
        numbers,
        floats,
    };
    Ok(Made {
        step: Box::new(step),
        scratch_bytes: (numbers + floats) * build.threads * 4,
        detail: format!("{rows} rows of {features} features, {queries} queries {}", build.tiles.kernels.isa()),
        macs: (rows * features * queries) as u64,
    })
}

impl Step for Run {
    fn run(&mut self, memory: &mut Memory, context: &Context) -> Result<(), RunError> {
        let Run { kernels, search, from, least, rows, cuts, line, numbers, floats } = self;
        let (numbers, floats, each) = (*numbers, *floats, *numbers + *floats);
        let (rest, to, scratch) = memory.split_with::<f32, f32>(*least, context.scratch);
        let lines = |part: usize| cuts[part]..cuts[part + 1];
        match search {
            Search::Floats { bank, steps: [query_step, feature_step], norm } => {
                let data = rest.read::<f32>(*from);
                context.share_with(to, cuts, *line, scratch, each, &|part, out, own| {
                    let (index, scratch) = own.split_at_mut(numbers);
                    let queries = Queries {
                        data: &data[lines(part).start * *query_step..],
                        height: 1,
                        width: out.len(),
                        row_step: 0,
                        query_step: *query_step,
                        feature_step: *feature_step,
                    };
                    let index = (numbers > 0).then(|| recast::<f32, u32>(index));
                    kernels.nearest(bank, &queries, *norm, &mut scratch[..floats], out, index);
                });
            }
            Search::Bytes { bank } => {
                let data = rest.read::<i8>(*from);
                context.share_with(to, cuts, *line, scratch, each, &|part, out, own| {
                    let index = (numbers > 0).then(|| recast::<f32, u32>(own));
                    kernels.nearest_int8(bank, data, lines(part), out, index);
                });
            }
        }
        if let Some(rows) = rows {
            let (rest, to) = memory.split::<i64>(*rows);
            let scratch = rest.read::<u32>(context.scratch);
            for part in 0..cuts.len() - 1 {
                let ends = cuts[part] * *line..cuts[part + 1] * *line;
                for (to, row) in to[ends].iter_mut().zip(&scratch[part * each..]) {
                    *to = i64::from(*row);
                }
            }
        }
        Ok(())
    }
}
