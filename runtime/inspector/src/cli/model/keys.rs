//! `jidoka model keys` and `jidoka model sign`.

use std::path::{Path, PathBuf};

use jidoka_models::signature;
use serde_json::json;

use crate::cli::ui;
use crate::error::Error;

/// Arguments of `keys`.
#[derive(clap::Args)]
pub struct Make {
    /// Where: OUT.key and OUT.pub, neither of which may exist
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    password: Password,
}

/// Arguments of `sign`.
#[derive(clap::Args)]
pub struct Sign {
    /// The model
    model: PathBuf,
    /// The secret key, made by `jidoka model keys` or by minisign
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: Password,
}

/// Where the password of a secret key comes from; without either it is asked for at the terminal.
#[derive(clap::Args)]
struct Password {
    /// The first line of this file is the key's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The key has no password: whoever reads its file can sign
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

impl Password {
    fn read(&self) -> Result<Option<String>, Error> {
        if self.no_password {
            return Ok(Some(String::new()));
        }
        let Some(file) = &self.password_file else { return Ok(None) };
        let text = std::fs::read_to_string(file).map_err(|error| Error::file(file, "read", error))?;
        let password = text.lines().next().unwrap_or_default().to_owned();
        if password.is_empty() {
            let what = "its first line is empty\n  expected: the key's password\n  try: --no-password";
            return Err(Error::Usage(format!("{}: {what}", file.display())));
        }
        Ok(Some(password))
    }
}

impl Make {
    /// Makes the pair and says how it is used.
    pub fn run(&self, json: bool) -> Result<(), Error> {
        let (secret, public) = (with(&self.out, ".key"), with(&self.out, ".pub"));
        let key = signature::make_keys(&secret, &public, self.password.read()?)?;
        if json {
            ui::say_json(&json!({ "secret_key": secret, "public_key_file": public, "public_key": key.to_string() }));
            return Ok(());
        }
        ui::say(format!("  {} signs models: keep it off the stations", secret.display()));
        ui::say(format!(
            "  {} goes to them. In their configuration:\n\n  [model]\n  public_key = \"{key}\"",
            public.display()
        ));
        Ok(())
    }
}

impl Sign {
    /// Signs.
    pub fn run(&self, json: bool) -> Result<(), Error> {
        let place = signature::sign(&self.model, &self.key, self.password.read()?)?;
        if json {
            ui::say_json(&json!({ "model": self.model, "signature": place }));
        } else {
            ui::say(format!("  {}: goes to the station with the model", place.display()));
        }
        Ok(())
    }
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
