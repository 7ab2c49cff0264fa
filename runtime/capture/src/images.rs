//! Image files: list a folder, decode one, write a PNG.
//!
//! For teaching, evaluation and reports; never called inside the loop (decoding allocates).

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::ImageEncoder;
use jidoka_prepare::{Encoding, FrameView, Geometry, MAX_SIDE, PixelFormat, Range};

use crate::error::CaptureError;

/// File name endings that count as images.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];

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
        let encoding = Encoding { range: Range::Full, ..Encoding::default() };
        Geometry { width: self.width, height: self.height, format: self.format, encoding }
    }
}

/// The image files in a folder (not in folders below it), sorted by name with numbers in numerical order.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let io = |error| CaptureError::Io { path: folder.to_path_buf(), error };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if has_image_name(&path) && path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(CaptureError::NoImages { path: folder.to_path_buf() });
    }
    paths.sort_by_cached_key(|path| natural_key(path));
    Ok(paths)
}

fn has_image_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// `part10.png` sorts after `part9.png`: runs of digits compare by length first, which is by value once the leading
/// zeros are gone. The name itself comes last, so that `01` and `1` have a fixed order too.
fn natural_key(path: &Path) -> (Vec<(usize, String)>, PathBuf) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut key: Vec<(usize, String)> = Vec::new();
    let mut rest = name.as_str();
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if digits {
            let value = run.trim_start_matches('0');
            key.push((value.len(), value.to_string()));
        } else {
            // Text sorts after any number in the same place, as in most file managers.
            key.push((usize::MAX, run.to_string()));
        }
        rest = after;
    }
    (key, path.to_path_buf())
}

/// Decodes a PNG, JPEG or BMP file, by its content whatever its name.
///
/// Grey stays grey and everything else becomes RGB; 16-bit channels are rounded to 8, an alpha channel and an EXIF
/// orientation are ignored (as Pillow's `convert("RGB")` does). Larger sides than [`MAX_SIDE`] are refused.
pub fn decode(path: &Path) -> Result<Image, CaptureError> {
    let bytes = std::fs::read(path).map_err(|error| CaptureError::Io { path: path.to_path_buf(), error })?;
    decode_bytes(&bytes).map_err(|reason| CaptureError::Image { path: path.to_path_buf(), reason })
}

/// As [`decode`], from memory; the error is the reason alone.
pub fn decode_bytes(bytes: &[u8]) -> Result<Image, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let mut reader = image::ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    if reader.format().is_none() {
        return Err("neither PNG, JPEG nor BMP".into());
    }
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| error.to_string())?;
    let (width, height) = (decoded.width(), decoded.height());
    if width == 0 || height == 0 {
        return Err(format!("it has no pixels ({width}x{height})"));
    }
    let grey = !decoded.color().has_color();
    let (format, data) = if grey {
        (PixelFormat::Grey, decoded.into_luma8().into_raw())
    } else {
        (PixelFormat::Rgb24, decoded.into_rgb8().into_raw())
    };
    Ok(Image { width, height, format, data })
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
        Err(error) => Err(Skipped { path: path.clone(), error }),
    })
}

/// The bytes of a PNG of a frame in [`PixelFormat::Grey`] or [`PixelFormat::Rgb24`].
pub fn encode_png(view: &FrameView<'_>) -> Result<Vec<u8>, CaptureError> {
    let color = match view.format {
        PixelFormat::Grey => image::ExtendedColorType::L8,
        PixelFormat::Rgb24 => image::ExtendedColorType::Rgb8,
        other => {
            return Err(refuse_encoding(format!("{other} frames are not written as PNG; convert them to RGB24")));
        }
    };
    let line = view.format.line_bytes(view.width);
    let mut pixels = Vec::with_capacity(line * view.height as usize);
    for y in 0..view.height as usize {
        let start = y * view.stride;
        let row = view.data.get(start..start + line);
        pixels.extend_from_slice(row.ok_or_else(|| refuse_encoding("the frame ends before its last line".into()))?);
    }
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&pixels, view.width, view.height, color)
        .map_err(|error| refuse_encoding(error.to_string()))?;
    Ok(bytes)
}

fn refuse_encoding(reason: String) -> CaptureError {
    CaptureError::Encode { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png_of(pixels: &[u8], width: u32, height: u32, color: image::ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.write_image(pixels, width, height, color).expect("encodes");
        bytes
    }

    #[test]
    fn numbers_in_names_sort_by_value() {
        let names = ["b2.png", "a10.png", "a9.png", "a09.png", "a1b.png", "a.png", "7.png"];
        let mut paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        paths.sort_by_cached_key(|path| natural_key(path));
        let sorted: Vec<_> = paths.iter().map(|p| p.to_str().expect("utf-8")).collect();
        assert_eq!(sorted, ["7.png", "a1b.png", "a09.png", "a9.png", "a10.png", "a.png", "b2.png"]);
    }

    #[test]
    fn a_folder_without_images_is_refused_and_other_files_are_passed_over() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("notes.txt"), "x").expect("writes");
        std::fs::create_dir(folder.path().join("folder.png")).expect("creates");
        let error = list(folder.path()).expect_err("no images").to_string();
        assert!(error.contains("no images") && error.contains(".png"), "{error}");
        for name in ["b.PNG", "a.jpeg", ".hidden.png"] {
            std::fs::write(folder.path().join(name), "x").expect("writes");
        }
        let found = list(folder.path()).expect("lists");
        let names: Vec<_> = found.iter().map(|p| p.file_name().expect("a name").to_string_lossy()).collect();
        assert_eq!(names, ["a.jpeg", "b.PNG"]);
        let missing = list(&folder.path().join("nowhere")).expect_err("missing").to_string();
        assert!(missing.contains("nowhere"), "{missing}");
    }

    #[test]
    fn every_channel_layout_becomes_grey_or_rgb() {
        use image::ExtendedColorType::{L8, L16, La8, Rgb8, Rgb16, Rgba8};
        let sixteen = |values: &[u16]| values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
        let cases: [(Vec<u8>, image::ExtendedColorType, PixelFormat, Vec<u8>); 6] = [
            (vec![3, 9], L8, PixelFormat::Grey, vec![3, 9]),
            (vec![3, 255, 9, 0], La8, PixelFormat::Grey, vec![3, 9]),
            (sixteen(&[0x0100, 0xffff]), L16, PixelFormat::Grey, vec![1, 255]),
            (vec![1, 2, 3, 4, 5, 6], Rgb8, PixelFormat::Rgb24, vec![1, 2, 3, 4, 5, 6]),
            (vec![1, 2, 3, 255, 4, 5, 6, 0], Rgba8, PixelFormat::Rgb24, vec![1, 2, 3, 4, 5, 6]),
            (sixteen(&[257, 514, 771, 0, 65535, 128]), Rgb16, PixelFormat::Rgb24, vec![1, 2, 3, 0, 255, 0]),
        ];
        for (pixels, color, format, expected) in cases {
            let image = decode_bytes(&png_of(&pixels, 2, 1, color)).expect("decodes");
            assert_eq!((image.width, image.height, image.format), (2, 1, format), "{color:?}");
            assert_eq!(image.data, expected, "{color:?}");
        }
    }

    #[test]
    fn a_png_comes_back_as_it_was_written() {
        let data: Vec<u8> = (0..40).collect();
        let view = FrameView::new(&data, 3, 4, 10, PixelFormat::Rgb24);
        let image = decode_bytes(&encode_png(&view).expect("encodes")).expect("decodes");
        let expected: Vec<u8> = (0..4).flat_map(|y| y * 10..y * 10 + 9).collect();
        assert_eq!(image.data, expected);
        let short = FrameView { data: &data[..30], ..view };
        assert!(encode_png(&short).is_err());
        let yuyv = FrameView { format: PixelFormat::Yuyv, ..view };
        assert!(encode_png(&yuyv).expect_err("YUYV").to_string().contains("YUYV"));
    }

    #[test]
    fn what_does_not_decode_is_named_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let good = png_of(&[1, 2], 2, 1, image::ExtendedColorType::L8);
        let files: [(&str, &[u8]); 4] =
            [("1.png", &good), ("2.png", b""), ("3.png", b"hello"), ("4.png", &good[..good.len() / 2])];
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("writes");
        }
        let paths = list(folder.path()).expect("lists");
        let results: Vec<_> = decode_all(&paths).collect();
        assert!(results[0].is_ok());
        for (result, part) in results[1..].iter().zip(["empty", "neither PNG", "4.png"]) {
            let skipped = result.as_ref().expect_err("does not decode");
            let text = skipped.error.to_string();
            assert!(text.contains(part) && text.contains(".png"), "{text}");
        }
    }
}
