//! The part of the sensor that is read out: less of it is more frames a second, and less to prepare.

use jidoka_prepare::Roi;
use v4l::v4l_sys::v4l2_selection;

use super::device::{Camera, TYPE_CAPTURE};
use super::sys::{self, Zeroed};
use crate::error::CaptureError;

const TARGET_CROP: u32 = 0;
const TARGET_BOUNDS: u32 = 2;

impl Camera {
    /// What the sensor could read out at most; none where the driver cannot crop.
    pub fn crop_bounds(&self) -> Option<Roi> {
        self.selection(TARGET_BOUNDS).ok().flatten()
    }

    /// What is read out at present; none where the driver cannot crop.
    pub fn crop(&self) -> Option<Roi> {
        self.selection(TARGET_CROP).ok().flatten()
    }

    /// Sets what is read out, and refuses what is not exactly as asked: a region that is moved by a few pixels would shift
    /// every part against the taught one.
    pub(crate) fn set_crop(&self, crop: Roi) -> Result<(), CaptureError> {
        let refuse = |reason: String| CaptureError::Crop { device: self.path().into(), wanted: crop, reason };
        let Some(bounds) = self.crop_bounds() else {
            return Err(refuse("this camera cannot crop; use [roi], which costs no more than a little time".into()));
        };
        let mut selection = self.blank(TARGET_CROP);
        selection.r.left = i32::try_from(crop.x).unwrap_or(i32::MAX);
        selection.r.top = i32::try_from(crop.y).unwrap_or(i32::MAX);
        (selection.r.width, selection.r.height) = (crop.width, crop.height);
        let Roi { x, y, width, height } = bounds;
        let room = format!("expected a part of {width}x{height} from {x},{y}");
        self.node.ioctl(sys::S_SELECTION, &mut selection).map_err(|error| refuse(format!("{error}; {room}")))?;
        self.check_crop(crop)
    }

    /// Refuses where what is read out is not this.
    pub(crate) fn check_crop(&self, crop: Roi) -> Result<(), CaptureError> {
        match self.crop() {
            Some(got) if got == crop => Ok(()),
            got => {
                let Roi { x, y, width, height } = got.unwrap_or(Roi { x: 0, y: 0, width: 0, height: 0 });
                let reason = format!(
                    "the driver makes {x},{y},{width},{height} of it: take that, or one whose corners and sides suit its steps"
                );
                Err(CaptureError::Crop { device: self.path().into(), wanted: crop, reason })
            }
        }
    }

    fn blank(&self, target: u32) -> v4l2_selection {
        // The API wants the single-planar type of multi-planar devices too; kernels take both since 4.13.
        v4l2_selection { type_: TYPE_CAPTURE, target, ..v4l2_selection::zeroed() }
    }

    fn selection(&self, target: u32) -> std::io::Result<Option<Roi>> {
        let mut selection = self.blank(target);
        self.node.ioctl(sys::G_SELECTION, &mut selection)?;
        let v4l::v4l_sys::v4l2_rect { left, top, width, height } = selection.r;
        let (x, y) = (u32::try_from(left).ok(), u32::try_from(top).ok());
        Ok(x.zip(y).map(|(x, y)| Roi { x, y, width, height }))
    }
}
