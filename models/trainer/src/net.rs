//! The student while it learns: every layer with what its backward pass needs.

use jidoka_models::random::Random;
use jidoka_models::student::{Conv, Filter, Plan, Weights};

use crate::adam::Parameter;
use crate::norm::{Mode, Norm};
use crate::{depthwise, pointwise};

/// The student.
#[derive(Debug)]
pub struct Net {
    plan: Plan,
    to8: Vec<Layer>,
    to16: Vec<Layer>,
    heads: [Head; 2],
    /// Pictures in the last batch.
    count: usize,
}

/// A convolution, batch norm and ReLU.
#[derive(Debug)]
struct Layer {
    conv: Conv,
    /// Rows and columns of its input.
    size: (usize, usize),
    weight: Parameter,
    norm: Norm,
    /// What the convolution gave.
    raw: Vec<f32>,
    /// What came out.
    out: Vec<f32>,
    /// The gradient of its input.
    slope: Vec<f32>,
}

/// A 1x1 convolution with a bias.
#[derive(Debug)]
struct Head {
    size: pointwise::Size,
    weight: Parameter,
    bias: Parameter,
    out: Vec<f32>,
}

/// Mean and deviation of each channel of a tap over good parts; the student predicts taps in these units.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    pub mean: Vec<f32>,
    pub deviation: Vec<f32>,
}

impl Net {
    /// With random weights (He et al. 2015), for pictures of `width` x `height` pixels.
    pub fn new(plan: Plan, (width, height): (usize, usize), random: &mut Random) -> Net {
        let (mut rows, mut columns) = (height / 2, width / 2);
        let mut chain = |convs: &[Conv]| -> Vec<Layer> {
            let mut layers = Vec::new();
            for conv in convs {
                layers.push(Layer::new(conv, (rows, columns), random));
                (rows, columns) = (rows / conv.stride, columns / conv.stride);
            }
            layers
        };
        let (to8, to16) = (chain(&plan.to8), chain(&plan.to16));
        let heads = [0, 1].map(|k| Head::new(&plan.heads[k], random));
        Net { plan, to8, to16, heads, count: 0 }
    }

    /// Predicts both taps of `count` pictures from the teacher's stem `[N,C,H/2,W/2]`.
    pub fn forward(&mut self, count: usize, stem: &[f32], mode: Mode) -> [&[f32]; 2] {
        self.count = count;
        let trunk8 = run(&mut self.to8, count, stem, mode);
        let trunk16 = run(&mut self.to16, count, trunk8, mode);
        let [head8, head16] = &mut self.heads;
        [head8.forward(count, trunk8), head16.forward(count, trunk16)]
    }

    /// Adds the gradients of all parameters, from those of the predictions of the last forward pass over `stem`.
    pub fn backward(&mut self, stem: &[f32], slopes: [&[f32]; 2]) {
        let count = self.count;
        let [head8, head16] = &mut self.heads;
        let (Some(end8), Some(end16)) = (self.to8.last(), self.to16.last()) else { return };
        let mut slope16 = vec![0.0; end16.out.len()];
        head16.backward(count, &end16.out, slopes[1], false, &mut slope16);
        let mut slope8 = vec![0.0; end8.out.len()];
        // What comes down from the coarse grid, and then what this grid's own head adds.
        back(&mut self.to16, count, &end8.out, &mut slope16, Some(&mut slope8));
        head8.backward(count, &end8.out, slopes[0], true, &mut slope8);
        back(&mut self.to8, count, stem, &mut slope8, None);
    }

    /// All that is learned.
    pub fn parameters(&mut self) -> Vec<&mut Parameter> {
        let layers = self.to8.iter_mut().chain(&mut self.to16);
        let layers = layers.flat_map(|l| [&mut l.weight, &mut l.norm.scale, &mut l.norm.shift]);
        layers.chain(self.heads.iter_mut().flat_map(|h| [&mut h.weight, &mut h.bias])).collect()
    }

    /// As plain convolutions that predict the taps themselves.
    pub fn folded(&self, standards: &[Standard; 2]) -> Weights {
        let mut filters: Vec<Filter> = self.to8.iter().chain(&self.to16).map(Layer::folded).collect();
        filters.extend(self.heads.iter().zip(standards).map(|(head, standard)| head.folded(standard)));
        Weights { plan: self.plan.clone(), filters }
    }
}

fn run<'a>(layers: &'a mut [Layer], count: usize, input: &'a [f32], mode: Mode) -> &'a [f32] {
    layers.iter_mut().fold(input, |input, layer| layer.forward(count, input, mode))
}

/// Backwards through a chain that began with `input`: `slope` is the gradient of its end, `first` gets that of `input`.
fn back(layers: &mut [Layer], count: usize, input: &[f32], slope: &mut [f32], first: Option<&mut [f32]>) {
    let mut first = first;
    for i in (0..layers.len()).rev() {
        let (before, rest) = layers.split_at_mut(i);
        let (layer, after) = rest.split_at_mut(1);
        let input = before.last().map_or(input, |before| before.out.as_slice());
        let slope = after.first_mut().map_or(&mut *slope, |after| after.slope.as_mut_slice());
        let down = i > 0;
        layer[0].backward(count, input, slope, down, if down { None } else { first.take() });
    }
}

impl Layer {
    fn new(conv: &Conv, size: (usize, usize), random: &mut Random) -> Layer {
        Layer {
            conv: conv.clone(),
            size,
            weight: Parameter::matrix(random_weights(conv, random)),
            norm: Norm::new(conv.c_out),
            raw: Vec::new(),
            out: Vec::new(),
            slope: Vec::new(),
        }
    }

    fn depthwise(&self) -> depthwise::Size {
        let (height, width) = self.size;
        let Conv { c_out, stride, .. } = self.conv;
        depthwise::Size { channels: c_out, height, width, stride, padding: self.conv.padding() }
    }

    fn pointwise(&self) -> pointwise::Size {
        pointwise::Size { c_in: self.conv.c_in, c_out: self.conv.c_out }
    }

    fn forward(&mut self, count: usize, input: &[f32], mode: Mode) -> &[f32] {
        let (height, width) = self.size;
        let cells = (height / self.conv.stride) * (width / self.conv.stride);
        self.raw.resize(count * self.conv.c_out * cells, 0.0);
        self.out.resize(self.raw.len(), 0.0);
        if self.conv.depthwise {
            depthwise::forward(self.depthwise(), &self.weight.value, input, &mut self.raw);
        } else {
            pointwise::forward(self.pointwise(), count, &self.weight.value, input, &mut self.raw);
        }
        self.norm.forward(count, &self.raw, mode, &mut self.out);
        &self.out
    }

    /// Turns `slope`, the gradient of the result, into that of the convolution's result on its way. Where `down`, that of the
    /// input goes to `self.slope`; otherwise to `first`, if there is one.
    fn backward(&mut self, count: usize, input: &[f32], slope: &mut [f32], down: bool, first: Option<&mut [f32]>) {
        self.norm.backward(count, &self.raw, &self.out, slope);
        let (deep, flat) = (self.depthwise(), self.pointwise());
        if down {
            self.slope.resize(input.len(), 0.0);
        }
        let target = if down { Some(self.slope.as_mut_slice()) } else { first };
        let Parameter { value, grad, .. } = &mut self.weight;
        if self.conv.depthwise {
            depthwise::backward(deep, value, input, slope, grad, target);
            return;
        }
        pointwise::weight_slope(flat, count, input, slope, grad);
        if let Some(target) = target {
            pointwise::input_slope(flat, count, value, slope, false, target);
        }
    }

    fn folded(&self) -> Filter {
        let norm = self.norm.folded();
        let per_channel = self.weight.value.len() / norm.len();
        let rows = self.weight.value.chunks_exact(per_channel).zip(&norm);
        let weight = rows.flat_map(|(row, (factor, _))| row.iter().map(move |&w| (f64::from(w) * factor) as f32));
        Filter { weight: weight.collect(), bias: norm.iter().map(|&(_, summand)| summand as f32).collect() }
    }
}

impl Head {
    fn new(conv: &Conv, random: &mut Random) -> Head {
        Head {
            size: pointwise::Size { c_in: conv.c_in, c_out: conv.c_out },
            weight: Parameter::matrix(random_weights(conv, random)),
            bias: Parameter::vector(vec![0.0; conv.c_out]),
            out: Vec::new(),
        }
    }

    fn forward(&mut self, count: usize, input: &[f32]) -> &[f32] {
        let cells = input.len() / (count * self.size.c_in);
        self.out.resize(count * self.size.c_out * cells, 0.0);
        pointwise::forward(self.size, count, &self.weight.value, input, &mut self.out);
        for (i, plane) in self.out.chunks_exact_mut(cells).enumerate() {
            let bias = self.bias.value[i % self.size.c_out];
            plane.iter_mut().for_each(|v| *v += bias);
        }
        &self.out
    }

    fn backward(&mut self, count: usize, input: &[f32], slope: &[f32], add: bool, down: &mut [f32]) {
        let cells = input.len() / (count * self.size.c_in);
        for (i, plane) in slope.chunks_exact(cells).enumerate() {
            self.bias.grad[i % self.size.c_out] += plane.iter().sum::<f32>();
        }
        pointwise::weight_slope(self.size, count, input, slope, &mut self.weight.grad);
        pointwise::input_slope(self.size, count, &self.weight.value, slope, add, down);
    }

    fn folded(&self, standard: &Standard) -> Filter {
        let rows = self.weight.value.chunks_exact(self.size.c_in).zip(&standard.deviation);
        let weight = rows.flat_map(|(row, deviation)| row.iter().map(move |w| w * deviation)).collect();
        let channels = self.bias.value.iter().zip(&standard.deviation).zip(&standard.mean);
        Filter { weight, bias: channels.map(|((bias, deviation), mean)| bias * deviation + mean).collect() }
    }
}

/// Normal, with the variance that keeps that of the signal through ReLU.
fn random_weights(conv: &Conv, random: &mut Random) -> Vec<f32> {
    let inputs = if conv.depthwise { 9 } else { conv.c_in };
    let deviation = (2.0 / inputs as f64).sqrt();
    (0..conv.weights()).map(|_| (deviation * random.normal()) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slope::{dot, numbers};

    const SIZE: (usize, usize) = (64, 32);
    const COUNT: usize = 3;

    fn net() -> Net {
        let mut net = Net::new(Plan::new(4, [3, 5]), SIZE, &mut Random::new(8));
        // Norms as they are after some training: with shifts of 0 a scale before a depthwise convolution, whose own norm takes it out
        // again, would have no gradient at all.
        for (i, p) in net.parameters().into_iter().enumerate() {
            p.value.iter_mut().zip(numbers(50 + i as u64, 128)).for_each(|(value, by)| *value += 0.2 * by);
        }
        net
    }

    #[test]
    fn every_parameter_moves_the_loss_as_its_gradient_says() {
        let stem = numbers(1, COUNT * 4 * 32 * 16);
        let wanted = [numbers(2, COUNT * 3 * 8 * 4), numbers(3, COUNT * 5 * 4 * 2)];
        let value = |net: &mut Net| {
            let [a, b] = net.forward(COUNT, &stem, Mode::Train);
            dot(a, &wanted[0]) + dot(b, &wanted[1])
        };
        let mut trained = net();
        value(&mut trained);
        trained.backward(&stem, [&wanted[0], &wanted[1]]);
        let slopes: Vec<Vec<f32>> = trained.parameters().iter().map(|p| p.grad.clone()).collect();
        // All numbers of a parameter at once, along its own gradient: the loss has to grow by the gradient's squared length.
        for (i, slope) in slopes.iter().enumerate() {
            let length = dot(slope, slope).sqrt();
            assert!(length > 0.0, "parameter {i} has no gradient");
            let moved = |by: f64| {
                let mut net = net();
                let mut parameters = net.parameters();
                let values = parameters[i].value.iter_mut().zip(slope);
                values.for_each(|(value, slope)| *value += (by / length * f64::from(*slope)) as f32);
                value(&mut net)
            };
            let found = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            assert!((found / length - 1.0).abs() < 0.1, "parameter {i}: {found}, by its gradient {length}");
        }
    }

    #[test]
    fn the_folded_student_is_the_trained_one() {
        let mut net = net();
        let stem = numbers(4, COUNT * 4 * 32 * 16);
        for _ in 0..60 {
            net.forward(COUNT, &stem, Mode::Train);
        }
        let standards = [3, 5].map(|c| Standard { mean: numbers(6, c), deviation: vec![2.0; c] });
        let expected = net.forward(COUNT, &stem, Mode::Fixed).map(<[f32]>::to_vec);
        let weights = net.folded(&standards);
        assert_eq!(weights.filters.len(), weights.plan.convs().count());
        // The head of tap8 over the last activation, in the taps' own units.
        let filter = &weights.filters[weights.filters.len() - 2];
        let trunk = &net.to8.last().unwrap().out;
        let cells = 8 * 4;
        let found: f32 = (0..64).map(|c| filter.weight[c] * trunk[c * cells]).sum::<f32>() + filter.bias[0];
        let wanted = expected[0][0] * 2.0 + standards[0].mean[0];
        assert!((found - wanted).abs() < 1e-3, "{found} instead of {wanted}");
    }
}
