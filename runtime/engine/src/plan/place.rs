//! Where a value lies: its slot, and how far its elements are apart.

use crate::graph::Value;
use crate::layout::{Grid, Planes, Quads, SLACK_CELLS};
use crate::memory::Slot;
use crate::model::DType;
use crate::plan::layouts::Layout;

/// A value in the arena.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub slot: Slot,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, for each axis.
    pub strides: Vec<usize>,
    /// Elements from the slot's start to the first element.
    pub start: usize,
    /// For images (rank 3 or 4, `f32`): the channel planes.
    pub planes: Option<Planes>,
    /// For images of bytes: the blocks of channels.
    pub quads: Option<Quads>,
    /// What the padding holds.
    pub fill: f32,
}

impl Place {
    /// Where a value with this padding lies, its slot still open.
    pub fn of(value: &Value, layout: Layout) -> Place {
        let shape = value.shape.clone();
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let mut place = Place {
            slot: Slot::default(),
            dtype: value.dtype,
            shape,
            strides,
            start: 0,
            planes: None,
            quads: None,
            fill: layout.fill,
        };
        let image = match place.shape[..] {
            [n, c, h, w] => Some((n * c, c, h, w)),
            [c, h, w] => Some((c, c, h, w)),
            _ => None,
        };
        if let Some((channels, c, h, w)) = image.filter(|_| value.dtype == DType::F32) {
            let planes = Planes { channels, grid: Grid::new(h, w, layout.pads) };
            let strides = [c * planes.grid.plane, planes.grid.plane, planes.grid.pitch, 1];
            place.strides = strides[4 - place.shape.len()..].to_vec();
            place.start = planes.grid.cell(0, 0);
            place.planes = Some(planes);
        }
        if let Some((channels, _, h, w)) = image.filter(|_| value.zero.is_some()) {
            place.quads = Some(Quads { channels, grid: Grid::new(h, w, layout.pads) });
        }
        place
    }

    pub fn at(&self, slot: Slot) -> Place {
        Place { slot, ..self.clone() }
    }

    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the elements alone.
    pub fn dense_bytes(&self) -> usize {
        self.elements() * self.dtype.size_bytes()
    }

    /// Bytes that the slot needs, padding and slack included.
    pub fn bytes(&self) -> usize {
        if let Some(quads) = self.quads {
            return quads.bytes();
        }
        let elements = self.planes.map_or(self.elements() + SLACK_CELLS, |p| p.elements());
        elements * self.dtype.size_bytes()
    }

    /// Whether the elements lie in order without gaps.
    pub fn is_dense(&self) -> bool {
        self.quads.is_none() && self.planes.is_none_or(|p| p.grid.is_dense())
    }
}
