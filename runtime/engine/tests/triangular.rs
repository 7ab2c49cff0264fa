//! A known triangular matrix for each position: stored without its zeros, with the results of tract's own product, whatever
//! the number of threads.

mod common;

use common::{Net, Random, difference, ints, ours, tracts};
use jidoka_engine::Options;

/// `depth` features at `side * side` positions, each by a matrix of its own with zeros above (or below) the diagonal.
fn net([depth, side]: [usize; 2], lower: bool) -> Net {
    let mut net = Net::new(5, &[1, 3, side, side]);
    let features = net.conv("image", 3, depth, [3, 3], 1, [1; 4], 1);
    let cells = side * side;
    let mut random = Random(77);
    let mut matrices = random.floats(cells * depth * depth, 1.0);
    for (at, value) in matrices.iter_mut().enumerate() {
        let (row, column) = (at / depth % depth, at % depth);
        if if lower { column > row } else { column < row } {
            *value = 0.0;
        }
    }
    let matrices = net.constant(&[cells, depth, depth], &matrices);
    let flat = net.constant_i64(&[depth as i64, cells as i64, 1]);
    let planes = net.node("Reshape", &[&features, &flat], vec![]);
    let columns = net.node("Transpose", &[&planes], vec![ints("perm", &[1, 0, 2])]);
    let product = net.node("MatMul", &[&matrices, &columns], vec![]);
    net.output(&product);
    net
}

fn check(sizes: [usize; 2], lower: bool, stored: bool) {
    let proto = net(sizes, lower).model();
    let shape = [1, 3, sizes[1], sizes[1]];
    let input = Random(8).floats(shape.iter().product(), 1.0);
    let want = tracts(&proto, &shape, &input);
    let mut first: Option<Vec<f32>> = None;
    for threads in [1, 2, 3] {
        let (session, got) = ours(&proto, &input, &Options { threads, strict: true, ..Options::default() });
        let report = session.report();
        let triangular = report.steps.iter().any(|step| step.detail.contains("triangular"));
        assert_eq!(triangular, stored, "{sizes:?} {lower}");
        assert!(difference(&got[0], &want[0]) <= 1e-5, "{sizes:?} {lower}: {}", difference(&got[0], &want[0]));
        let first = first.get_or_insert_with(|| got[0].clone());
        assert_eq!(first, &got[0], "{sizes:?} {lower}, {threads} threads");
    }
}

#[test]
fn a_triangular_matrix_is_stored_without_its_zeros_and_multiplies_as_ever() {
    for sizes in [[64, 9], [33, 5], [7, 4], [96, 3]] {
        check(sizes, true, sizes[0] > 7);
        // Zeros below the diagonal are not at the top of a column.
        check(sizes, false, false);
    }
}
