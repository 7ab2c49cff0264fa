//! The control socket: one line of text in, one line of JSON out, from programs on the same machine.
//!
//! | line | does |
//! |---|---|
//! | `recipe NAME` | prepares the recipe and swaps it in between two frames |
//! | `trigger` | a part is there now (`[trigger] source = "software"`) |
//! | `acknowledge` | alarms no longer stand |
//! | `sample` | takes the next good part out at `[policy] sample_to` |
//! | `shift` | golden samples must be seen again |
//! | `status` | says which recipe is in use |
//!
//! One client at a time, one request a connection, at most [`MOST_BYTES`] long: a client that is slow or hostile costs half a
//! second of a thread that has no deadline.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::PollFlags;
use serde_json::{Value, json};

use super::actuator::Command;
use super::change::Running;
use crate::config::Source;
use crate::config::reader::nearest;
use crate::error::Error;
use crate::os::clock;

/// Longest request.
const MOST_BYTES: usize = 256;
/// How long a client may take to send one or to read its answer.
const CLIENT_PATIENCE: Duration = Duration::from_millis(500);
/// How long the other side waits for an answer: a model may have to be loaded.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);

/// The station's end. The file goes when this does.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Whether the station takes triggers from here.
    triggers: bool,
}

/// The path of a socket that a configuration or a command line names: a path as it is, a name in the usual folder.
pub fn path_of(name: &str) -> Result<PathBuf, Error> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    // The ring's rules for names are the right ones here too.
    let ring = jidoka_telemetry::ring_path(&jidoka_telemetry::default_dir()?, name)?;
    Ok(ring.with_extension("sock"))
}

impl Socket {
    /// Makes the socket. One that a dead station left behind is replaced; a living station's is not.
    pub fn open(name: &str, source: Source) -> Result<Socket, Error> {
        let path = path_of(name)?;
        if UnixStream::connect(&path).is_ok() {
            let what = format!(
                "{}: another station answers on this control socket\n  expected: a socket of its own for each station\n  \
                 try: [station] control = \"another-name\"",
                path.display()
            );
            return Err(Error::Usage(what));
        }
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file(&path, "replace the control socket", error)),
        }
        let listener =
            UnixListener::bind(&path).map_err(|error| Error::file(&path, "make the control socket", error))?;
        listener.set_nonblocking(true).map_err(|error| Error::file(&path, "make the control socket", error))?;
        log::info!("control: {}", path.display());
        Ok(Socket { listener, path, triggers: source == Source::Software })
    }

    /// What to poll for clients.
    pub fn descriptor(&self) -> (BorrowedFd<'_>, PollFlags) {
        (self.listener.as_fd(), PollFlags::IN)
    }

    /// Serves whoever waits.
    pub fn serve(&self, station: &mut Running<'_>) {
        while let Ok((mut client, _)) = self.listener.accept() {
            let answer = match request(&mut client) {
                Ok(line) => self.obey(&line, station),
                Err(problem) => refuse(problem),
            };
            // A client that does not wait for its answer does not get one.
            let _ = writeln!(client, "{answer}");
        }
    }

    fn obey(&self, line: &str, station: &mut Running<'_>) -> Value {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let command = match word {
            "status" => return json!({ "ok": true, "recipe": station.current(), "recipes": station.names() }),
            "recipe" => return recipe(rest.trim(), station),
            "trigger" if !self.triggers => {
                return refuse(
                    "this station's parts are not triggered by command\n  expected: [trigger] source = \"software\"",
                );
            }
            "trigger" => Command::Trigger(jidoka_line::Micros::from_duration(clock::now())),
            "acknowledge" => Command::Acknowledge,
            "sample" => Command::Sample(station.sample_to()),
            "shift" => Command::Shift,
            _ => {
                return refuse(
                    "not a known request\n  expected: recipe NAME, trigger, acknowledge, sample, shift or status",
                );
            }
        };
        match station.command(command) {
            true => json!({ "ok": true }),
            false => refuse("the station has too many requests waiting"),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn recipe(name: &str, station: &mut Running<'_>) -> Value {
    let names = station.names();
    let Some(place) = names.iter().position(|known| *known == name) else {
        let near = nearest(name, names.iter().copied()).map(|near| format!("\n  try: {near}")).unwrap_or_default();
        return refuse(format!("there is no recipe \"{name}\"\n  expected: one of {}{near}", names.join(", ")));
    };
    match station.change(place) {
        Ok(changed) => json!({
            "ok": true, "recipe": name,
            "prepare_us": clock::micros(changed.prepare), "swap_us": clock::micros(changed.swap),
        }),
        Err(error) => refuse(error.to_string()),
    }
}

fn refuse(problem: impl Into<String>) -> Value {
    json!({ "ok": false, "error": problem.into() })
}

/// One line, or what is wrong with what came.
fn request(client: &mut UnixStream) -> Result<String, &'static str> {
    let setting = client.set_nonblocking(false).and_then(|()| client.set_read_timeout(Some(CLIENT_PATIENCE)));
    setting.and_then(|()| client.set_write_timeout(Some(CLIENT_PATIENCE))).map_err(|_| "the socket is gone")?;
    let deadline = clock::now() + CLIENT_PATIENCE;
    let mut bytes = Vec::with_capacity(MOST_BYTES);
    let mut chunk = [0_u8; MOST_BYTES];
    while !bytes.contains(&b'\n') {
        if bytes.len() >= MOST_BYTES || clock::now() > deadline {
            return Err("no line of at most 256 bytes came in time");
        }
        match client.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "not text")?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).ok_or("nothing was asked")
}

/// Asks a station, from another process.
pub fn ask(path: &Path, line: &str) -> Result<Value, Error> {
    let broken = |error: std::io::Error| {
        if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) {
            Error::Control(format!(
                "{}: no station answers here ({error})\n  expected: a station that runs with [station] control\n  \
                 try: jidoka run, or --control with its socket's name or path",
                path.display()
            ))
        } else {
            Error::file(path, "talk to the station", error)
        }
    };
    let mut stream = UnixStream::connect(path).map_err(broken)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(broken)?;
    writeln!(stream, "{line}").map_err(broken)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(broken)?;
    let answer: Value = serde_json::from_str(&answer)
        .map_err(|error| Error::Control(format!("{}: not a station's answer: {error}", path.display())))?;
    match answer["error"].as_str() {
        Some(problem) => Err(Error::Control(problem.to_owned())),
        None => Ok(answer),
    }
}
