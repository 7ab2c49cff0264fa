//! `jidoka-gateway`: follows an inspector's telemetry and serves it over HTTP.
//!
//! The command line, the runtime, and signals; what is served and how it is followed is the library's (`lib.rs`).
//! It never writes to the ring and never asks the inspector for anything.
//! Relies on: tokio for the runtime and signals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jidoka_gateway::follow::{Follower, Source};
use jidoka_gateway::serve::router;
use jidoka_gateway::view::Shared;
use jidoka_telemetry::{default_dir, ring_path};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Shows what an inspector does: a live page, JSON, and metrics for Prometheus.
///
/// It only reads. The inspector runs the same with or without it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
    jidoka-gateway                              the only station here, on http://127.0.0.1:8170\n  \
    jidoka-gateway --station capper --listen 0.0.0.0:8170\n  \
    curl -s localhost:8170/api/verdicts?last=3\n\n\
    Exit codes: 0 asked to stop, 1 could not start, 2 bad arguments"
)]
struct Args {
    /// Station to follow; may be left out where there is only one
    #[arg(long)]
    station: Option<String>,

    /// Directory of the telemetry rings [default: /run/jidoka, else $XDG_RUNTIME_DIR/jidoka]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Address to serve on; anything but loopback is open to whoever can reach it
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8170")]
    listen: SocketAddr,

    /// Verdicts to keep for `/api/verdicts`
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    history: u32,

    /// Without a sign of life for so long the inspector counts as silent
    #[arg(long, value_name = "MS", default_value = "3000", value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    stale_ms: u64,
}

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Telemetry(#[from] jidoka_telemetry::Error),

    #[error(
        "--listen {address}: {source}\n  expected: an address of this machine and a port that no other program uses"
    )]
    Listen { address: SocketAddr, source: std::io::Error },

    #[error("could not start: {0}")]
    Runtime(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let args = Args::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Error> {
    let dir = match args.dir {
        Some(dir) => dir,
        None => default_dir()?,
    };
    let source = match args.station {
        Some(station) => {
            // A name that cannot be a station's will never appear: say so now.
            ring_path(&dir, &station)?;
            Source::Station(dir, station)
        }
        None => Source::Only(dir),
    };
    // One thread is plenty: the work is copying a few kilobytes a second.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(source, args.listen, args.history as usize, Duration::from_millis(args.stale_ms)))
}

async fn run(source: Source, address: SocketAddr, history: usize, stale_after: Duration) -> Result<(), Error> {
    let shared = Shared::new(history);
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    // Port 0 means any; who started us reads from this line which one it became.
    println!("listening on http://{}", listener.local_addr()?);
    let mut follower = Follower::new(source, shared.clone());
    let following = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            follower.step();
        }
    });
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    tokio::select! {
        served = async { axum::serve(listener, router(shared, stale_after)).await } => served?,
        _ = terminated.recv() => log::info!("terminated"),
        _ = interrupted.recv() => log::info!("interrupted"),
    }
    following.abort();
    Ok(())
}
