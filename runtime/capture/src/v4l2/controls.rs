//! Controls by name: exposure, gain, trigger mode, test pattern, whatever the driver offers.

use v4l::v4l_sys::{v4l2_ext_control, v4l2_query_ext_ctrl, v4l2_querymenu};

use super::device::Camera;
use super::sys::{self, Zeroed};
use crate::error::CaptureError;

/// A control of a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The name used in configuration files: the driver's in lower case with underscores, as `v4l2-ctl` prints it.
    pub name: String,
    /// Lowest value.
    pub minimum: i64,
    /// Highest value.
    pub maximum: i64,
    /// Step between values.
    pub step: u64,
    /// The driver's default.
    pub default: i64,
    /// The present value, where it can be read.
    pub value: Option<i64>,
    /// What the values of a menu mean.
    pub items: Vec<(i64, String)>,
    /// Why it cannot be set now: `read-only`, `inactive` (an automatic has it), `in use`.
    pub locked: Option<&'static str>,
    id: u32,
    wide: bool,
    button: bool,
}

const NEXT: u32 = 0x8000_0000;
const TYPE_INTEGER: u32 = 1;
const TYPE_BOOLEAN: u32 = 2;
const TYPE_MENU: u32 = 3;
const TYPE_BUTTON: u32 = 4;
const TYPE_INTEGER64: u32 = 5;
const TYPE_BITMASK: u32 = 8;
const TYPE_INTEGER_MENU: u32 = 9;

impl Control {
    /// What values it takes, in words.
    pub fn range(&self) -> String {
        if self.button {
            return "any value, to press it".into();
        }
        if !self.items.is_empty() {
            let item = |(value, name): &(i64, String)| format!("{value} = {name}");
            return self.items.iter().map(item).collect::<Vec<_>>().join(", ");
        }
        let step = if self.step > 1 { format!(" in steps of {}", self.step) } else { String::new() };
        format!("{} to {}{step}", self.minimum, self.maximum)
    }

    fn takes(&self, value: i64) -> bool {
        if !self.items.is_empty() {
            return self.items.iter().any(|(item, _)| *item == value);
        }
        if self.button {
            return true;
        }
        let in_range = (self.minimum..=self.maximum).contains(&value);
        in_range && value.abs_diff(self.minimum).is_multiple_of(self.step.max(1))
    }
}

impl Camera {
    /// Every control that holds a number.
    pub fn controls(&self) -> Vec<Control> {
        let mut controls = Vec::new();
        let mut query = v4l2_query_ext_ctrl::zeroed();
        // Each answer carries the control's number; a driver that does not go up would keep us for ever.
        let mut last = 0;
        loop {
            query.id = last | NEXT;
            if self.node.ioctl(sys::QUERY_EXT_CTRL, &mut query).is_err() || query.id <= last {
                return controls;
            }
            last = query.id;
            controls.extend(self.control_of(&query));
        }
    }

    fn control_of(&self, query: &v4l2_query_ext_ctrl) -> Option<Control> {
        const DISABLED: u32 = 1;
        let known =
            [TYPE_INTEGER, TYPE_BOOLEAN, TYPE_MENU, TYPE_BUTTON, TYPE_INTEGER64, TYPE_BITMASK, TYPE_INTEGER_MENU];
        if query.flags & DISABLED != 0 || !known.contains(&query.type_) || query.elems > 1 {
            return None;
        }
        let locked = match query.flags {
            flags if flags & 0x04 != 0 => Some("read-only"),
            flags if flags & 0x10 != 0 => Some("inactive, an automatic control has it"),
            flags if flags & 0x02 != 0 => Some("in use"),
            _ => None,
        };
        let name: Vec<u8> = query.name.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
        let wide = query.type_ == TYPE_INTEGER64;
        let items = if matches!(query.type_, TYPE_MENU | TYPE_INTEGER_MENU) { self.items(query) } else { Vec::new() };
        Some(Control {
            name: plain_name(&String::from_utf8_lossy(&name)),
            minimum: query.minimum,
            maximum: query.maximum,
            step: query.step,
            default: query.default_value,
            value: self.value(query.id, wide),
            items,
            locked,
            id: query.id,
            wide,
            button: query.type_ == TYPE_BUTTON,
        })
    }

    fn items(&self, query: &v4l2_query_ext_ctrl) -> Vec<(i64, String)> {
        // Drivers leave out items in the middle, so that each is asked for; 1024 are more than anybody reads.
        (query.minimum..=query.maximum.min(query.minimum.saturating_add(1023)))
            .filter_map(|index| {
                let mut menu =
                    v4l2_querymenu { id: query.id, index: u32::try_from(index).ok()?, ..v4l2_querymenu::zeroed() };
                self.node.ioctl(sys::QUERYMENU, &mut menu).ok()?;
                // SAFETY: both variants are plain integers and bytes, written by the kernel or zero.
                let (text, number) = unsafe { (menu.__bindgen_anon_1.name, menu.__bindgen_anon_1.value) };
                if query.type_ == TYPE_INTEGER_MENU {
                    return Some((index, number.to_string()));
                }
                let text: Vec<u8> = text.into_iter().take_while(|&byte| byte != 0).collect();
                Some((index, String::from_utf8_lossy(&text).into_owned()))
            })
            .collect()
    }

    fn value(&self, id: u32, wide: bool) -> Option<i64> {
        let mut control = v4l2_ext_control { id, ..v4l2_ext_control::zeroed() };
        self.node.control(sys::G_EXT_CTRLS, &mut control).ok()?;
        // SAFETY: both variants are integers; the control's type says which the kernel wrote.
        Some(unsafe { if wide { control.__bindgen_anon_1.value64 } else { control.__bindgen_anon_1.value.into() } })
    }

    /// Sets a control by name. The error lists the names, or the values that it takes.
    pub fn set_control(&self, name: &str, value: i64) -> Result<(), CaptureError> {
        let controls = self.controls();
        let refuse =
            |reason: String| CaptureError::Control { device: self.path().into(), name: name.into(), value, reason };
        let Some(control) = controls.iter().find(|control| control.name == plain_name(name)) else {
            let names = controls.iter().map(|control| control.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(refuse(format!("this camera has no such control; it has {names}")));
        };
        if !control.takes(value) {
            return Err(refuse(format!("expected {}", control.range())));
        }
        let mut one_control = v4l2_ext_control { id: control.id, ..v4l2_ext_control::zeroed() };
        if control.wide {
            one_control.__bindgen_anon_1.value64 = value;
        } else {
            // A bit mask may use the highest bit.
            one_control.__bindgen_anon_1.value = value as i32;
        }
        self.node.control(sys::S_EXT_CTRLS, &mut one_control).map_err(|error| match control.locked {
            Some(locked) => refuse(format!("it is {locked}")),
            None => refuse(error.to_string()),
        })
    }
}

/// `Exposure Time, Absolute` → `exposure_time_absolute`.
fn plain_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(range: (i64, i64, u64), items: &[(i64, &str)]) -> Control {
        Control {
            name: "gain".into(),
            minimum: range.0,
            maximum: range.1,
            step: range.2,
            default: 0,
            value: None,
            items: items.iter().map(|(value, name)| (*value, name.to_string())).collect(),
            locked: None,
            id: 0,
            wide: false,
            button: false,
        }
    }

    #[test]
    fn names_are_those_of_v4l2_ctl() {
        assert_eq!(plain_name("Exposure Time, Absolute"), "exposure_time_absolute");
        assert_eq!(plain_name("White Balance, Auto & Preset"), "white_balance_auto_preset");
        assert_eq!(plain_name("gain"), "gain");
    }

    #[test]
    fn values_are_checked_against_range_step_and_menu() {
        let stepped = control((-10, 10, 5), &[]);
        assert!([-10, -5, 10].iter().all(|&value| stepped.takes(value)));
        assert!([-11, -9, 11, i64::MIN, i64::MAX].iter().all(|&value| !stepped.takes(value)));
        assert_eq!(stepped.range(), "-10 to 10 in steps of 5");
        let menu = control((0, 3, 1), &[(1, "Manual"), (3, "Auto")]);
        assert!(menu.takes(3) && !menu.takes(2));
        assert_eq!(menu.range(), "1 = Manual, 3 = Auto");
        let button = Control { button: true, ..control((0, 0, 0), &[]) };
        assert!(button.takes(1));
        assert!(control((0, 1, 0), &[]).takes(1), "a step of 0 is a step of 1");
        assert!(control((i64::MIN, i64::MAX, 1), &[]).takes(i64::MAX));
    }
}
