//! Connected regions of a mask.

/// Numbers the 8-connected regions of a `width` pixels wide mask: 0 where the mask is false, 1.. in the order in which
/// the regions are met, row by row. Returns the numbers and how many regions there are.
pub fn label_regions(mask: &[bool], width: usize) -> (Vec<u32>, u32) {
    let mut labels = vec![0u32; mask.len()];
    let mut regions = 0;
    let mut open = Vec::new();
    for start in 0..mask.len() {
        if !mask[start] || labels[start] != 0 {
            continue;
        }
        regions += 1;
        labels[start] = regions;
        open.push(start);
        while let Some(at) = open.pop() {
            for_each_neighbour(at, width, mask.len(), |next| {
                if mask[next] && labels[next] == 0 {
                    labels[next] = regions;
                    open.push(next);
                }
            });
        }
    }
    (labels, regions)
}

fn for_each_neighbour(at: usize, width: usize, len: usize, mut f: impl FnMut(usize)) {
    let (row, column) = (at / width, at % width);
    for y in row.saturating_sub(1)..=row + 1 {
        for x in column.saturating_sub(1)..=(column + 1).min(width - 1) {
            let next = y * width + x;
            if next < len && next != at {
                f(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(picture: &[&str], regions: u32) {
        let mask: Vec<bool> = picture.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        let (labels, found) = label_regions(&mask, picture[0].len());
        assert_eq!(found, regions, "{picture:?}");
        assert!(labels.iter().zip(&mask).all(|(&l, &m)| (l > 0) == m));
    }

    #[test]
    fn regions_touch_at_corners_and_do_not_wrap_around() {
        check(&["..", ".."], 0);
        check(&["#.", ".#"], 1);
        check(&["#..", "..#"], 2);
        // The end of one row and the start of the next are far apart.
        check(&["..#", "#..", "..#"], 3);
        check(&["###", "#.#", "###"], 1);
    }
}
