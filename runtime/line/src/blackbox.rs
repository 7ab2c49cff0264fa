//! The black box: the last notes of the line in a block of bytes with a fixed layout, so that they can be read after a crash.
//!
//! The block may be any memory that outlives the process (a shared mapping of a file, battery-backed RAM). Nothing is ever
//! moved: the newest record overwrites the oldest. Each record carries its number and a checksum, so that one torn by a crash
//! is left out and the others stand. Integers are little-endian.
//!
//! | bytes | header (16) | | bytes | record (32) |
//! |---|---|---|---|---|
//! | 0..8 | `JDKBBOX1` | | 0..8 | number, from 1; 0 is an empty record |
//! | 8..12 | bytes in a record: 32 | | 8..16 | moment, microseconds |
//! | 12..16 | records | | 16..24 | value (part, pulse and part, count) |
//! | | | | 24..28 | extra (frame number, microseconds late) |
//! | | | | 28 | [`Kind`] |
//! | | | | 29 | detail (outcome, alarm, signal, ejector) |
//! | | | | 30..32 | checksum of bytes 0..30 |

use crate::event::{Note, What};
use crate::line::Mode;
use crate::time::Micros;
use crate::verdict::Outcome;

const MAGIC: &[u8; 8] = b"JDKBBOX1";
const HEADER_BYTES: usize = 16;
const RECORD_BYTES: usize = 32;

/// What a record is about. The numbers are the layout; new kinds get new numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The process began; value: its process id or build.
    Start = 1,
    /// An ejector went on; value: the part, extra: how late, detail: which ejector.
    PulseOn = 2,
    /// An ejector went off; value: the pulse, detail: which ejector.
    PulseOff = 3,
    /// A part passed; value: the part, extra: its frame's number.
    Passed = 4,
    /// A part was rejected; value: the part, extra: its frame's number, detail: why.
    Rejected = 5,
    /// A part was missed; value: the part, extra: its frame's number, detail: why.
    Missed = 6,
    /// Triggers were lost; value: the first part, extra: how many.
    Lost = 7,
    /// An alarm was raised; detail: which.
    Raised = 8,
    /// Alarms were acknowledged.
    Acknowledged = 9,
    /// The mode changed; detail: 0 starting, 1 running, 2 holding, 3 stopped.
    Mode = 10,
    /// The recipe changed; value: which.
    Recipe = 11,
    /// A pin could not be set; detail: which signal.
    PinFailed = 12,
}

impl Kind {
    const ALL: [Kind; 12] = [
        Kind::Start,
        Kind::PulseOn,
        Kind::PulseOff,
        Kind::Passed,
        Kind::Rejected,
        Kind::Missed,
        Kind::Lost,
        Kind::Raised,
        Kind::Acknowledged,
        Kind::Mode,
        Kind::Recipe,
        Kind::PinFailed,
    ];
}

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number, counted over the life of the black box.
    pub number: u64,
    /// When.
    pub at: Micros,
    /// What it is about.
    pub kind: Kind,
    /// See [`Kind`].
    pub detail: u8,
    /// See [`Kind`].
    pub extra: u32,
    /// See [`Kind`].
    pub value: u64,
}

/// The block is too small to hold a header and a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooSmall {
    /// Its size.
    pub bytes: usize,
    /// The least.
    pub least: usize,
}

impl core::fmt::Display for TooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a black box of {} bytes is too small\n  expected: at least {} bytes", self.bytes, self.least)
    }
}

impl core::error::Error for TooSmall {}

/// How many bytes a black box of so many records takes.
pub const fn bytes_for(records: usize) -> usize {
    HEADER_BYTES + records.saturating_mul(RECORD_BYTES)
}

/// Writes the black box.
pub struct BlackBox<'a> {
    records: &'a mut [[u8; RECORD_BYTES]],
    next: u64,
}

impl<'a> BlackBox<'a> {
    /// Begins to write into `bytes`, after what is there already if it is a black box, otherwise from the start.
    ///
    /// # Errors
    /// Where not even one record fits.
    pub fn new(bytes: &'a mut [u8]) -> Result<BlackBox<'a>, TooSmall> {
        let size = bytes.len();
        let small = TooSmall { bytes: size, least: HEADER_BYTES + RECORD_BYTES };
        let last = read(bytes).map(|entry| entry.number).max().unwrap_or(0);
        let (header, body) = bytes.split_at_mut_checked(HEADER_BYTES).ok_or(small)?;
        let (records, _) = body.as_chunks_mut::<RECORD_BYTES>();
        if records.is_empty() {
            return Err(small);
        }
        let fresh = header_of(records.len());
        if header != fresh {
            records.fill([0; RECORD_BYTES]);
            header.copy_from_slice(&fresh);
        }
        Ok(BlackBox { records, next: last.saturating_add(1) })
    }

    /// Writes that a process began.
    pub fn start(&mut self, at: Micros, value: u64) {
        self.write(at, Kind::Start, 0, 0, value);
    }

    /// Writes a note.
    pub fn record(&mut self, note: &Note) {
        let at = note.at;
        match note.what {
            What::PulseOn { ejector, part, late, .. } => {
                self.write(at, Kind::PulseOn, ejector.0, lateness(late), part.0);
            }
            What::PulseOff { pulse, ejector, late } => {
                self.write(at, Kind::PulseOff, ejector.0, lateness(late.unwrap_or(0)), u64::from(pulse.0));
            }
            What::Left(departure) => {
                let sequence = departure.evidence.map_or(0, |evidence| evidence.sequence);
                let kind = match departure.outcome {
                    Outcome::Pass => Kind::Passed,
                    Outcome::Reject { .. } => Kind::Rejected,
                    Outcome::Missed => Kind::Missed,
                };
                self.write(at, kind, departure.why as u8, sequence, departure.part.id.0);
            }
            What::Lost { first, count } => {
                self.write(at, Kind::Lost, 0, u32::try_from(count).unwrap_or(u32::MAX), first.0);
            }
            What::Raised(alarm) => self.write(at, Kind::Raised, alarm as u8, 0, 0),
            What::Acknowledged => self.write(at, Kind::Acknowledged, 0, 0, 0),
            What::Mode(mode) => {
                let detail = match mode {
                    Mode::Starting => 0,
                    Mode::Running => 1,
                    Mode::Holding { .. } => 2,
                    Mode::Stopped => 3,
                };
                self.write(at, Kind::Mode, detail, 0, 0);
            }
            What::Recipe(recipe) => self.write(at, Kind::Recipe, 0, 0, u64::from(recipe.0)),
            What::PinFailed(signal) => self.write(at, Kind::PinFailed, signal as u8, 0, 0),
        }
    }

    fn write(&mut self, at: Micros, kind: Kind, detail: u8, extra: u32, value: u64) {
        let entry = Entry { number: self.next, at, kind, detail, extra, value };
        let count = self.records.len() as u64;
        let index = (self.next - 1).checked_rem(count).unwrap_or(0) as usize;
        if let Some(place) = self.records.get_mut(index) {
            *place = entry.encode();
        }
        self.next = self.next.saturating_add(1);
    }
}

/// The whole records of a black box, in the order in which they lie in it; sort by [`Entry::number`] to have them in time.
/// Nothing where `bytes` is not a black box.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    let body = match bytes.split_at_checked(HEADER_BYTES) {
        Some((header, body)) if header == header_of(body.len() / RECORD_BYTES) => body,
        _ => &[],
    };
    let (records, _) = body.as_chunks::<RECORD_BYTES>();
    records.iter().filter_map(Entry::decode)
}

fn lateness(late: i64) -> u32 {
    u32::try_from(late).unwrap_or(if late < 0 { 0 } else { u32::MAX })
}

fn header_of(records: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let sizes = [RECORD_BYTES as u32, records as u32];
    let bytes = MAGIC.iter().copied().chain(sizes.into_iter().flat_map(u32::to_le_bytes));
    for (place, byte) in header.iter_mut().zip(bytes) {
        *place = byte;
    }
    header
}

impl Entry {
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        let fields = self.number.to_le_bytes().into_iter().chain(self.at.as_u64().to_le_bytes());
        let fields = fields.chain(self.value.to_le_bytes()).chain(self.extra.to_le_bytes());
        for (place, byte) in record.iter_mut().zip(fields.chain([self.kind as u8, self.detail])) {
            *place = byte;
        }
        let sum = checksum(&record);
        if let Some(place) = record.last_chunk_mut::<2>() {
            *place = sum.to_le_bytes();
        }
        record
    }

    fn decode(record: &[u8; RECORD_BYTES]) -> Option<Entry> {
        let (number, rest) = record.split_first_chunk::<8>()?;
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (value, rest) = rest.split_first_chunk::<8>()?;
        let (extra, rest) = rest.split_first_chunk::<4>()?;
        let [kind, detail, sum @ ..] = rest else { return None };
        let number = u64::from_le_bytes(*number);
        if number == 0 || sum != checksum(record).to_le_bytes() {
            return None;
        }
        Some(Entry {
            number,
            at: Micros::new(u64::from_le_bytes(*at)),
            kind: Kind::ALL.into_iter().find(|known| *known as u8 == *kind)?,
            detail: *detail,
            extra: u32::from_le_bytes(*extra),
            value: u64::from_le_bytes(*value),
        })
    }
}

/// CRC-16/CCITT of all but the last two bytes: notices every wrong byte and every run of wrong bits up to sixteen. It does not
/// begin with zero, so that an all-zero record differs from a written one.
fn checksum(record: &[u8; RECORD_BYTES]) -> u16 {
    record.iter().take(RECORD_BYTES - 2).fold(0xFFFF, |sum, byte| {
        let mixed = sum ^ (u16::from(*byte) << 8);
        (0..8).fold(mixed, |sum, _| if sum & 0x8000 != 0 { (sum << 1) ^ 0x1021 } else { sum << 1 })
    })
}

#[cfg(test)]
mod tests;
