//! The gateway: everything that talks to people and networks, in a process of its own.
//!
//! What lives here: following the inspector's telemetry ring ([`follow`]), what has been seen ([`view`]), and serving it
//! over HTTP ([`serve`]): health, status and verdicts as JSON, metrics, and a page that shows them live.
//!
//! What must not live here: anything that a part waits for. The gateway only reads the ring; it may crash, hang or be
//! absent, and the inspector neither notices nor cares.
//!
//! Relies on: `jidoka-telemetry` and nothing else of the project.
//!
//! It binds to loopback unless told otherwise, answers only `GET`, changes nothing, and needs no restart when the inspector
//! restarts, is updated, or is not there yet.

pub mod follow;
mod json;
mod metrics;
pub mod serve;
pub mod view;
