//! Which parts the report shows, and their pictures.
//!
//! The loop keeps no images: it would have to allocate. The parts are rendered again and scored again; that the score is
//! the same to the bit is checked, because it is promised (same bytes in, same verdict out).

use jidoka_capture::{SourceConfig, SyntheticConfig, Truth};
use jidoka_line::Judgement;

use super::{Run, conveyor, image, load};
use crate::error::Error;
use crate::report::Picture;
use crate::report::picture::data_uri;
use crate::scorer::Scorer;
use crate::station::record::Seen;

/// Pictures in the report.
const MOST: usize = 12;
/// Side of a picture in pixels; enough for a card, small enough to mail.
const SIDE: u32 = 224;

/// The pictures, and how many of them were scored differently the second time.
pub struct Gallery {
    /// The pictures, in the order in which the parts came.
    pub pictures: Vec<Picture>,
    /// Parts whose second score differs from the first in any bit.
    pub differing: usize,
}

/// Makes the pictures.
pub fn gallery(run: &Run) -> Result<Gallery, Error> {
    let mut scorer = Scorer::new(load(&run.taught, run.show.threads)?, crate::config::Limit::Own, Some(super::ROI))?;
    let mut gallery = Gallery { pictures: Vec::new(), differing: 0 };
    for seen in choose(run) {
        let config =
            SyntheticConfig { first_part: seen.sequence, parts: Some(1), ..conveyor(&run.show, run.show.defect_rate) };
        let part = image(jidoka_capture::open(&SourceConfig::Synthetic(config))?.as_mut())?;
        let scored = scorer.score("a rendered part", &part)?;
        gallery.differing += usize::from(scored.score.to_bits() != seen.score.to_bits());
        let Some((bare, laid)) = scorer.overlay(&part)? else { continue };
        let small = |picture| image::imageops::resize(&picture, SIDE, SIDE, image::imageops::FilterType::Triangle);
        let uri = |picture| data_uri(&picture).map_err(|error| Error::Report(error.to_string()));
        let square = |picture| middle_square(&picture);
        gallery.pictures.push(Picture {
            name: format!("Part {}", seen.part.id.0),
            image: uri(small(square(bare)))?,
            overlay: uri(small(square(laid)))?,
            verdict: if seen.judgement == Judgement::Pass { "pass" } else { "reject" },
            truth: seen.truth.map_or("unknown", Truth::name).replace('-', " "),
            score: format!("{:.3}", seen.score),
        });
    }
    Ok(gallery)
}

fn middle_square(picture: &image::RgbImage) -> image::RgbImage {
    let side = picture.width().min(picture.height());
    let (x, y) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
    image::imageops::crop_imm(picture, x, y, side, side).to_image()
}

/// What went wrong first, then the defects of each kind that were hardest to see, then the good parts that were nearest
/// to being rejected.
fn choose(run: &Run) -> Vec<Seen> {
    let is_good = |seen: &Seen| seen.truth.is_some_and(Truth::is_good);
    let is_wrong = |seen: &Seen| is_good(seen) != (seen.judgement == Judgement::Pass);
    let mut chosen: Vec<Seen> = run.seen.iter().filter(|seen| is_wrong(seen)).take(MOST / 2).copied().collect();
    let mut by_score: Vec<Seen> = run.seen.iter().filter(|seen| !is_wrong(seen)).copied().collect();
    by_score.sort_by(|one, two| one.score.total_cmp(&two.score));
    let mut of_kind = std::collections::BTreeMap::<&str, usize>::new();
    for seen in by_score.iter().filter(|seen| !is_good(seen)) {
        let count = of_kind.entry(seen.truth.map_or("", Truth::name)).or_default();
        *count += 1;
        if *count <= 2 && chosen.len() < MOST - 2 {
            chosen.push(*seen);
        }
    }
    let room = MOST - chosen.len();
    chosen.extend(by_score.iter().rev().filter(|seen| is_good(seen)).take(room.min(2)));
    chosen.sort_by_key(|seen| seen.part.id);
    chosen
}
