//! The images of a course as inputs of the backbone, prepared once where memory allows.

use sha2::{Digest, Sha256};

use super::quality::Quality;
use super::{Options, Parts, Progress, SkippedImage};
use crate::inspection::{ImageInput, Layout, hex};
use crate::preparation::Preparation;
use crate::{Error, teach::MIN_IMAGES};

/// Prepared images that are kept: 85 of 256x256 pixels.
const CACHE_BYTES: usize = 64 << 20;

/// The usable images of a course.
pub(super) struct Inputs<'a> {
    parts: &'a mut dyn Parts,
    preparation: Preparation,
    usable: Vec<usize>,
    kept: Vec<Option<Vec<f32>>>,
    /// Width and height of the backbone's input.
    pub size: (u32, u32),
    /// What can be said of the pictures themselves.
    pub quality: Quality,
    /// Images that cannot be used.
    pub skipped: Vec<SkippedImage>,
    /// Width and height of the images that can, without repetition.
    pub sizes: Vec<(u32, u32)>,
    /// sha256 over the pixels of all usable images, in order.
    pub sha256: String,
}

impl<'a> Inputs<'a> {
    /// Reads every image once, to know which can be used.
    ///
    /// # Errors
    /// [`Error::TooFewImages`].
    pub fn open(
        parts: &'a mut dyn Parts,
        options: &Options,
        (width, height): (u32, u32),
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Inputs<'a>, Error> {
        let input = ImageInput { width, height, channels: 3, layout: Layout::F32Planes };
        let roi = options.roi.filter(|_| !options.prepared);
        let preparation = Preparation::new(input, roi, options.fit, options.filter);
        let preparation = match options.prepared {
            true => preparation,
            false => preparation.corrected(options.corrections.clone()),
        };
        let mut inputs = Inputs {
            parts,
            preparation,
            usable: Vec::new(),
            kept: Vec::new(),
            size: (width, height),
            quality: Quality::default(),
            skipped: Vec::new(),
            sizes: Vec::new(),
            sha256: String::new(),
        };
        let mut digest = Sha256::new();
        let values = 3 * width as usize * height as usize;
        for index in 0..inputs.parts.count() {
            let mut prepared = vec![0.0; values];
            if let Err(error) = inputs.take(index, &mut prepared, &mut digest) {
                let skipped = SkippedImage::of(inputs.parts.name(index), &error);
                progress(Progress::Skipped { name: &skipped.name, reason: &skipped.reason });
                inputs.skipped.push(skipped);
                continue;
            }
            let room = (inputs.usable.len() + 1) * values * size_of::<f32>() <= CACHE_BYTES;
            inputs.quality.look(&prepared, (width as usize, height as usize));
            inputs.usable.push(index);
            inputs.kept.push(room.then_some(prepared));
        }
        inputs.sha256 = hex(&digest.finalize());
        if inputs.usable.len() < MIN_IMAGES {
            return Err(Error::TooFewImages {
                usable: inputs.usable.len(),
                found: inputs.parts.count(),
                needed: MIN_IMAGES,
                skipped: inputs.skipped.iter().map(|s| format!("{}: {}", s.name, s.reason)).collect(),
            });
        }
        Ok(inputs)
    }

    fn take(&mut self, index: usize, prepared: &mut [f32], digest: &mut Sha256) -> Result<(), Error> {
        let image = self.parts.read(index)?;
        self.preparation.fill_f32(&self.parts.name(index), &image, prepared)?;
        digest.update(&image.data);
        if !self.sizes.contains(&(image.width, image.height)) {
            self.sizes.push((image.width, image.height));
        }
        Ok(())
    }

    /// How many images can be used.
    pub fn count(&self) -> usize {
        self.usable.len()
    }

    /// What messages call usable image `index`.
    pub fn name(&self, index: usize) -> String {
        self.parts.name(self.usable[index])
    }

    /// Writes usable image `index` into a backbone's input.
    ///
    /// # Errors
    /// Where the image can no longer be read.
    pub fn fill(&mut self, index: usize, input: &mut [f32]) -> Result<(), Error> {
        if let Some(prepared) = &self.kept[index] {
            input.copy_from_slice(prepared);
            return Ok(());
        }
        let part = self.usable[index];
        let image = self.parts.read(part)?;
        self.preparation.fill_f32(&self.parts.name(part), &image, input)
    }
}
