//! Conversion of integers and truth values to `f32`, and of these to indices.

use super::walk::Walk;
use super::{Context, Made, Step};
use crate::RunError;
use crate::kernels::Number;
use crate::memory::Memory;
use crate::model::DType;
use crate::plan::Place;

struct Cast {
    from: Place,
    to: Place,
    walk: Walk,
}

pub(super) fn build(from: &Place, to: &Place) -> Result<Made, String> {
    let indices = [DType::I64, DType::I32];
    let known = indices.contains(&to.dtype) && matches!(from.dtype, DType::F32 | DType::I32 | DType::I64 | DType::Bool)
        || to.dtype == DType::F32;
    if !known && to.dtype != from.dtype {
        return Err(format!("no conversion from {:?} to {:?}", from.dtype, to.dtype));
    }
    let walk = Walk::new(&to.shape, &[from.strides.clone(), to.strides.clone()])?;
    Ok(Made::simple(Cast { from: from.clone(), to: to.clone(), walk }))
}

impl Cast {
    fn convert<S: Number, T: Number>(&self, memory: &mut Memory, convert: impl Fn(S) -> T) {
        let (rest, to) = memory.split::<T>(self.to.slot);
        let from = rest.read::<S>(self.from.slot);
        let (row, steps) = (self.walk.row(), self.walk.row_steps());
        self.walk.rows([self.from.start, self.to.start], |[f, t]| {
            for i in 0..row {
                to[t + i * steps[1]] = convert(from[f + i * steps[0]]);
            }
        });
    }
}

impl Step for Cast {
    fn run(&mut self, memory: &mut Memory, _: &Context) -> Result<(), RunError> {
        match (self.from.dtype, self.to.dtype) {
            (DType::U8 | DType::Bool, DType::F32) => self.convert::<u8, f32>(memory, f32::from),
            (DType::I8, DType::F32) => self.convert::<i8, f32>(memory, f32::from),
            (DType::I32, DType::F32) => self.convert::<i32, f32>(memory, |v| v as f32),
            (DType::I64, DType::F32) => self.convert::<i64, f32>(memory, |v| v as f32),
            (DType::F32, DType::I64) => self.convert::<f32, i64>(memory, |v| v as i64),
            (DType::F32, DType::I32) => self.convert::<f32, i32>(memory, |v| v as i32),
            (DType::I32, DType::I64) => self.convert::<i32, i64>(memory, i64::from),
            (DType::I64, DType::I32) => self.convert::<i64, i32>(memory, |v| v as i32),
            (DType::Bool, DType::I64) => self.convert::<u8, i64>(memory, i64::from),
            (DType::Bool, DType::I32) => self.convert::<u8, i32>(memory, i32::from),
            (DType::I64, _) => self.convert::<i64, i64>(memory, |v| v),
            (DType::F32, _) => self.convert::<f32, f32>(memory, |v| v),
            (DType::I32, _) => self.convert::<i32, i32>(memory, |v| v),
            _ => self.convert::<u8, u8>(memory, |v| v),
        }
        Ok(())
    }
}
