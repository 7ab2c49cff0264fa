//! The HTTP side: `GET` only, read only.

use std::time::Duration;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use jidoka_telemetry::monotonic_us;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::view::{Health, Shared};
use crate::{json as api, metrics};

const PAGE: &str = include_str!("page.html");

/// Verdicts that `/api/verdicts` gives when not told how many.
const DEFAULT_LAST: usize = 50;

#[derive(Clone)]
struct App {
    shared: Shared,
    stale_us: u64,
}

impl App {
    /// Run with the view, the time, and how the inspector is doing.
    fn with<T>(&self, f: impl FnOnce(&crate::view::View, u64, Health) -> T) -> T {
        let view = self.shared.lock();
        let now_us = monotonic_us();
        let health = view.health(now_us, self.stale_us);
        f(&view, now_us, health)
    }
}

/// Everything that is served. An inspector without a sign of life for `stale_after` counts as silent.
pub fn router(shared: Shared, stale_after: Duration) -> Router {
    let app = App { shared, stale_us: stale_after.as_micros() as u64 };
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/healthz", get(healthz))
        .route("/api/status", get(status))
        .route("/api/verdicts", get(verdicts))
        .route("/metrics", get(metrics_text))
        .fallback(not_found)
        .layer(from_fn(harden))
        .with_state(app)
}

/// Headers that keep a browser from running or loading anything but the page itself.
async fn harden(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                          frame-ancestors 'none'";
    let headers: [(HeaderName, &'static str); 3] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// 200 while the inspector runs or starts, else 503; the body says why.
async fn healthz(State(app): State<App>) -> Response {
    let (health, problem) = app.with(|view, _, health| (health, view.problem.clone()));
    let code = if health.is_healthy() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({ "health": health.name(), "problem": problem }))).into_response()
}

async fn status(State(app): State<App>) -> Json<Value> {
    Json(app.with(api::status))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    last: Option<usize>,
}

/// The newest verdicts, newest first.
async fn verdicts(State(app): State<App>, query: Result<Query<Last>, QueryRejection>) -> Response {
    let history = app.shared.lock().history();
    let last = match query.map(|Query(query)| query.last.unwrap_or(DEFAULT_LAST)) {
        Ok(last) if (1..=history).contains(&last) => last,
        Ok(last) => return bad_request(&format!("last = {last}"), history),
        Err(rejection) => return bad_request(&rejection.body_text(), history),
    };
    let verdicts: Vec<api::Verdict> = app.with(|view, _, _| {
        view.verdicts.iter().rev().take(last).map(|(index, record)| api::Verdict::new(*index, record)).collect()
    });
    Json(verdicts).into_response()
}

fn bad_request(error: &str, history: usize) -> Response {
    let body = json!({ "error": error, "expected": format!("/api/verdicts?last=N with N from 1 to {history}") });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn metrics_text(State(app): State<App>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match app.with(metrics::render) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn not_found() -> Response {
    let body = json!({
        "error": "no such page",
        "expected": ["/", "/healthz", "/api/status", "/api/verdicts?last=N", "/metrics"],
    });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}
