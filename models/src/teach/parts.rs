//! Where good parts come from: a folder, or frames in memory.

use std::path::{Path, PathBuf};

use jidoka_capture::images::{self, Image};

use crate::Error;

/// Good parts, each readable more than once, so that teaching needs memory for one at a time.
pub trait Parts {
    /// How many there are.
    fn count(&self) -> usize;

    /// What messages call part `index`.
    fn name(&self, index: usize) -> String;

    /// The image of part `index`.
    ///
    /// # Errors
    /// Where it cannot be read; teaching skips, counts and names it.
    fn read(&mut self, index: usize) -> Result<Image, Error>;
}

/// The image files of a folder, in the order of their names.
#[derive(Clone, Debug)]
pub struct Folder {
    files: Vec<PathBuf>,
}

impl Folder {
    /// Lists a folder.
    ///
    /// # Errors
    /// Where the folder cannot be read or holds no image.
    pub fn open(folder: &Path) -> Result<Folder, Error> {
        Ok(Folder { files: images::list(folder)? })
    }

    /// These files, in this order.
    pub fn of(files: Vec<PathBuf>) -> Folder {
        Folder { files }
    }
}

impl Parts for Folder {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn name(&self, index: usize) -> String {
        self.files[index].display().to_string()
    }

    fn read(&mut self, index: usize) -> Result<Image, Error> {
        Ok(images::decode(&self.files[index])?)
    }
}

/// Frames that were captured before.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    frames: Vec<Image>,
}

impl Frames {
    /// These frames, in this order.
    pub fn new(frames: Vec<Image>) -> Frames {
        Frames { frames }
    }
}

impl Parts for Frames {
    fn count(&self) -> usize {
        self.frames.len()
    }

    fn name(&self, index: usize) -> String {
        format!("frame {index}")
    }

    fn read(&mut self, index: usize) -> Result<Image, Error> {
        Ok(self.frames[index].clone())
    }
}
