//! The thread that prepares recipes: loads and checks a model while the line runs, and hands it to the loop whole.
//!
//! An ordinary thread. It may allocate, read files and be slow; nobody waits for it. It also serves the control socket, since
//! most of what comes in there is a recipe.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use heapless::spsc::{Consumer, Producer};
use jidoka_capture::{Camera, Geometry, SourceConfig};

use super::actuator::Command;
use super::control::Socket;
use super::open;
use super::recipes::{Active, Offer, Registry, Returned};
use super::stop::Stop;
use crate::config::Config;
use crate::error::Error;
use crate::os::clock;
use crate::os::wake::{Bell, Sleeper};

/// How long the loop may take to answer an offer before it counts as not taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks for a client or a stop.
const PERIOD: Duration = Duration::from_millis(50);
/// After the camera's controls were set: frames that were being exposed or waited in the driver meanwhile are not judged.
const SETTLE: Duration = Duration::from_millis(100);

/// Prepares recipes; not running yet.
pub struct Changer {
    config: Config,
    geometry: Geometry,
    registry: Registry,
    socket: Option<Socket>,
    bell: Arc<Bell>,
}

/// How a recipe came into use.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// To load, plan and check it, while the one before was in use.
    pub prepare: Duration,
    /// From handing it over to its first frame.
    pub swap: Duration,
}

impl Changer {
    /// For the recipes of `config`, whose camera gives frames of `geometry`.
    pub fn new(
        config: &Config,
        geometry: Geometry,
        registry: Registry,
        socket: Option<Socket>,
    ) -> Result<Changer, Error> {
        let bell = Bell::new().map_err(|error| Error::System { action: "make an eventfd", error })?;
        Ok(Changer { config: config.clone(), geometry, registry, socket, bell: Arc::new(bell) })
    }

    /// Wakes it.
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// What is known of the recipes.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Connects it to the loop and the actuator.
    pub fn connect<'q>(
        self,
        offers: Producer<'q, Offer>,
        returns: Consumer<'q, Returned>,
        commands: Producer<'q, Command>,
        asks: Consumer<'q, u16>,
        actuator: Arc<Bell>,
        stop: Arc<Stop>,
    ) -> Running<'q> {
        Running { changer: self, offers, returns, commands, asks, actuator, stop, current: 0, unsure: false }
    }
}

/// Prepares recipes, connected to a station that runs.
pub struct Running<'q> {
    changer: Changer,
    offers: Producer<'q, Offer>,
    returns: Consumer<'q, Returned>,
    commands: Producer<'q, Command>,
    asks: Consumer<'q, u16>,
    actuator: Arc<Bell>,
    stop: Arc<Stop>,
    current: usize,
    /// The camera's controls may be those of no recipe.
    unsure: bool,
}

impl Running<'_> {
    /// Serves until the stop.
    pub fn run(mut self) {
        let Ok(sleeper) = Sleeper::new() else {
            log::error!("recipes cannot be changed: the system gives no timer");
            return;
        };
        let socket = self.changer.socket.take();
        while self.stop.reason().is_none() {
            while let Some(place) = self.asks.dequeue() {
                self.change_for_lines(usize::from(place));
            }
            if let Some(socket) = &socket {
                socket.serve(&mut self);
            }
            self.collect();
            let _ =
                sleeper.sleep(Some(clock::now() + PERIOD), &self.changer.bell, socket.iter().map(Socket::descriptor));
        }
    }

    /// The recipes' names.
    pub fn names(&self) -> Vec<&str> {
        self.changer.config.recipes.iter().map(|recipe| recipe.name.as_str()).collect()
    }

    /// The name of the recipe in use.
    pub fn current(&self) -> &str {
        self.changer.config.recipes.get(self.current).map_or("", |recipe| &recipe.name)
    }

    /// Where samples go.
    pub fn sample_to(&self) -> jidoka_line::EjectorId {
        self.changer.config.line_policy.sample_to
    }

    /// Sends a command to the actuator; false where too many wait already.
    pub fn command(&mut self, command: Command) -> bool {
        let sent = self.commands.enqueue(command).is_ok();
        self.actuator.ring();
        sent
    }

    fn change_for_lines(&mut self, place: usize) {
        if let Err(error) = self.change(place) {
            log::error!("the select lines' recipe cannot be used, the old one stays: {error}");
        }
    }

    /// Prepares the recipe at this place and waits until the loop has it.
    pub fn change(&mut self, place: usize) -> Result<Changed, Error> {
        if place == self.current && !self.unsure {
            return Ok(Changed { prepare: Duration::ZERO, swap: Duration::ZERO });
        }
        let began = clock::now();
        let (active, known) = open::active(&self.changer.config, place, self.changer.geometry)?;
        let prepare = clock::now() - began;
        self.changer.registry.set(active.recipe.id, known);
        let sees_from = self.set_controls(place)?;
        let swap = self.hand_over(Box::new(active), sees_from)?;
        self.current = place;
        let ms = |took: Duration| took.as_micros() as f64 / 1e3;
        log::info!("recipe {}: prepared in {} ms, swapped in {} ms", self.current(), ms(prepare), ms(swap));
        Ok(Changed { prepare, swap })
    }

    /// Sets the camera's controls where the recipe has others; from when on frames may be judged.
    fn set_controls(&mut self, place: usize) -> Result<Duration, Error> {
        let recipes = &self.changer.config.recipes;
        let (old, new) = (&recipes[self.current].controls, &recipes[place].controls);
        let SourceConfig::V4l2(camera) = &self.changer.config.camera.source else { return Ok(Duration::ZERO) };
        if old == new && !self.unsure {
            return Ok(Duration::ZERO);
        }
        let (device, controls) = (camera.device.clone(), new.clone());
        self.offer(Offer::Blind)?;
        self.unsure = true;
        // The loop must have seen it before the first control changes.
        while !self.offers.is_empty() && self.stop.reason().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let set = || -> Result<(), Error> {
            let camera = Camera::open(Path::new(&device))?;
            for (name, value) in &controls {
                camera.set_control(name, *value)?;
            }
            Ok(())
        };
        if let Err(error) = set() {
            // Some may have changed: what the camera sees now is no recipe's, so that nothing is judged until one is set whole.
            log::error!("the camera's controls are neither recipe's now; every part is rejected until a recipe is set");
            return Err(error);
        }
        self.unsure = false;
        Ok(clock::now() + SETTLE)
    }

    fn offer(&mut self, offer: Offer) -> Result<(), Error> {
        self.offers
            .enqueue(offer)
            .map_err(|_| Error::Control("the loop does not take what it was offered before".into()))
    }

    fn hand_over(&mut self, active: Box<Active>, sees_from: Duration) -> Result<Duration, Error> {
        let (id, offered_at) = (active.recipe.id, clock::now());
        self.offer(Offer::Swap { active, offered_at, sees_from })?;
        while clock::now() < offered_at + PATIENCE && self.stop.reason().is_none() {
            if let Some(took) = self.collect_until(id) {
                return Ok(took);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(Error::Control("the loop has not taken the recipe yet; it will with its next frame".into()))
    }

    fn collect_until(&mut self, wanted: jidoka_line::RecipeId) -> Option<Duration> {
        while let Some(returned) = self.returns.dequeue() {
            match returned {
                Returned::Taken { id, took } if id == wanted => return Some(took),
                Returned::Taken { .. } | Returned::Retired(_) => {} // freed here, where time does not matter
            }
        }
        None
    }

    fn collect(&mut self) {
        while self.returns.dequeue().is_some() {}
    }
}
