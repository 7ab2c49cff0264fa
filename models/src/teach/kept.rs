//! The good parts that a model was taught from, kept beside it, so that more can be added later.
//!
//! A model alone says too little to be taught again as if all parts had been there from the start (a memory bank of one method
//! is no Gaussian of another, and the threshold needs held-out parts). So the prepared pictures are kept, at the model's own
//! size: 196 kB each at 256x256. Teaching again with some more is then the same course with the same result.
//!
//! The file is a line of JSON ([`Head`]) and then the pixels of each picture, RGB, one after the other.

use jidoka_capture::PixelFormat;
use jidoka_capture::images::Image;
use serde::{Deserialize, Serialize};

use super::{Options, Parts, SkippedImage};
use crate::Error;
use crate::inspection::{ImageInput, Layout};
use crate::preparation::Preparation;

/// The version of the file that is written and the newest that is read.
const VERSION: u32 = 1;
/// Pictures that are kept; of more, as many evenly chosen ones.
const MOST: usize = 400;
/// Bytes of all pictures that are kept: a third more than the 400 of 512x512.
const MOST_BYTES: usize = 512 << 20;
/// Bytes of one picture beyond which the file cannot be one.
const LARGEST: usize = 3 * 4096 * 4096;

/// The first line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    kept_parts: u32,
    width: u32,
    height: u32,
    names: Vec<String>,
    /// What the one who taught wants to know again, as it was handed in.
    note: String,
}

/// Good parts as a model saw them.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    head: Head,
    pictures: Vec<Vec<u8>>,
    /// Why images could not be kept; not in the file.
    skipped: Vec<SkippedImage>,
}

impl Kept {
    /// Prepares every usable image of `parts` as a model of `width` x `height` pixels takes it, at most 400 and half a gigabyte of them. `note`
    /// comes back with [`Kept::note`].
    ///
    /// # Errors
    /// Where the region of interest does not lie in an image, or none can be used.
    pub fn of(
        parts: &mut dyn Parts,
        options: &Options,
        (width, height): (u32, u32),
        note: &str,
    ) -> Result<Kept, Error> {
        let input = ImageInput { width, height, channels: 3, layout: Layout::U8Pixels };
        let preparation = Preparation::new(input, options.roi, options.fit, options.filter);
        let mut preparation = preparation.corrected(options.corrections.clone());
        let head = Head { kept_parts: VERSION, width, height, names: Vec::new(), note: note.to_owned() };
        let mut kept = Kept { head, pictures: Vec::new(), skipped: Vec::new() };
        let room = MOST_BYTES / (3 * width as usize * height as usize).max(1);
        let count = parts.count().min(MOST).min(room.max(super::MIN_IMAGES));
        for k in 0..count {
            let index = k * parts.count() / count;
            let name = parts.name(index);
            let mut pixels = vec![0; 3 * width as usize * height as usize];
            match parts.read(index).and_then(|image| preparation.fill_u8(&name, &image, &mut pixels)) {
                Ok(()) => kept.push(name, pixels),
                Err(error) => kept.skipped.push(SkippedImage::of(name, &error)),
            }
        }
        if kept.count() == 0 {
            let skipped = kept.skipped.into_iter().map(|s| format!("{}: {}", s.name, s.reason)).collect();
            return Err(Error::TooFewImages { usable: 0, found: parts.count(), needed: 1, skipped });
        }
        Ok(kept)
    }

    /// Reads a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Kept`] where it is none, or truncated, or of a newer version.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Kept, Error> {
        let wrong = |reason: String| Error::Kept { name: name.to_owned(), reason };
        let end = bytes.iter().position(|&b| b == b'\n').ok_or_else(|| wrong("it has no first line".to_owned()))?;
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(|e| wrong(format!("its first line: {e}")))?;
        if head.kept_parts > VERSION {
            return Err(wrong(format!("it is of version {}, newer than this program's {VERSION}", head.kept_parts)));
        }
        let size = 3 * head.width as usize * head.height as usize;
        let rest = &bytes[end + 1..];
        if size == 0 || size > LARGEST || head.names.len().checked_mul(size) != Some(rest.len()) {
            return Err(wrong(format!(
                "{} bytes follow its first line, which announces {} pictures of {}x{}",
                rest.len(),
                head.names.len(),
                head.width,
                head.height
            )));
        }
        let pictures = rest.chunks_exact(size).map(<[u8]>::to_vec).collect();
        Ok(Kept { head, pictures, skipped: Vec::new() })
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        // A struct of numbers and strings cannot fail to serialise.
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        self.pictures.iter().for_each(|p| bytes.extend_from_slice(p));
        bytes
    }

    /// Adds what another one holds, which must be of the same size; pictures that are here already to the bit are left out.
    /// Returns how many were added.
    ///
    /// # Errors
    /// [`Error::Kept`] where the sizes differ.
    pub fn add(&mut self, other: Kept) -> Result<usize, Error> {
        let size = |k: &Kept| (k.head.width, k.head.height);
        if size(self) != size(&other) {
            let reason = format!("pictures of {:?} do not go with pictures of {:?}", size(&other), size(self));
            return Err(Error::Kept { name: "kept parts".to_owned(), reason });
        }
        let before = self.count();
        for (name, picture) in other.head.names.into_iter().zip(other.pictures) {
            if !self.pictures.contains(&picture) {
                self.push(name, picture);
            }
        }
        Ok(self.count() - before)
    }

    /// Width and height of the pictures.
    pub fn size(&self) -> (u32, u32) {
        (self.head.width, self.head.height)
    }

    /// Images that could not be kept.
    pub fn skipped(&self) -> &[SkippedImage] {
        &self.skipped
    }

    /// What was handed in when they were kept.
    pub fn note(&self) -> &str {
        &self.head.note
    }

    fn push(&mut self, name: String, picture: Vec<u8>) {
        self.head.names.push(name);
        self.pictures.push(picture);
    }
}

impl Parts for Kept {
    fn count(&self) -> usize {
        self.pictures.len()
    }

    fn name(&self, index: usize) -> String {
        self.head.names[index].clone()
    }

    fn read(&mut self, index: usize) -> Result<Image, Error> {
        let (width, height) = self.size();
        Ok(Image { width, height, format: PixelFormat::Rgb24, data: self.pictures[index].clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frames;
    use super::*;

    fn frames(range: std::ops::Range<u8>) -> Frames {
        let frame = |v: u8| Image { width: 40, height: 30, format: PixelFormat::Grey, data: vec![v; 1200] };
        Frames::new(range.map(frame).collect())
    }

    fn kept(range: std::ops::Range<u8>) -> Kept {
        Kept::of(&mut frames(range), &Options::default(), (32, 32), "a note").unwrap()
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_added_is_added_once() {
        let mut first = kept(0..6);
        assert_eq!(Kept::decode("m.parts", &first.encode()).unwrap(), first);
        assert_eq!((first.note(), first.size(), first.count()), ("a note", (32, 32), 6));
        assert_eq!(first.read(5).unwrap().data, vec![5; 3 * 32 * 32]);
        assert_eq!(first.add(kept(4..9)).unwrap(), 3);
        assert_eq!(first.add(kept(4..9)).unwrap(), 0);
    }

    #[test]
    fn files_that_are_none_are_refused_by_name() {
        let good = kept(0..6).encode();
        let newer = String::from_utf8_lossy(&good).replace("\"kept_parts\":1", "\"kept_parts\":2").into_bytes();
        for (bytes, word) in [
            (&good[..good.len() - 1], "announces 6 pictures"),
            (&good[..20], "first line"),
            (b"{}\n", "first line"),
            (b"", "first line"),
            (&newer, "newer"),
        ] {
            let text = Kept::decode("m.parts", bytes).unwrap_err().to_string();
            assert!(text.contains("m.parts") && text.contains(word), "`{word}` is not in: {text}");
        }
    }
}
