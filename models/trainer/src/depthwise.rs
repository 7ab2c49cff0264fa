//! 3x3 depthwise convolutions forwards and backwards.

/// What a depthwise convolution does to its planes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub channels: usize,
    /// Rows and columns of the input.
    pub height: usize,
    pub width: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Rows or columns of zeros before and after.
    pub padding: [usize; 2],
}

impl Size {
    fn cells(&self) -> usize {
        self.height * self.width
    }

    /// Rows and columns of the result.
    fn out(&self) -> (usize, usize) {
        (self.height / self.stride, self.width / self.stride)
    }

    /// Columns of a padded row.
    fn padded_width(&self) -> usize {
        self.width + self.padding[0] + self.padding[1]
    }

    /// A plane of zeros with its padding.
    fn padded(&self) -> Vec<f32> {
        vec![0.0; (self.height + self.padding[0] + self.padding[1]) * self.padded_width()]
    }

    /// Where row `y` of a plane begins in a padded one.
    fn row(&self, y: usize) -> usize {
        (y + self.padding[0]) * self.padded_width() + self.padding[0]
    }
}

/// `out` `[N,C,H/s,W/s]` of `input` `[N,C,H,W]` and `weight` `[C,3,3]`.
pub fn forward(size: Size, weight: &[f32], input: &[f32], out: &mut [f32]) {
    let (rows, columns) = size.out();
    let (pitch, stride) = (size.padded_width(), size.stride);
    let mut padded = size.padded();
    let planes = input.chunks_exact(size.cells()).zip(out.chunks_exact_mut(rows * columns));
    for (i, (plane, out)) in planes.enumerate() {
        fill(size, plane, &mut padded);
        let kernel = &weight[i % size.channels * 9..][..9];
        for (y, line) in out.chunks_exact_mut(columns).enumerate() {
            line.fill(0.0);
            for (tap, &k) in kernel.iter().enumerate() {
                let from = &padded[(y * stride + tap / 3) * pitch + tap % 3..];
                if stride == 1 {
                    line.iter_mut().zip(from).for_each(|(sum, v)| *sum += k * v);
                } else {
                    line.iter_mut().zip(from.iter().step_by(stride)).for_each(|(sum, v)| *sum += k * v);
                }
            }
        }
    }
}

/// Adds the gradient of the weights to `grad`, and writes that of the input where it is asked for; `slope` is that of the result.
pub fn backward(
    size: Size,
    weight: &[f32],
    input: &[f32],
    slope: &[f32],
    grad: &mut [f32],
    mut input_slope: Option<&mut [f32]>,
) {
    let (rows, columns) = size.out();
    let (pitch, stride) = (size.padded_width(), size.stride);
    let (mut padded, mut spread) = (size.padded(), size.padded());
    let planes = input.chunks_exact(size.cells()).zip(slope.chunks_exact(rows * columns));
    for (i, (plane, slope)) in planes.enumerate() {
        fill(size, plane, &mut padded);
        spread.fill(0.0);
        let channel = i % size.channels * 9;
        for (y, line) in slope.chunks_exact(columns).enumerate() {
            for tap in 0..9 {
                let at = (y * stride + tap / 3) * pitch + tap % 3;
                grad[channel + tap] += products(line, &padded[at..], stride);
                if input_slope.is_some() {
                    let k = weight[channel + tap];
                    let to = spread[at..].iter_mut().step_by(stride);
                    to.zip(line).for_each(|(sum, v)| *sum += k * v);
                }
            }
        }
        if let Some(out) = input_slope.as_deref_mut() {
            let out = &mut out[i * size.cells()..][..size.cells()];
            for (y, line) in out.chunks_exact_mut(size.width).enumerate() {
                line.copy_from_slice(&spread[size.row(y)..][..size.width]);
            }
        }
    }
}

/// The sum of the products of `a` with every `stride`th value of `b`.
fn products(a: &[f32], b: &[f32], stride: usize) -> f32 {
    if stride != 1 {
        return a.iter().zip(b.iter().step_by(stride)).map(|(a, b)| a * b).sum();
    }
    let b = &b[..a.len()];
    let mut sums = [0.0f32; 8];
    let (many, rest) = a.as_chunks::<8>();
    let (more, tail) = b.as_chunks::<8>();
    for (a, b) in many.iter().zip(more) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum::<f32>() + rest.iter().zip(tail).map(|(a, b)| a * b).sum::<f32>()
}

/// Copies a plane into a padded one, whose border stays as it is.
fn fill(size: Size, plane: &[f32], padded: &mut [f32]) {
    for (y, line) in plane.chunks_exact(size.width).enumerate() {
        padded[size.row(y)..][..size.width].copy_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slope::{dot, holds, numbers};

    #[test]
    fn slopes_are_those_of_finite_differences_with_either_stride() {
        for (stride, padding) in [(1, [1, 1]), (2, [0, 1])] {
            let size = Size { channels: 2, height: 6, width: 10, stride, padding };
            let (weight, input) = (numbers(1, 18), numbers(2, 2 * 2 * 60));
            let slope = numbers(3, 2 * 2 * 60 / (stride * stride));
            let value = |weight: &[f32], input: &[f32]| {
                let mut out = vec![0.0; slope.len()];
                forward(size, weight, input, &mut out);
                dot(&out, &slope)
            };
            let (mut grad, mut down) = (vec![0.0; 18], vec![0.0; input.len()]);
            backward(size, &weight, &input, &slope, &mut grad, Some(&mut down));
            holds(&weight, &grad, |weight| value(weight, &input));
            holds(&input, &down, |input| value(&weight, input));
        }
    }

    #[test]
    fn a_stride_of_two_begins_at_the_first_pixel() {
        let size = Size { channels: 1, height: 2, width: 4, stride: 2, padding: [0, 1] };
        let mut weight = [0.0; 9];
        (weight[0], weight[2]) = (1.0, 10.0);
        let mut out = [0.0; 2];
        forward(size, &weight, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], &mut out);
        assert_eq!(out, [1.0 + 30.0, 3.0], "beyond the right edge are zeros");
    }
}
