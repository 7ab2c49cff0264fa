//! Parameters, and AdamW (Loshchilov and Hutter 2019), which moves them.

const BETA: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;
/// What matrices lose of themselves in a step at a learning rate of 1; vectors (biases, norms) lose nothing.
const DECAY: f32 = 1e-2;
/// A gradient longer than this is shortened to it.
const LONGEST: f64 = 5.0;

/// Numbers that are learned.
#[derive(Debug)]
pub struct Parameter {
    pub value: Vec<f32>,
    pub grad: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    decays: bool,
}

impl Parameter {
    /// The weights of a convolution.
    pub fn matrix(value: Vec<f32>) -> Parameter {
        Parameter { decays: true, ..Parameter::vector(value) }
    }

    /// A bias, or the scale or shift of a norm.
    pub fn vector(value: Vec<f32>) -> Parameter {
        let zeros = || vec![0.0; value.len()];
        Parameter { grad: zeros(), mean: zeros(), square: zeros(), value, decays: false }
    }
}

/// The optimiser.
#[derive(Debug, Default)]
pub struct Adam {
    steps: i32,
}

impl Adam {
    /// Moves all parameters against their gradients, and sets those to zero.
    pub fn step(&mut self, rate: f32, mut parameters: Vec<&mut Parameter>) {
        self.steps += 1;
        let squares = parameters.iter().flat_map(|p| &p.grad).map(|&g| f64::from(g).powi(2)).sum::<f64>();
        let shorten = (LONGEST / (squares.sqrt() + 1e-6)).min(1.0) as f32;
        let [unbiased_mean, unbiased_square] = BETA.map(|beta| 1.0 / (1.0 - beta.powi(self.steps)));
        for p in &mut parameters {
            let keep = if p.decays { 1.0 - rate * DECAY } else { 1.0 };
            for i in 0..p.value.len() {
                let g = p.grad[i] * shorten;
                p.mean[i] += (1.0 - BETA[0]) * (g - p.mean[i]);
                p.square[i] += (1.0 - BETA[1]) * (g * g - p.square[i]);
                let move_by = p.mean[i] * unbiased_mean / ((p.square[i] * unbiased_square).sqrt() + EPSILON);
                p.value[i] = p.value[i] * keep - rate * move_by;
            }
            p.grad.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_steps_are_those_of_the_paper() {
        // The first step goes by the rate against the sign of the gradient, whatever its size; what decays has shrunk before.
        for (mut p, expected) in
            [(Parameter::vector(vec![2.0]), 2.0 - 0.1), (Parameter::matrix(vec![2.0]), 2.0 * (1.0 - 0.1 * 0.01) - 0.1)]
        {
            p.grad[0] = 0.3;
            Adam::default().step(0.1, vec![&mut p]);
            assert!((p.value[0] - expected).abs() < 1e-5, "{}", p.value[0]);
            assert_eq!(p.grad, [0.0]);
        }
    }

    #[test]
    fn it_finds_the_bottom_of_a_bowl() {
        let mut p = Parameter::vector(vec![3.0, -2.0]);
        let mut adam = Adam::default();
        for _ in 0..500 {
            p.grad = vec![2.0 * (p.value[0] - 1.0), 20.0 * (p.value[1] - 0.5)];
            adam.step(0.05, vec![&mut p]);
        }
        assert!((p.value[0] - 1.0).abs() < 0.01 && (p.value[1] - 0.5).abs() < 0.01, "{:?}", p.value);
    }
}
