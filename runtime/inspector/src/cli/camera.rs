//! `jidoka camera`: what is there, and does it give frames?

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::json;

use super::ui;
use crate::config::Config;
use crate::error::Error;
use crate::station::open;

/// Cameras: does this one give frames, and what do they look like?
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jidoka camera grab /dev/video0 --out frame.png
  jidoka camera grab --config capper.toml --out frame.png    as the station would see it")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Take one frame and write it as a PNG
    Grab {
        /// A device node, a folder or image, or `synthetic`
        #[arg(required_unless_present = "config")]
        source: Option<String>,
        /// Use this station's camera instead
        #[arg(long, value_name = "FILE", conflicts_with = "source")]
        config: Option<PathBuf>,
        /// Frames to let go by first: many cameras need some to settle their exposure
        #[arg(long, default_value_t = 5)]
        skip: u32,
        /// The picture to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Does what was asked.
pub fn run(args: &Args) -> Result<(), Error> {
    let Command::Grab { source, config, skip, out } = &args.command;
    let mut source = match (source, config) {
        (Some(name), _) => open::open_by_name(name)?,
        (None, Some(file)) => jidoka_capture::open(&Config::read(file)?.camera.source)?,
        (None, None) => return Err(Error::Usage("no camera: name one, or --config FILE".into())),
    };
    let images = super::teach::take(source.as_mut(), skip + 1, Duration::ZERO, &ProgressBar::hidden())?;
    let Some(image) = images.last() else {
        return Err(Error::Usage(format!("{}: it ended before the first frame", source.describe())));
    };
    jidoka_models::write_atomic(out, &jidoka_capture::images::encode_png(&image.view())?)?;
    if args.json {
        ui::say_json(
            &json!({ "camera": source.describe(), "image": out, "width": image.width, "height": image.height }),
        );
    } else {
        ui::say(format!("  {}\n  wrote {} ({}x{})", source.describe(), out.display(), image.width, image.height));
    }
    Ok(())
}
