//! Is this machine fit for the job? What is there, what was expected, and what to do about the difference.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use serde::Serialize;

use crate::board::Board;

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warning,
    /// Something that an inspection needs is missing.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, e.g. `camera`.
    pub subject: &'static str,
    /// What was found.
    pub found: String,
    /// What was expected and what to do; empty when all is well.
    pub advice: String,
}

/// What the caller knows of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Where `/proc`, `/sys` and `/dev` are; normally `/`.
    pub root: &'a Path,
    /// Labels of the GPIO chips that could be opened (`jidoka-pins` reads them).
    pub gpio_labels: &'a [String],
    /// Why GPIO could not be opened at all, if it could not.
    pub gpio_problem: Option<&'a str>,
}

impl Finding {
    fn ok(subject: &'static str, found: String) -> Self {
        Finding { level: Level::Ok, subject, found, advice: String::new() }
    }

    fn warning(subject: &'static str, found: String, advice: String) -> Self {
        Finding { level: Level::Warning, subject, found, advice }
    }

    fn problem(subject: &'static str, found: String, advice: String) -> Self {
        Finding { level: Level::Problem, subject, found, advice }
    }
}

/// Look at everything, in the order in which a reader would fix it.
pub fn check(board: &Board, machine: &Machine<'_>) -> Vec<Finding> {
    let root = machine.root;
    let mut findings = vec![cpu(board, root)];
    findings.extend(cameras(root));
    findings.push(gpio(board, machine));
    findings.push(priority(root));
    findings.push(memory_lock(root));
    findings.extend(governor(root));
    findings
}

fn cpu(board: &Board, root: &Path) -> Finding {
    let text = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    let features = text.lines().find(|line| line.starts_with("Features") || line.starts_with("flags"));
    let present: Vec<&str> = features.unwrap_or_default().split_whitespace().collect();
    let missing: Vec<&str> =
        board.cpu.features.iter().map(String::as_str).filter(|feature| !present.contains(feature)).collect();
    let found = format!("{cores} cores");
    if cores < board.cpu.cores {
        let advice = format!("{} has {}; check `isolcpus`, `maxcpus` and cpusets", board.title, board.cpu.cores);
        return Finding::warning("cpu", found, advice);
    }
    if !missing.is_empty() {
        let advice =
            format!("expected of a {}: {}; inference falls back to slower kernels", board.cpu.core, missing.join(", "));
        return Finding::warning("cpu", found, advice);
    }
    Finding::ok("cpu", found)
}

/// One finding a capture device, or one that says there is none.
fn cameras(root: &Path) -> Vec<Finding> {
    let devices = devices(&root.join("dev"), "video");
    if devices.is_empty() {
        let advice = "plug in a camera that speaks V4L2 (USB cameras do), or use a replay or synthetic source".into();
        return vec![Finding::problem("camera", "no /dev/videoN".into(), advice)];
    }
    devices.iter().map(|device| camera(root, device)).collect()
}

fn camera(root: &Path, device: &Path) -> Finding {
    let file = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = fs::read_to_string(root.join("sys/class/video4linux").join(&file).join("name")).unwrap_or_default();
    let found = format!("/dev/{file}: {}", if name.is_empty() { "unnamed" } else { name.trim() });
    if may_use(device) {
        return Finding::ok("camera", found);
    }
    let advice = "this user may not open it; `sudo usermod -aG video $USER` and log in again".into();
    Finding::problem("camera", found, advice)
}

fn gpio(board: &Board, machine: &Machine<'_>) -> Finding {
    if let Some(problem) = machine.gpio_problem {
        let mut lines = problem.lines();
        // The subject is said already.
        let found = lines.next().map(|line| line.trim_start_matches("gpio: ").to_string()).unwrap_or_default();
        return Finding::problem("gpio", found, lines.map(str::trim).collect::<Vec<_>>().join("; "));
    }
    let found = if machine.gpio_labels.is_empty() { "no chip".into() } else { machine.gpio_labels.join(", ") };
    let missing: Vec<&str> = board
        .gpio
        .chips
        .iter()
        .map(String::as_str)
        .filter(|chip| !machine.gpio_labels.iter().any(|l| l == chip))
        .collect();
    if !missing.is_empty() {
        let advice = format!("expected on a {}: {}; is its driver loaded?", board.title, missing.join(", "));
        return Finding::problem("gpio", found, advice);
    }
    if machine.gpio_labels.is_empty() {
        let advice = "outputs need a GPIO chip: `gpiodetect` lists what there is; USB GPIO adapters count".into();
        return Finding::problem("gpio", found, advice);
    }
    Finding::ok("gpio", found)
}

fn priority(root: &Path) -> Finding {
    match limit(root, "Max realtime priority") {
        Some(limit) if limit >= 50 => Finding::ok("real-time priority", format!("up to {}", limit.min(99))),
        limit => Finding::warning(
            "real-time priority",
            format!("limited to {}", limit.unwrap_or(0)),
            "the actuator thread wants 50, or other programs delay its pulses: LimitRTPRIO=50 in the systemd unit, or \
             `* - rtprio 50` in /etc/security/limits.d/jidoka.conf"
                .into(),
        ),
    }
}

fn memory_lock(root: &Path) -> Finding {
    const WANTED_BYTES: u64 = 512 << 20;
    match limit(root, "Max locked memory") {
        Some(u64::MAX) => Finding::ok("locked memory", "unlimited".into()),
        Some(bytes) if bytes >= WANTED_BYTES => Finding::ok("locked memory", format!("{} MiB", bytes >> 20)),
        bytes => Finding::warning(
            "locked memory",
            format!("limited to {} kiB", bytes.unwrap_or(0) >> 10),
            "without mlock a page of the loop may be dropped and read back: LimitMEMLOCK=infinity in the systemd unit, or \
             `* - memlock unlimited` in /etc/security/limits.d/jidoka.conf"
                .into(),
        ),
    }
}

/// The soft limit of that name; `u64::MAX` for none.
fn limit(root: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/limits")).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    match line[name.len()..].split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Machines without frequency scaling have nothing to say here.
fn governor(root: &Path) -> Option<Finding> {
    let text = fs::read_to_string(root.join("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).ok()?;
    let governor = text.trim().to_string();
    Some(match governor.as_str() {
        "performance" => Finding::ok("frequency governor", governor),
        _ => Finding::warning(
            "frequency governor",
            governor,
            "it may clock down between parts, so that the next one takes longer: `sudo cpupower frequency-set -g \
             performance`"
                .into(),
        ),
    })
}

/// `/dev/PREFIXn`, by n.
fn devices(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<(u32, PathBuf)> = entries.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn may_use(path: &Path) -> bool {
    access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_name;

    const CPUINFO: &str =
        "processor : 0\nFeatures : fp asimd asimddp asimdhp\nprocessor : 1\nprocessor : 2\nprocessor : 3\n";
    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
        Max locked memory         unlimited            unlimited            bytes\n\
        Max realtime priority     99                   99\n";

    struct Fake {
        dir: tempfile::TempDir,
        labels: Vec<String>,
    }

    fn good() -> Fake {
        let fake =
            Fake { dir: tempfile::tempdir().unwrap(), labels: vec!["pinctrl-rp1".into(), "gpio-brcmstb".into()] };
        for (path, content) in [
            ("proc/cpuinfo", CPUINFO),
            ("proc/self/limits", LIMITS),
            ("dev/video0", ""),
            ("sys/class/video4linux/video0/name", "USB Camera\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
        ] {
            fake.put(path, content);
        }
        fake
    }

    impl Fake {
        fn put(&self, path: &str, content: &str) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn findings(&self, gpio_problem: Option<&str>) -> Vec<Finding> {
            let machine = Machine { root: self.dir.path(), gpio_labels: &self.labels, gpio_problem };
            check(&by_name("raspberry-pi-5").unwrap(), &machine)
        }

        fn expect(&self, level: Level, subject: &str, says: &str) {
            let findings = self.findings(None);
            let worse: Vec<&Finding> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
            let [one] = worse.as_slice() else { panic!("expected one thing wrong: {worse:#?}") };
            let text = format!("{} | {}", one.found, one.advice);
            assert_eq!((one.level, one.subject), (level, subject), "{text}");
            assert!(text.contains(says), "{text:?} does not say {says:?}");
        }
    }

    #[test]
    fn a_good_machine_has_nothing_to_fix() {
        let findings = good().findings(None);
        assert!(
            findings.iter().all(|finding| finding.level == Level::Ok && finding.advice.is_empty()),
            "{findings:#?}"
        );
        assert!(findings.iter().any(|finding| finding.found == "/dev/video0: USB Camera"));
        assert_eq!(findings.len(), 6);
    }

    #[test]
    fn each_shortcoming_is_found_alone() {
        let fake = good();
        fake.put("proc/cpuinfo", &CPUINFO.replace("asimddp ", ""));
        fake.expect(Level::Warning, "cpu", "expected of a Cortex-A76: asimddp");

        let fake = good();
        fake.put("proc/cpuinfo", "processor : 0\nFeatures : fp asimd asimddp asimdhp\n");
        fake.expect(Level::Warning, "cpu", "1 cores | Raspberry Pi 5 has 4");

        let fake = good();
        fs::remove_file(fake.dir.path().join("dev/video0")).unwrap();
        fake.expect(Level::Problem, "camera", "no /dev/videoN");

        let mut fake = good();
        fake.labels.remove(0);
        fake.expect(Level::Problem, "gpio", "gpio-brcmstb | expected on a Raspberry Pi 5: pinctrl-rp1");

        let fake = good();
        fake.put("proc/self/limits", &LIMITS.replace("99  ", "0   "));
        fake.expect(Level::Warning, "real-time priority", "limited to 0 | the actuator thread wants 50");

        let fake = good();
        fake.put("proc/self/limits", &LIMITS.replacen("unlimited", "8388608  ", 1));
        fake.expect(Level::Warning, "locked memory", "limited to 8192 kiB");

        let fake = good();
        fake.put("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n");
        fake.expect(Level::Warning, "frequency governor", "ondemand");
    }

    #[test]
    fn a_gpio_problem_is_passed_on_whole() {
        let findings = good().findings(Some("gpio: permission denied for /dev/gpiochip0\n  try: join the group"));
        let gpio = findings.iter().find(|finding| finding.subject == "gpio").unwrap();
        assert_eq!(gpio.level, Level::Problem);
        assert_eq!(
            (gpio.found.as_str(), gpio.advice.as_str()),
            ("permission denied for /dev/gpiochip0", "try: join the group")
        );
    }

    #[test]
    fn devices_come_in_order_of_number() {
        let fake = good();
        for name in ["dev/video10", "dev/video2", "dev/videox", "dev/vbi0"] {
            fake.put(name, "");
        }
        let names: Vec<_> = devices(&fake.dir.path().join("dev"), "video")
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["video0", "video2", "video10"]);
    }
}
