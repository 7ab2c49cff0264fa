//! Walking several strided tensors at once.

/// The most axes that a walk has after joining.
pub(super) const MAX_AXES: usize = 8;

/// A box of elements in `N` tensors at once; its last axis is walked by the caller, row by row.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Sizes, outermost first.
    sizes: Vec<usize>,
    /// For each axis, the step of each tensor.
    steps: Vec<Vec<usize>>,
}

impl Walk {
    /// A walk over `sizes`, where tensor `t` moves by `strides[t][axis]`. Axes that are one run in every tensor are joined.
    pub fn new(sizes: &[usize], strides: &[Vec<usize>]) -> Result<Walk, String> {
        let mut walk = Walk { sizes: vec![], steps: vec![] };
        for (axis, &size) in sizes.iter().enumerate() {
            if size == 1 {
                continue;
            }
            let step: Vec<usize> = strides.iter().map(|s| s[axis]).collect();
            if let (Some(last_size), Some(last)) = (walk.sizes.last_mut(), walk.steps.last_mut())
                && last.iter().zip(&step).all(|(outer, inner)| *outer == inner * size)
            {
                *last_size *= size;
                *last = step;
                continue;
            }
            walk.sizes.push(size);
            walk.steps.push(step);
        }
        if walk.sizes.is_empty() {
            walk.sizes.push(1);
            walk.steps.push(vec![0; strides.len()]);
        }
        if walk.sizes.len() > MAX_AXES {
            return Err(format!("more than {MAX_AXES} axes"));
        }
        Ok(walk)
    }

    /// Elements in a row.
    pub fn row(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// The step within a row, for each tensor.
    pub fn row_steps(&self) -> &[usize] {
        &self.steps[self.steps.len() - 1]
    }

    /// Calls `row` with the offset of each row's start in each of `N` tensors.
    pub fn rows<const N: usize>(&self, starts: [usize; N], mut row: impl FnMut([usize; N])) {
        if self.sizes.contains(&0) {
            return;
        }
        let outer = self.sizes.len() - 1;
        let mut counts = [0usize; MAX_AXES];
        let mut at = starts;
        loop {
            row(at);
            let mut axis = outer;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                counts[axis] += 1;
                for (offset, step) in at.iter_mut().zip(&self.steps[axis]) {
                    *offset += step;
                }
                if counts[axis] < self.sizes[axis] {
                    break;
                }
                for (offset, step) in at.iter_mut().zip(&self.steps[axis]) {
                    *offset -= step * self.sizes[axis];
                }
                counts[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_axes_are_one_row() {
        let walk = Walk::new(&[2, 3, 4], &[vec![12, 4, 1], vec![12, 4, 1]]).unwrap();
        assert_eq!((walk.row(), walk.sizes.len()), (24, 1));
    }

    #[test]
    fn every_element_is_met_once() {
        let walk = Walk::new(&[2, 3, 4], &[vec![100, 10, 1], vec![1, 2, 6]]).unwrap();
        let mut seen = vec![];
        walk.rows([5, 0], |[a, b]| {
            for i in 0..walk.row() {
                seen.push((a + i * walk.row_steps()[0], b + i * walk.row_steps()[1]));
            }
        });
        assert_eq!(seen.len(), 24);
        let mut dense: Vec<usize> = seen.iter().map(|s| s.1).collect();
        dense.sort_unstable();
        assert_eq!(dense, (0..24).collect::<Vec<_>>());
        assert_eq!(seen[0], (5, 0));
    }
}
