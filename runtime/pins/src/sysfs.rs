//! `/sys/class/gpio`, through `linux-embedded-hal`'s `SysfsPin`: the last resort, for kernels before 4.8.
//!
//! `SysfsPin` exports the line and sets its direction. Values go through a `value` file that is kept open, because
//! `SysfsPin::set_high` opens two files and allocates their names on every call, which the loop may not.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use embedded_hal::digital::PinState;
use linux_embedded_hal::SysfsPin;
use linux_embedded_hal::sysfs_gpio::{self, Direction};

use crate::edges::Edges;
use crate::inventory::{ChipInfo, LineInfo};
use crate::probe::Probe;

const ROOT: &str = "/sys/class/gpio";

/// Read the chips that sysfs shows.
pub(crate) fn probe() -> Probe {
    let root = Path::new(ROOT);
    let export = root.join("export");
    if !export.exists() {
        return Probe::Missing(format!("no {ROOT}/export (kernel option CONFIG_GPIO_SYSFS)"));
    }
    if rustix::fs::access(&export, rustix::fs::Access::WRITE_OK).is_err() {
        return Probe::Denied(export);
    }
    match read_chips(root) {
        Ok(chips) if chips.is_empty() => Probe::Missing(format!("{ROOT} shows no chip")),
        Ok(chips) => Probe::Ready(chips),
        Err(error) => Probe::Missing(format!("{ROOT}: {error}")),
    }
}

/// Every `gpiochipBASE` under `root`, in order of base.
fn read_chips(root: &Path) -> std::io::Result<Vec<ChipInfo>> {
    let mut chips = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("gpiochip") {
            continue;
        }
        let number = |file: &str| read_trimmed(&path.join(file)).and_then(|text| text.parse::<u64>().ok());
        let (Some(base), Some(count)) = (number("base"), number("ngpio")) else { continue };
        let label = read_trimmed(&path.join("label")).unwrap_or_default();
        let lines = vec![LineInfo::default(); count.min(4096) as usize];
        chips.push(ChipInfo { name, label, path, lines, sysfs_base: Some(base) });
    }
    chips.sort_by_key(|chip| chip.sysfs_base);
    Ok(chips)
}

fn read_trimmed(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

/// A line that this process exported, with its `value` file open. Dropping it takes the export back.
pub(crate) struct SysfsLine {
    pin: SysfsPin,
    value: File,
    ours: bool,
}

impl SysfsLine {
    /// Export line `offset` of `chip` as an output that starts at `level` (on the wire).
    pub(crate) fn output(chip: &ChipInfo, offset: u32, level: bool) -> Result<Self, sysfs_gpio::Error> {
        let (pin, ours) = export(chip, offset)?;
        let state = if level { PinState::High } else { PinState::Low };
        Self::open(pin.into_output_pin(state)?, ours)
    }

    /// Export line `offset` of `chip` as an input.
    pub(crate) fn input(chip: &ChipInfo, offset: u32) -> Result<Self, sysfs_gpio::Error> {
        let (pin, ours) = export(chip, offset)?;
        pin.set_direction(Direction::In)?;
        Self::open(pin, ours)
    }

    fn open(pin: SysfsPin, ours: bool) -> Result<Self, sysfs_gpio::Error> {
        // The kernel's own inversion would come on top of ours.
        pin.set_active_low(false)?;
        let value = directory(&pin).join("value");
        let writable = pin.get_direction()? == Direction::Out;
        let value = OpenOptions::new().read(true).write(writable).open(value)?;
        Ok(SysfsLine { pin, value, ours })
    }

    /// Report these edges (on the wire) through `poll`.
    pub(crate) fn detect(&self, edges: Edges) -> Result<(), sysfs_gpio::Error> {
        self.pin.set_edge(match edges {
            Edges::Rising => sysfs_gpio::Edge::RisingEdge,
            Edges::Falling => sysfs_gpio::Edge::FallingEdge,
            Edges::Both => sysfs_gpio::Edge::BothEdges,
        })
    }

    /// The level on the wire. Also tells the kernel that the last edge was seen.
    pub(crate) fn level(&self) -> std::io::Result<bool> {
        let mut byte = [0u8];
        self.value.read_at(&mut byte, 0)?;
        Ok(byte[0] == b'1')
    }

    /// Put a level on the wire: one system call, no allocation.
    pub(crate) fn set_level(&self, high: bool) -> std::io::Result<()> {
        self.value.write_all_at(if high { b"1" } else { b"0" }, 0)
    }
}

impl AsFd for SysfsLine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.value.as_fd()
    }
}

impl Drop for SysfsLine {
    fn drop(&mut self) {
        if self.ours {
            // Nobody is left to tell if this fails; the line keeps the level that it has, which is the safe one.
            let _ = self.pin.unexport();
        }
    }
}

/// Export the line. The flag says whether this process did it, so that it knows whether to undo it.
fn export(chip: &ChipInfo, offset: u32) -> Result<(SysfsPin, bool), sysfs_gpio::Error> {
    let number = chip.sysfs_base.unwrap_or(0) + u64::from(offset);
    let pin = SysfsPin::new(number);
    if pin.is_exported() {
        // Exported and forgotten, by a process that was killed or by a start-up script. sysfs has no owners, so there
        // is nobody to ask; taking the line over is what lets a killed inspector start again.
        return Ok((pin, false));
    }
    pin.export()?;
    wait_for_owner(&directory(&pin).join("direction"));
    if !pin.is_exported() {
        let dir = directory(&pin);
        let text = format!("{} did not appear; this kernel names exported lines differently", dir.display());
        return Err(sysfs_gpio::Error::Unexpected(text));
    }
    Ok((pin, true))
}

/// A new line's files belong to root until udev has given them to the `gpio` group: wait for that, up to a second. If it
/// never happens, the next access says so.
fn wait_for_owner(file: &Path) {
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    for _ in 0..50 {
        if rustix::fs::access(file, access) != Err(rustix::io::Errno::ACCESS) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn directory(pin: &SysfsPin) -> PathBuf {
    Path::new(ROOT).join(format!("gpio{}", pin.get_pin_num()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_are_read_from_a_tree() {
        let root = std::env::temp_dir().join(format!("jidoka-sysfs-{}", std::process::id()));
        for (name, base, label, count) in [("gpiochip504", "504", "lab", "8"), ("gpiochip32", "32", "soc", "4")] {
            let dir = root.join(name);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("base"), format!("{base}\n")).unwrap();
            fs::write(dir.join("label"), format!("{label}\n")).unwrap();
            fs::write(dir.join("ngpio"), format!("{count}\n")).unwrap();
        }
        fs::create_dir_all(root.join("gpio504")).unwrap();
        fs::create_dir_all(root.join("gpiochip9")).unwrap(); // half made: no base
        let chips = read_chips(&root).unwrap();
        let seen: Vec<_> = chips.iter().map(|c| (c.label.as_str(), c.sysfs_base, c.lines.len())).collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(seen, [("soc", Some(32), 4), ("lab", Some(504), 8)]);
    }
}
