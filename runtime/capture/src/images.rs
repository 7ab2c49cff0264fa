//! Image files: list a folder, decode one, write a PNG.
//!
//! For teaching, evaluation and reports; never called inside the loop (decoding allocates).

use std::path::{Path, PathBuf};

use jidoka_prepare::{Encoding, FrameView, Geometry, PixelFormat, Range};

use crate::error::CaptureError;

/// A decoded image that owns its pixels, 8 bits a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// [`PixelFormat::Grey`] or [`PixelFormat::Rgb24`].
    pub format: PixelFormat,
    /// Pixels without padding.
    pub data: Vec<u8>,
}

impl Image {
    /// The image as a frame.
    pub fn view(&self) -> FrameView<'_> {
        FrameView::packed(&self.data, self.width, self.height, self.format)
    }

    /// The image's geometry (full range).
    pub fn geometry(&self) -> Geometry {
        let encoding = Encoding {
            range: Range::Full,
            ..Encoding::default()
        };
        Geometry {
            width: self.width,
            height: self.height,
            format: self.format,
            encoding,
        }
    }
}

/// The image files in a folder (not in folders below it), sorted by name with numbers in numerical order.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let _ = folder;
    unimplemented!("published ahead of its body")
}

/// Decodes a PNG, JPEG or BMP file.
///
/// 16-bit channels are rounded to 8, an alpha channel is laid over black, grey stays grey; anything else becomes RGB.
pub fn decode(path: &Path) -> Result<Image, CaptureError> {
    let _ = path;
    unimplemented!("published ahead of its body")
}

/// A file that was passed over, and why.
#[derive(Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub error: CaptureError,
}

/// Decodes each file in turn; a file that does not decode comes out as an error, so that the caller can name and count
/// it and go on.
pub fn decode_all(paths: &[PathBuf]) -> impl Iterator<Item = Result<(PathBuf, Image), Skipped>> {
    paths.iter().map(|path| match decode(path) {
        Ok(image) => Ok((path.clone(), image)),
        Err(error) => Err(Skipped {
            path: path.clone(),
            error,
        }),
    })
}

/// The bytes of a PNG of a grey or RGB frame.
pub fn encode_png(view: &FrameView<'_>) -> Result<Vec<u8>, CaptureError> {
    let _ = view;
    unimplemented!("published ahead of its body")
}
