//! Which way to the lines this kernel offers: v2, then v1, then sysfs.

use std::fmt;
use std::path::PathBuf;

use crate::inventory::{self, ChipInfo};
use crate::{Error, sysfs, v1, v2};

/// A way to reach GPIO lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The v2 character-device ABI (Linux 5.10 and newer).
    V2,
    /// The v1 character-device ABI (Linux 4.8 on; gone from kernels built without `CONFIG_GPIO_CDEV_V1`).
    V1,
    /// `/sys/class/gpio`. No line names of its own, no bias, and edges timed in this process.
    Sysfs,
    /// [`crate::SimChip`]s in this process.
    Simulated,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::V2 => "v2 character-device ABI",
            Backend::V1 => "v1 character-device ABI",
            Backend::Sysfs => "sysfs interface",
            Backend::Simulated => "simulated chip",
        })
    }
}

impl std::str::FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "v2" => Ok(Backend::V2),
            "v1" => Ok(Backend::V1),
            "sysfs" => Ok(Backend::Sysfs),
            _ => Err(format!("\"{text}\" is no gpio back end; expected v2, v1 or sysfs")),
        }
    }
}

/// What looking for one back end found.
pub(crate) enum Probe {
    /// It works; these are the chips.
    Ready(Vec<ChipInfo>),
    /// It is there, but this user may not open it.
    Denied(PathBuf),
    /// It is not there, for this reason.
    Missing(String),
}

impl Probe {
    fn why(&self) -> String {
        match self {
            Probe::Ready(chips) => format!("available: {}", inventory::describe(chips)),
            Probe::Denied(path) => format!("permission denied for {}", path.display()),
            Probe::Missing(why) => why.clone(),
        }
    }
}

/// The back end that was chosen.
pub(crate) struct Chosen {
    pub backend: Backend,
    pub chips: Vec<ChipInfo>,
    /// Why line names cannot be read, where they cannot.
    pub no_names: Option<String>,
}

/// Take the forced back end, or the first of v2, v1, sysfs that works.
pub(crate) fn choose(forced: Option<Backend>) -> Result<Chosen, Error> {
    let ready = |backend, chips| Chosen { backend, chips, no_names: None };
    let try_v2 = || v2::probe();
    let try_v1 = || v1::probe();
    match forced {
        None => {}
        Some(Backend::V2) => return forced_to(Backend::V2, try_v2()).map(|chips| ready(Backend::V2, chips)),
        Some(Backend::V1) => return forced_to(Backend::V1, try_v1()).map(|chips| ready(Backend::V1, chips)),
        Some(Backend::Sysfs) => return forced_to(Backend::Sysfs, sysfs::probe()).map(with_names),
        Some(Backend::Simulated) => {
            return Err(Error::BackendMissing {
                backend: Backend::Simulated,
                why: "it lives in the program that makes it".into(),
                available: "v2, v1, sysfs, where the kernel has them".into(),
            });
        }
    }
    // A device that is there but closed to this user is a set-up mistake with a one-line cure. Falling through to a
    // lesser interface would hide it.
    let v2 = match try_v2() {
        Probe::Ready(chips) => return Ok(ready(Backend::V2, chips)),
        Probe::Denied(path) => return Err(Error::Permission { path }),
        Probe::Missing(why) => why,
    };
    let v1 = match try_v1() {
        Probe::Ready(chips) => return Ok(ready(Backend::V1, chips)),
        Probe::Denied(path) => return Err(Error::Permission { path }),
        Probe::Missing(why) => why,
    };
    match sysfs::probe() {
        Probe::Ready(chips) => Ok(with_names(chips)),
        Probe::Denied(path) => Err(Error::Permission { path }),
        Probe::Missing(sysfs) => Err(Error::NoGpio { v2, v1, sysfs }),
    }
}

fn forced_to(backend: Backend, probe: Probe) -> Result<Vec<ChipInfo>, Error> {
    match probe {
        Probe::Ready(chips) => Ok(chips),
        Probe::Denied(path) => Err(Error::Permission { path }),
        Probe::Missing(why) => Err(Error::BackendMissing { backend, why, available: available_but(backend) }),
    }
}

fn available_but(missing: Backend) -> String {
    let others = [Backend::V2, Backend::V1, Backend::Sysfs].into_iter().filter(|backend| *backend != missing);
    let found: Vec<String> = others
        .filter(|backend| {
            let probe = match backend {
                Backend::V2 => v2::probe(),
                Backend::V1 => v1::probe(),
                _ => sysfs::probe(),
            };
            matches!(probe, Probe::Ready(_))
        })
        .map(|backend| backend.to_string())
        .collect();
    if found.is_empty() { "none".into() } else { found.join(", ") }
}

/// sysfs knows no line names. Where a character device is there as well, they are read from it.
fn with_names(mut chips: Vec<ChipInfo>) -> Chosen {
    let (named, why) = match (v2::probe(), v1::probe()) {
        (Probe::Ready(named), _) | (_, Probe::Ready(named)) => (named, None),
        (v2, _) => (Vec::new(), Some(format!("sysfs has none, and of the character devices: {}", v2.why()))),
    };
    for chip in &mut chips {
        let mut same = named.iter().filter(|n| n.label == chip.label && n.lines.len() == chip.lines.len());
        if let (Some(source), None) = (same.next(), same.next()) {
            chip.lines.clone_from(&source.lines);
            chip.name.clone_from(&source.name);
        }
    }
    Chosen { backend: Backend::Sysfs, chips, no_names: why }
}
