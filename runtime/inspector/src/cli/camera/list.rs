//! What cameras there are, and what one can do.

use std::path::Path;

use jidoka_capture::{Camera, Control, FormatInfo};
use serde_json::{Value, json};

use super::super::ui::{self, Table};
use crate::error::Error;

/// Every camera of this machine.
pub fn list(as_json: bool) -> Result<(), Error> {
    let cameras = Camera::list();
    if as_json {
        // One array, so that no camera is an answer too.
        let cameras = cameras.iter().map(|camera| {
            json!({
                "device": camera.device, "name": camera.card, "driver": camera.driver, "bus": camera.bus,
                "stable": camera.stable,
            })
        });
        ui::say_json(&cameras.collect::<Vec<_>>());
        return Ok(());
    }
    if cameras.is_empty() {
        ui::say("  no camera: none is plugged in, its driver is not loaded, or /dev/video* may not be opened");
        return Ok(());
    }
    let mut table = Table::new(["device", "name", "driver", "in the configuration"]);
    for camera in &cameras {
        let device = camera.stable.as_ref().unwrap_or(&camera.device);
        table.row([
            camera.device.display().to_string(),
            camera.card.clone(),
            camera.driver.clone(),
            format!("device = \"{}\"", device.display()),
        ]);
    }
    ui::say(table.render_left().trim_end());
    Ok(())
}

/// What one camera can do.
pub fn show(device: &Path, as_json: bool) -> Result<(), Error> {
    let camera = Camera::open(device)?;
    let (formats, controls) = (camera.formats(), camera.controls());
    let (driver, bus) = camera.driver();
    if as_json {
        ui::say_json(&json!({
            "device": device, "name": camera.card(), "driver": driver, "bus": bus,
            "formats": formats.iter().map(format_json).collect::<Vec<_>>(),
            "controls": controls.iter().map(control_json).collect::<Vec<_>>(),
            "crop": camera.crop_bounds().map(|roi| [roi.x, roi.y, roi.width, roi.height]),
        }));
        return Ok(());
    }
    ui::say(format!("  {} ({driver}, {bus})\n", camera.card()));
    let mut table = Table::new(["code", "format =", "sizes", "frames a second"]);
    for format in &formats {
        let mut name = usable(format);
        let mut code = format.code.clone();
        for size in &format.sizes {
            table.row([std::mem::take(&mut code), std::mem::take(&mut name), size.size.clone(), size.rates.join(", ")]);
        }
        if format.sizes.is_empty() {
            table.row([code, name, String::new(), String::new()]);
        }
    }
    ui::say(table.render_left().trim_end());
    let mut table = Table::new(["control", "now", "default", "accepts"]);
    for control in &controls {
        let locked = control.locked.map_or(String::new(), |why| format!("   (now {why})"));
        table.row([
            control.name.clone(),
            control.value.map_or("-".into(), |value| value.to_string()),
            control.default.to_string(),
            format!("{}{locked}", control.range()),
        ]);
    }
    ui::say(format!("\n{}", table.render_left().trim_end()));
    if let Some(roi) = camera.crop_bounds() {
        ui::say(format!("\n  crop: any part of {}x{} from {},{}", roi.width, roi.height, roi.x, roi.y));
    }
    Ok(())
}

/// What to write into the configuration for a format, or why nothing.
fn usable(format: &FormatInfo) -> String {
    match format.format {
        Some(known) if format.compressed => format!("\"{known}\" (decoded; allocates in the loop)"),
        Some(known) => format!("\"{known}\""),
        None => format!("not supported ({})", format.description),
    }
}

fn format_json(format: &FormatInfo) -> Value {
    let sizes = format.sizes.iter().map(|size| json!({ "size": size.size, "rates": size.rates }));
    json!({
        "code": format.code, "description": format.description, "format": format.format.map(|format| format.name()),
        "loop_clean": format.format.is_some() && !format.compressed, "sizes": sizes.collect::<Vec<_>>(),
    })
}

fn control_json(control: &Control) -> Value {
    json!({
        "name": control.name, "value": control.value, "default": control.default, "minimum": control.minimum,
        "maximum": control.maximum, "step": control.step, "locked": control.locked, "accepts": control.range(),
    })
}
