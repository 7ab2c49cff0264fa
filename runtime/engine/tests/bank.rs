//! The memory bank, in the forms that the crate's documentation promises to recognise: no distance matrix, no allocation by
//! design, and the same distances and rows as tract's.

mod common;

use common::{Net, Random, difference, int, ints, ours, tracts};
use jidoka_engine::{Isa, Options, Session};

/// How the least is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    Min,
    Both,
    Top,
}

/// Zero point and signedness of the queries' bytes.
type Bytes = Option<(u8, bool)>;

/// `depth` features at `side * side` positions against `rows` rows; the outputs are what was asked for, as floats.
fn net(ask: Ask, bytes: Bytes, per_row: bool, [depth, rows, side]: [usize; 3]) -> Net {
    let mut net = Net::new(31, &[1, 3, side, side]);
    let mut features = net.conv("image", 3, depth, [3, 3], 1, [1; 4], 1);
    if let Some((zero, signed)) = bytes {
        features = net.qdq(&features, 0.02, zero, signed);
    }
    let flat = net.constant_i64(&[depth as i64, (side * side) as i64]);
    let planes = net.node("Reshape", &[&features, &flat], vec![]);
    let queries = net.node("Transpose", &[&planes], vec![ints("perm", &[1, 0])]);
    let (bank, norms) = bank(&mut net, bytes.is_some(), per_row, depth, rows);
    let products = net.node("MatMul", &[&queries, &bank], vec![]);
    let partial = net.node("Add", &[&norms, &products], vec![]);
    let asked = ask_for(&mut net, ask, &partial);
    if let Some(number) = &asked.1 {
        let number = net.node("Cast", &[number], vec![int("to", 1)]);
        net.output(&number);
    }
    if let Some(least) = asked.0 {
        let squares = net.node("Mul", &[&queries, &queries], vec![]);
        let axis = net.constant_i64(&[1]);
        let lengths = net.node("ReduceSum", &[&squares, &axis], vec![int("keepdims", 1)]);
        let squared = net.node("Add", &[&least, &lengths], vec![]);
        let positive = net.node("Relu", &[&squared], vec![]);
        let distance = net.node("Sqrt", &[&positive], vec![]);
        net.output(&distance);
    }
    net
}

/// `W` and `norms` of the documentation.
fn bank(net: &mut Net, bytes: bool, per_row: bool, depth: usize, rows: usize) -> (String, String) {
    let steps: Vec<f32> =
        (0..rows).map(|_| if per_row { 0.01 + 0.005 * net.random.unit().abs() } else { 0.0125 }).collect();
    let codes: Vec<i8> = (0..depth * rows).map(|_| (net.random.below(255) as i32 - 127) as i8).collect();
    let value = |d: usize, m: usize| f32::from(codes[d * rows + m]) * steps[m];
    let norms: Vec<f32> =
        (0..rows).map(|m| (0..depth).map(|d| 0.25 * value(d, m) * value(d, m)).sum::<f32>()).collect();
    let norms = net.constant(&[1, rows], &norms);
    let bank = if bytes {
        let codes: Vec<u8> = codes.iter().map(|c| c.cast_unsigned()).collect();
        let codes = net.constant_bytes(&[depth, rows], &codes, true);
        let count = if per_row { vec![rows] } else { vec![] };
        let (step, zero) = if per_row {
            (net.constant(&count, &steps), net.constant_bytes(&count, &vec![0; rows], true))
        } else {
            (net.constant(&count, &steps[..1]), net.constant_bytes(&count, &[0], true))
        };
        net.node("DequantizeLinear", &[&codes, &step, &zero], vec![int("axis", 1)])
    } else {
        let values: Vec<f32> = (0..depth * rows).map(|i| value(i / rows, i % rows)).collect();
        net.constant(&[depth, rows], &values)
    };
    (bank, norms)
}

/// The least and the number of its row, as far as they are asked for.
fn ask_for(net: &mut Net, ask: Ask, partial: &str) -> (Option<String>, Option<String>) {
    let min = |net: &mut Net| net.node("ReduceMin", &[partial], vec![ints("axes", &[1]), int("keepdims", 1)]);
    let arg = |net: &mut Net| net.node("ArgMin", &[partial], vec![int("axis", 1), int("keepdims", 0)]);
    match ask {
        Ask::Min => (Some(min(net)), None),
        Ask::Both => (Some(min(net)), Some(arg(net))),
        Ask::Top => {
            let one = net.constant_i64(&[1]);
            let values = net.node("TopK", &[partial, &one], vec![int("axis", 1), int("largest", 0)]);
            let numbers = format!("{values}_numbers");
            net.graph.node.last_mut().expect("just added").output.push(numbers.clone());
            (Some(values), Some(numbers))
        }
    }
}

fn kinds(session: &Session) -> Vec<String> {
    session.report().steps.into_iter().map(|s| s.kind).collect()
}

fn check(ask: Ask, bytes: Bytes, per_row: bool, sizes: [usize; 3]) {
    let label = format!("{ask:?} {bytes:?} {per_row} {sizes:?}");
    let proto = net(ask, bytes, per_row, sizes).model();
    let shape = [1, 3, sizes[2], sizes[2]];
    let input = Random(9).floats(shape.iter().product(), 1.0);
    let want = tracts(&proto, &shape, &input);
    for threads in [1, 3] {
        let options = Options { threads, strict: true, ..Options::default() };
        let (session, got) = ours(&proto, &input, &options);
        let kinds = kinds(&session);
        let kind = if bytes.is_some() { "nearest int8" } else { "nearest" };
        assert!(kinds.iter().any(|k| k == kind), "{label}: {kinds:?}");
        for kind in ["matmul", "arg", "top"] {
            assert!(!kinds.iter().any(|k| k == kind), "{label}: {kind} in {kinds:?}");
        }
        for (g, w) in got.iter().zip(&want) {
            // Distances to 1e-4; a number may differ where two rows are as near as rounding.
            let apart = g.iter().zip(w).filter(|(g, w)| g != w).count();
            assert!(difference(g, w) <= 1e-4 || apart * 50 <= g.len(), "{label}: {apart} of {} differ", g.len());
        }
    }
}

#[test]
fn every_form_is_searched_without_the_distance_matrix() {
    for sizes in [[24, 301, 12], [1, 7, 5], [33, 16, 9]] {
        for ask in [Ask::Min, Ask::Both, Ask::Top] {
            check(ask, None, false, sizes);
            for bytes in [(117, false), (0, false), (253, true)] {
                check(ask, Some(bytes), false, sizes);
                check(ask, Some(bytes), true, sizes);
            }
        }
    }
}

#[test]
fn distances_among_bytes_are_the_same_everywhere() {
    let proto = net(Ask::Both, Some((90, false)), true, [40, 100, 11]).model();
    let input = Random(4).floats(3 * 11 * 11, 1.0);
    let run = |isa| ours(&proto, &input, &Options { isa: Some(isa), ..Options::default() }).1;
    let want = run(Isa::Portable);
    for isa in Isa::list_available() {
        assert_eq!(run(isa), want, "{isa}");
    }
}
