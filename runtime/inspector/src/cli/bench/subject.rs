//! What is measured: an inspection model with its preparation, or any other network by itself.

use std::path::Path;

use jidoka_capture::{FrameView, Geometry};
use jidoka_engine::{Model, Options, RunError, Session};
use jidoka_models::{InspectionModel, LoadOptions};
use jidoka_prepare::Preparer;

use crate::error::Error;
use crate::station::{inspect, open};

/// What runs in each measured frame.
pub enum Subject {
    /// A model that inspects: frames are prepared for it.
    Inspection {
        /// The model.
        model: Box<InspectionModel>,
        /// From frames to its input.
        preparer: Box<Preparer>,
    },
    /// A backbone or another network: it runs on noise that is written once.
    Network {
        /// What errors call it.
        name: String,
        /// The network.
        session: Box<Session>,
    },
}

impl Subject {
    /// Loads the file as an inspection model, or else as a network. What runs through tract is measured, not refused.
    pub fn load(path: &Path, threads: usize, geometry: Geometry) -> Result<Subject, Error> {
        let engine = Options { threads, ..Options::default() };
        let load = LoadOptions { engine: engine.clone(), ..LoadOptions::default() };
        match InspectionModel::load(path, &load) {
            Ok(model) => {
                let preparer = Preparer::new(&open::spec(&model, geometry, None))?;
                Ok(Subject::Inspection { model: Box::new(model), preparer: Box::new(preparer) })
            }
            // What is wrong with it as an inspection model is said unless it is a good network.
            Err(error) => {
                let network = Model::read(path).and_then(|model| Session::new(&model, &engine));
                let mut session = network.map_err(|_| Error::from(error))?;
                let input = session.input_info().shape.iter().product();
                let bytes = super::noise(input);
                if let Some(input) = session.input_f32() {
                    input.iter_mut().zip(&bytes).for_each(|(value, byte)| *value = f32::from(*byte) / 255.0);
                } else if let Some(input) = session.input_u8() {
                    input.copy_from_slice(&bytes);
                }
                Ok(Subject::Network { name: path.display().to_string(), session: Box::new(session) })
            }
        }
    }

    /// Prepares a frame, where there is something to prepare it for.
    pub fn prepare(&mut self, view: &FrameView<'_>) -> Result<(), jidoka_prepare::FrameError> {
        match self {
            Subject::Inspection { model, preparer } => inspect::prepare(preparer, view, model),
            Subject::Network { .. } => Ok(()),
        }
    }

    /// Runs it, as the loop would.
    pub fn run(&mut self) -> Result<(), RunError> {
        match self {
            Subject::Inspection { model, .. } => model.score().map(|outcome| {
                std::hint::black_box(outcome.score);
            }),
            Subject::Network { session, .. } => session.run(),
        }
    }

    /// Runs it and says when each of the engine's steps is done.
    pub fn run_with(&mut self, finished: impl FnMut(usize)) -> Result<(), RunError> {
        match self {
            Subject::Inspection { model, .. } => model.run_with(finished),
            Subject::Network { session, .. } => session.run_with(finished),
        }
    }

    /// The engine's session.
    pub fn session(&self) -> &Session {
        match self {
            Subject::Inspection { model, .. } => model.session(),
            Subject::Network { session, .. } => session,
        }
    }

    /// An engine's error as one of this model's.
    pub fn failed(&self, error: RunError) -> Error {
        let name = match self {
            Subject::Inspection { model, .. } => model.name().to_owned(),
            Subject::Network { name, .. } => name.clone(),
        };
        jidoka_models::Error::Run { name, error }.into()
    }

    /// Whether frames are prepared for it.
    pub fn inspects(&self) -> bool {
        matches!(self, Subject::Inspection { .. })
    }
}
