//! The kernel's test camera on the virtual board: every format against a reference conversion of the same frame, single- and
//! multi-planar, and a camera that is pulled and plugged in again.

use jidoka_tests::board::Programs;
use serde_json::Value;

/// Emulation is slow: so many unplugs of each kind fit into every run. `JIDOKA_UNPLUGS=1000` does the thousand that docs/CAMERA.md
/// has the log of; the fault-injecting source does a thousand in every run (jidoka-capture's tests).
const UNPLUGS: &str = "25";
const BOOT_LIMIT_S: u32 = 1500;
/// Three cameras: a single-planar webcam, a multi-planar one, and an HDMI input that can crop; with controls that inject
/// errors.
const VIVID: &str =
    "n_devs=3 num_inputs=1,1,1 input_types=0,0,3 node_types=0x1,0x1,0x1 multiplanar=1,2,1 no_error_inj=0";

#[test]
fn every_format_of_a_real_driver_is_prepared_as_its_description_says() {
    let Some(programs) = Programs::find_or_skip("camera board") else { return };
    let share = tempfile::tempdir().expect("a temporary folder");
    let unplugs = std::env::var("JIDOKA_UNPLUGS").unwrap_or_else(|_| UNPLUGS.to_owned());
    let boot = programs.boot_camera(&[&unplugs, &unplugs], VIVID, share.path(), BOOT_LIMIT_S).expect("boot starts");
    println!("{}", boot.output);
    assert_eq!(boot.code, 0, "the board's scenario failed");
    let text = std::fs::read_to_string(share.path().join("camera.json")).expect("the program wrote its report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    formats_are_right(&report["formats"]);
    faults_are_told(&report);
    buffers_can_be_shared(&report);
    crop_is_exact_or_refused(&report["crop"]);
    refusals_are_clear(&report["refusals"]);
    for key in ["unplugs", "rebinds", "station"] {
        nothing_leaks(key, &report[key]);
    }
    let station = &report["station"];
    assert_eq!(station["code"], 0, "{station}");
    assert_eq!(station["end"]["reopened"], station["rounds"], "{station}");
}

/// The table of the issue: a line a format, pass or fail.
fn formats_are_right(formats: &Value) {
    let mut failed = Vec::new();
    println!("{:12} {:10} {:8} {:>6} {:>10} {:>8}", "device", "format", "range", "planes", "reference", "driver");
    for row in formats.as_array().expect("a table") {
        let found = &row["found"];
        let word = |key: &str| row[key].as_str().unwrap_or("?").to_owned();
        let (reference, driver) = (found["reference"].as_f64(), found["driver"].as_f64());
        // To one step of rounding against the textbook; the driver's own picture has roundings of its own.
        let good = reference.is_some_and(|d| d <= 1.0) && driver.is_some_and(|d| d <= 4.0);
        let apart = if found["planes"] == true { "apart" } else { "one" };
        println!(
            "{:12} {:10} {:8} {apart:>6} {:>10.2} {:>8.2} {}",
            word("device"),
            word("format"),
            word("range"),
            reference.unwrap_or(f64::NAN),
            driver.unwrap_or(f64::NAN),
            if good { "pass" } else { "FAIL" }
        );
        if !good {
            failed.push(row.to_string());
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    let rows = formats.as_array().expect("a table");
    // The same formats through the single- and the multi-planar interface, and those that can with a buffer a plane as well.
    let multi = rows.iter().filter(|row| row["device"] == "/dev/video1").count();
    let apart = rows.iter().filter(|row| row["found"]["planes"] == true).count();
    assert!(rows.len() >= 66 && multi >= 36 && apart == 6, "{} rows, {multi} multi-planar, {apart} apart", rows.len());
}

fn faults_are_told(report: &Value) {
    let damaged = &report["damaged"];
    assert!(damaged["told"] == true && damaged["goes_on"] == true, "{damaged}");
    assert!(damaged["counted"].as_u64() >= Some(1), "{damaged}");
}

fn buffers_can_be_shared(report: &Value) {
    let export = &report["export"];
    assert!(export["buffers"].as_u64() >= Some(2) && export["same"] == true, "{export}");
    assert_eq!(export["monotonic"], true, "vivid stamps by the monotonic clock: {export}");
    let heap = &report["heap"];
    if heap["there"] == true {
        assert!(heap["reference"].as_f64().is_some_and(|d| d <= 1.0), "{heap}");
    } else {
        println!("no DMA heap in this kernel: {heap}");
        assert!(heap["error"].as_str().is_some_and(|text| text.contains("no DMA heap")), "{heap}");
    }
}

fn crop_is_exact_or_refused(crop: &Value) {
    println!("crop: {crop}");
    assert_eq!(crop["asked"], crop["now"], "{crop}");
    assert!(crop["outside"].as_str().is_some_and(|text| text.contains("crop = [")), "{crop}");
}

fn refusals_are_clear(refusals: &Value) {
    for (name, words) in [
        ("control", &["brightness = 100000", "0 to 255"][..]),
        ("no-control", &["no such control", "brightness"]),
        ("size", &["641x361 is not a size", "640x360"]),
        ("crop", &["cannot crop"]),
        ("missing", &["/dev/video77: no such camera", "/dev/video0"]),
        ("not-a-camera", &["/dev/null", "not a video device"]),
    ] {
        let text = refusals[name].as_str().unwrap_or_default();
        for word in words {
            assert!(text.contains(word), "{name}: {text:?} does not say {word:?}");
        }
    }
}

fn nothing_leaks(key: &str, count: &Value) {
    println!("{key}: {count}");
    assert_eq!(count["rounds"], count["noticed"], "every unplug is noticed: {count}");
    let pair = |name: &str| [0, 1].map(|at| count[name][at].as_u64().unwrap_or(u64::MAX));
    let [before, after] = pair("descriptors");
    assert_eq!(before, after, "descriptors: {count}");
    // The station's camera is back when it is looked at; of the others nothing is open then.
    let [before, after] = pair("buffers");
    assert!(before == after && (before > 0) == (key == "station"), "mapped buffers: {count}");
    // The allocator may map memory once more; a leak would be four mappings a round.
    let [before, after] = pair("mappings");
    assert!(after <= before + 4, "mappings: {count}");
    // A frame has 450 KiB, and a stream four: what the kernel and the process hold must not grow by a single one.
    for name in ["resident_kib", "vmalloc_kib"] {
        let [before, after] = pair(name);
        assert!(after < before + 450, "{name}: {count}");
    }
}
