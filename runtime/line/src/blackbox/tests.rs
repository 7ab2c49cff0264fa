use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::alarm::Alarm;

fn note(at: u64) -> Note {
    Note { at: Micros::new(at), what: What::Raised(Alarm::MissedPart) }
}

fn moments(bytes: &[u8]) -> Vec<u64> {
    let mut entries: Vec<_> = read(bytes).collect();
    entries.sort_by_key(|entry| entry.number);
    entries.iter().map(|entry| entry.at.as_u64()).collect()
}

#[test]
fn keeps_the_last_records() {
    let mut bytes = vec![0; HEADER_BYTES + 4 * RECORD_BYTES];
    let mut black_box = BlackBox::new(&mut bytes).unwrap();
    (1..=10).for_each(|at| black_box.record(&note(at)));
    assert_eq!(moments(&bytes), [7, 8, 9, 10]);
}

#[test]
fn a_new_process_goes_on_where_the_last_one_ended() {
    let mut bytes = vec![0xAA; HEADER_BYTES + 4 * RECORD_BYTES];
    BlackBox::new(&mut bytes).unwrap().record(&note(1));
    let mut second = BlackBox::new(&mut bytes).unwrap();
    second.start(Micros::new(2), 77);
    assert_eq!(moments(&bytes), [1, 2]);
    assert_eq!(read(&bytes).map(|entry| entry.kind).collect::<Vec<_>>(), [Kind::Raised, Kind::Start]);
}

#[test]
fn too_small_a_block_is_refused_with_the_least_size() {
    for size in [0, 15, 16, 47] {
        let mut bytes = vec![0; size];
        assert_eq!(BlackBox::new(&mut bytes).err(), Some(TooSmall { bytes: size, least: 48 }));
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes).count();
    }

    #[test]
    fn a_torn_record_is_left_out_and_the_others_stand(torn in HEADER_BYTES..HEADER_BYTES + 4 * RECORD_BYTES, flip in 1u8..) {
        let mut bytes = vec![0; HEADER_BYTES + 4 * RECORD_BYTES];
        let mut black_box = BlackBox::new(&mut bytes).unwrap();
        (1..=4).for_each(|at| black_box.record(&note(at)));
        bytes[torn] ^= flip;
        let hit = ((torn - HEADER_BYTES) / RECORD_BYTES) as u64 + 1;
        let expected: Vec<u64> = (1..=4).filter(|at| *at != hit).collect();
        prop_assert_eq!(moments(&bytes), expected);
    }
}
