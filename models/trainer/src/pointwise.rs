//! 1x1 convolutions forwards and backwards: products of matrices.

/// A matrix in memory: the value of row `i`, column `j` is `values[i * row + j * column]`.
#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl<'a> Matrix<'a> {
    /// `values` row by row.
    fn new(values: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} rows and {columns} columns");
        Matrix { values, rows, columns, row: columns, column: 1 }
    }

    fn transposed(self) -> Matrix<'a> {
        Matrix { rows: self.columns, columns: self.rows, row: self.column, column: self.row, ..self }
    }
}

/// `out = a b`, row by row; with `add`, `out += a b`.
fn product(a: Matrix<'_>, b: Matrix<'_>, add: bool, out: &mut [f32]) {
    assert_eq!(a.columns, b.rows);
    assert_eq!(out.len(), a.rows * b.columns);
    let stride = |step: usize| step as isize;
    let beta = if add { 1.0 } else { 0.0 };
    // SAFETY: `Matrix::new` made sure that both operands hold rows x columns values at their strides, which `transposed` only swaps;
    // `out` has been checked above, is row by row, and, being borrowed mutably, overlaps neither.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.columns,
            b.columns,
            1.0,
            a.values.as_ptr(),
            stride(a.row),
            stride(a.column),
            b.values.as_ptr(),
            stride(b.row),
            stride(b.column),
            beta,
            out.as_mut_ptr(),
            stride(b.columns),
            1,
        );
    }
}

/// Channels in and out.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub c_in: usize,
    pub c_out: usize,
}

/// `out` `[N,c_out,cells]` of `input` `[N,c_in,cells]` and `weight` `[c_out,c_in]`.
pub fn forward(Size { c_in, c_out }: Size, count: usize, weight: &[f32], input: &[f32], out: &mut [f32]) {
    let cells = input.len() / (count * c_in);
    let weight = Matrix::new(weight, c_out, c_in);
    for (x, y) in input.chunks_exact(c_in * cells).zip(out.chunks_exact_mut(c_out * cells)) {
        product(weight, Matrix::new(x, c_in, cells), false, y);
    }
}

/// Adds the gradient of the weights; `slope` is that of the result.
pub fn weight_slope(Size { c_in, c_out }: Size, count: usize, input: &[f32], slope: &[f32], grad: &mut [f32]) {
    let cells = input.len() / (count * c_in);
    for (x, dy) in input.chunks_exact(c_in * cells).zip(slope.chunks_exact(c_out * cells)) {
        product(Matrix::new(dy, c_out, cells), Matrix::new(x, c_in, cells).transposed(), true, grad);
    }
}

/// The gradient of the input; with `add`, added to what is there.
pub fn input_slope(size: Size, count: usize, weight: &[f32], slope: &[f32], add: bool, out: &mut [f32]) {
    let Size { c_in, c_out } = size;
    let cells = slope.len() / (count * c_out);
    let weight = Matrix::new(weight, c_out, c_in).transposed();
    for (dy, dx) in slope.chunks_exact(c_out * cells).zip(out.chunks_exact_mut(c_in * cells)) {
        product(weight, Matrix::new(dy, c_out, cells), add, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slope::{dot, holds, numbers};

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let size = Size { c_in: 5, c_out: 3 };
        let (count, cells) = (2, 7);
        let (weight, input) = (numbers(1, 15), numbers(2, count * 5 * cells));
        // The scalar that is differentiated: the result times fixed numbers, which then are its slope.
        let slope = numbers(3, count * 3 * cells);
        let value = |weight: &[f32], input: &[f32]| {
            let mut out = vec![0.0; count * 3 * cells];
            forward(size, count, weight, input, &mut out);
            dot(&out, &slope)
        };
        let mut grad = vec![0.0; 15];
        weight_slope(size, count, &input, &slope, &mut grad);
        holds(&weight, &grad, |weight| value(weight, &input));
        let mut grad = vec![1.0; input.len()];
        input_slope(size, count, &weight, &slope, true, &mut grad);
        grad.iter_mut().for_each(|g| *g -= 1.0);
        holds(&input, &grad, |input| value(&weight, input));
    }
}
