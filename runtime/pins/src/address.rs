//! From the text in a config to one line: `"label/LINE"`, `"LINE"`, `"label:offset"`.
//!
//! Labels and line names are free text to the kernel and may hold `/` and `:` themselves, so nothing is split blindly:
//! a split counts only where its left side names a chip that is here.

use crate::Error;
use crate::inventory::{self, ChipInfo, LineId};

/// Find the one line that `address` names.
///
/// `no_names` says why line names are missing, where the back end cannot read them.
pub(crate) fn find(chips: &[ChipInfo], address: &str, no_names: Option<&str>) -> Result<LineId, Error> {
    let text = address.trim();
    if text.is_empty() {
        return Err(Error::Address { address: address.into(), problem: "it is empty" });
    }
    let mut hits = on_named_chip(chips, text);
    if hits.is_empty() {
        hits = everywhere(chips, text);
    }
    match hits.as_slice() {
        [(chip, offset)] => Ok(line_id(chips, *chip, *offset)),
        [] => Err(not_found(chips, address, text, no_names)),
        _ => Err(Error::Ambiguous { address: address.into(), candidates: candidates(chips, &hits) }),
    }
}

/// The identity of a line that is known to exist.
pub(crate) fn line_id(chips: &[ChipInfo], chip: usize, offset: u32) -> LineId {
    LineId { chip, offset, text: chips[chip].address_of(offset).into() }
}

/// Every reading of `text` as a chip and a line on it.
fn on_named_chip(chips: &[ChipInfo], text: &str) -> Vec<(usize, u32)> {
    let mut hits = Vec::new();
    for (index, chip) in chips.iter().enumerate() {
        for (place, separator) in text.char_indices().filter(|(_, c)| matches!(c, '/' | ':')) {
            let (left, right) = (&text[..place], &text[place + 1..]);
            if !chip.answers_to(left) {
                continue;
            }
            if separator == '/' {
                hits.extend(named(chip, right).map(|offset| (index, offset)));
            } else if let Ok(offset) = right.parse::<u32>()
                && (offset as usize) < chip.lines.len()
            {
                hits.push((index, offset));
            }
        }
    }
    hits
}

/// Every line of that name on any chip.
fn everywhere(chips: &[ChipInfo], name: &str) -> Vec<(usize, u32)> {
    let on = |(index, chip)| named(chip, name).map(move |offset| (index, offset));
    chips.iter().enumerate().flat_map(on).collect()
}

fn named<'a>(chip: &'a ChipInfo, name: &'a str) -> impl Iterator<Item = u32> + 'a {
    let matches = chip.lines.iter().enumerate().filter(move |(_, line)| !name.is_empty() && line.name == name);
    matches.map(|(offset, _)| offset as u32)
}

/// Addresses that tell the hits apart: by label where that is enough, by kernel name and offset where it is not.
fn candidates(chips: &[ChipInfo], hits: &[(usize, u32)]) -> Vec<String> {
    let by_label: Vec<String> = hits.iter().map(|&(chip, offset)| chips[chip].address_of(offset)).collect();
    let unique = |text: &String| by_label.iter().filter(|other| *other == text).count() == 1;
    let by_chip = |&(chip, offset): &(usize, u32)| format!("{}:{}", chips[chip].name, offset);
    hits.iter().zip(&by_label).map(|(hit, text)| if unique(text) { text.clone() } else { by_chip(hit) }).collect()
}

fn not_found(chips: &[ChipInfo], address: &str, text: &str, no_names: Option<&str>) -> Error {
    let address = address.to_string();
    let listed = inventory::describe(chips);
    let split = text.rfind(['/', ':']).map(|place| (&text[..place], &text[place + 1..]));
    let Some((left, right)) = split else {
        return match no_names {
            Some(why) => Error::NoNames { address, why: why.into(), chips: listed },
            None => Error::NoLine {
                address,
                line: text.into(),
                place: "any chip".into(),
                nearest: nearest_lines(chips, text),
                chips: listed,
            },
        };
    };
    let Some(chip) = chips.iter().find(|chip| chip.answers_to(left)) else {
        let nearest = nearest(left, chips.iter().map(|chip| chip.label.clone()));
        return Error::NoChip { address, chip: left.into(), chips: listed, nearest };
    };
    if let (Some(why), Err(_)) = (no_names, right.parse::<u32>()) {
        return Error::NoNames { address, why: why.into(), chips: listed };
    }
    let nearest = nearest_lines(std::slice::from_ref(chip), right);
    Error::NoLine { address, line: right.into(), place: chip.describe(), chips: listed, nearest }
}

fn nearest_lines(chips: &[ChipInfo], name: &str) -> Vec<String> {
    let names = chips.iter().flat_map(|chip| chip.lines.iter().map(|line| line.name.clone()));
    nearest(name, names)
}

/// Up to three names that a slip of the fingers could have turned into `wanted`, best first.
fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let distance = |name: &String| strsim::damerau_levenshtein(&lower, &name.to_lowercase());
    let mut close: Vec<(usize, String)> = names
        .filter(|name| !name.is_empty())
        .map(|name| (distance(&name), name))
        .filter(|(distance, name)| *distance <= name.chars().count().max(3) / 3)
        .collect();
    close.sort();
    close.dedup();
    close.into_iter().take(3).map(|(_, name)| format!("\"{name}\"")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::LineInfo;

    fn chip(name: &str, label: &str, lines: &[&str]) -> ChipInfo {
        let lines = lines.iter().map(|line| LineInfo { name: line.to_string(), consumer: None }).collect();
        ChipInfo {
            name: name.into(),
            label: label.into(),
            path: format!("/dev/{name}").into(),
            lines,
            sysfs_base: None,
        }
    }

    fn chips() -> Vec<ChipInfo> {
        vec![
            chip("gpiochip0", "pinctrl-rp1", &["ID_SDA", "GPIO17", "GPIO27", "SD/CMD", ""]),
            chip("gpiochip1", "lab", &["LAB0", "LAB1", "GPIO27"]),
            chip("gpiochip2", "twin", &["T", ""]),
            chip("gpiochip3", "twin", &["T", ""]),
            chip("gpiochip4", "1f00:gpio", &["X"]),
        ]
    }

    fn check(address: &str, expected: &str) {
        match find(&chips(), address, None) {
            Ok(line) => assert_eq!(format!("{}:{}", line.chip, line.offset), expected, "{address}"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(expected), "{address}: {text:?} does not say {expected:?}");
            }
        }
    }

    #[test]
    fn the_three_forms_find_one_line() {
        for (address, expected) in [
            ("pinctrl-rp1/GPIO17", "0:1"),
            ("GPIO17", "0:1"),
            ("pinctrl-rp1:1", "0:1"),
            ("gpiochip0:4", "0:4"),
            ("gpiochip1/LAB1", "1:1"),
            ("/dev/gpiochip1/LAB1", "1:1"),
            ("/dev/gpiochip1:2", "1:2"),
            ("lab/GPIO27", "1:2"),
            (" LAB0 ", "1:0"),
            ("SD/CMD", "0:3"),
            ("pinctrl-rp1/SD/CMD", "0:3"),
            ("1f00:gpio/X", "4:0"),
            ("1f00:gpio:0", "4:0"),
        ] {
            check(address, expected);
        }
    }

    #[test]
    fn what_is_not_one_line_says_what_is_there() {
        for (address, expected) in [
            ("", "it is empty"),
            ("GPIO27", "\"GPIO27\" is ambiguous: it could be pinctrl-rp1/GPIO27 or lab/GPIO27"),
            ("twin/T", "gpiochip2:0 or gpiochip3:0"),
            ("twin:1", "twin:1\" is ambiguous: it could be gpiochip2:1 or gpiochip3:1"),
            ("pinctrl-rpi1/GPIO17", "no chip \"pinctrl-rpi1\""),
            ("pinctrl-rpi1/GPIO17", "did you mean \"pinctrl-rp1\"?"),
            ("lab/LAB9", "did you mean \"LAB0\" or \"LAB1\"?"),
            ("lab/LAB9", "no line \"LAB9\" on gpiochip1 [lab] (3 lines)"),
            ("lab:3", "no line \"3\" on gpiochip1 [lab] (3 lines)"),
            ("lab:-1", "no line \"-1\""),
            ("lab/", "no line \"\""),
            ("gpio17", "did you mean \"GPIO17\""),
            ("REJECT", "no line \"REJECT\" on any chip"),
            ("REJECT", "gpiochip1 [lab] (3 lines)"),
        ] {
            check(address, expected);
        }
    }

    #[test]
    fn without_names_only_offsets_work() {
        let nameless = vec![chip("gpiochip0", "tegra-gpio", &["", "", ""])];
        let found = find(&nameless, "tegra-gpio:2", Some("sysfs has none")).unwrap();
        assert_eq!((found.offset, &*found.text), (2, "tegra-gpio:2"));
        for address in ["GPIO17", "tegra-gpio/GPIO17"] {
            let text = find(&nameless, address, Some("sysfs has none")).unwrap_err().to_string();
            assert!(text.contains("line names cannot be read here (sysfs has none)"), "{text}");
        }
        let text = find(&nameless, "tegra-gpio:9", Some("sysfs has none")).unwrap_err().to_string();
        assert!(text.contains("no line \"9\""), "{text}");
    }
}
