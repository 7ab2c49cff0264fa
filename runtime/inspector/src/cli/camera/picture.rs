//! Frames as pictures: one as it is, or the mean of many of a white target.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use jidoka_capture::images::{self, Image};
use serde_json::json;

use super::super::{teach, ui};
use super::Which;
use crate::error::Error;

/// Take one frame and write it as a PNG
#[derive(clap::Args)]
pub struct Snapshot {
    #[command(flatten)]
    which: Which,
    /// Frames to let go by first: many cameras need some to settle their exposure
    #[arg(long, default_value_t = 5)]
    skip: u32,
    /// The picture to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Average frames of an evenly white target
#[derive(clap::Args)]
pub struct White {
    #[command(flatten)]
    which: Which,
    /// Frames that are averaged: their noise would stay in every frame otherwise
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1000))]
    frames: u32,
    /// The picture to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Takes a frame.
pub fn snapshot(args: &Snapshot, as_json: bool) -> Result<(), Error> {
    let (mut source, config) = args.which.open()?;
    let raw = config.map(|config| config.seeing.raw).unwrap_or_default();
    let images = teach::take(source.as_mut(), raw, args.skip + 1, Duration::ZERO, &ProgressBar::hidden())?;
    let Some(image) = images.last() else {
        return Err(Error::Usage(format!("{}: it ended before the first frame", source.describe())));
    };
    write(&args.out, image, &source.describe(), as_json)
}

/// Takes a white frame, and says at once whether it can be divided by.
pub fn white(args: &White, as_json: bool) -> Result<(), Error> {
    let (mut source, config) = args.which.open()?;
    let raw = config.map(|config| config.seeing.raw).unwrap_or_default();
    let bar = ui::progress(u64::from(args.frames), "taking frames");
    let images = teach::take(source.as_mut(), raw, args.frames, Duration::ZERO, &bar)?;
    bar.finish_and_clear();
    let Some(first) = images.first() else {
        return Err(Error::Usage(format!("{}: it ended before the first frame", source.describe())));
    };
    let mean = Image { data: mean(&images), ..first.clone() };
    let corrections = jidoka_prepare::Corrections { white: Some(picture(&mean)), align: None };
    let spec = jidoka_prepare::Spec::new(mean.geometry(), 64, 64);
    jidoka_prepare::Preparer::corrected(&spec, &corrections)
        .map_err(|error| Error::Usage(format!("{}: {error}", source.describe())))?;
    write(&args.out, &mean, &source.describe(), as_json)
}

/// The mean of images of one size, rounded half up.
fn mean(images: &[Image]) -> Vec<u8> {
    let count = images.len() as u32;
    let len = images.first().map_or(0, |image| image.data.len());
    let sum = |at: usize| images.iter().map(|image| u32::from(image.data[at])).sum::<u32>();
    (0..len).map(|at| ((sum(at) + count / 2) / count.max(1)) as u8).collect()
}

/// An image as corrections take it.
pub fn picture(image: &Image) -> jidoka_prepare::Picture {
    jidoka_prepare::Picture { width: image.width, height: image.height, format: image.format, data: image.data.clone() }
}

fn write(out: &std::path::Path, image: &Image, camera: &str, as_json: bool) -> Result<(), Error> {
    jidoka_models::write_atomic(out, &images::encode_png(&image.view())?)?;
    if as_json {
        ui::say_json(&json!({ "camera": camera, "image": out, "width": image.width, "height": image.height }));
    } else {
        ui::say(format!("  {camera}\n  wrote {} ({}x{})", out.display(), image.width, image.height));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jidoka_capture::PixelFormat;

    #[test]
    fn the_mean_of_frames_is_rounded() {
        let image = |data: &[u8]| Image { width: 3, height: 1, format: PixelFormat::Grey, data: data.to_vec() };
        assert_eq!(mean(&[image(&[0, 10, 255]), image(&[1, 20, 255])]), [1, 15, 255]);
        assert_eq!(mean(&[]), Vec::<u8>::new());
    }
}
