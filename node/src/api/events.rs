//! `GET /v1/events`: what happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::Api;
use super::types::ApiEvent;

/// What happens from now on, as server-sent events. An event's data are one JSON object, which repeats the event's
/// name. A reader that is too slow gets `lagged` with the number of events that it missed.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    responses((status = 200, description = "A stream without end", body = ApiEvent, content_type = "text/event-stream"))
)]
pub(super) async fn events(State(api): State<Api>) -> impl IntoResponse {
    let events = stream(api.handle.subscribe(), api.stop.clone());
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    ([(header::CACHE_CONTROL, "no-store"), (X_ACCEL_BUFFERING, "no")], events)
}

/// Ends when the node stops, so that a reader does not hold up the shutdown.
fn stream(events: Receiver<ApiEvent>, stop: watch::Receiver<bool>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((events, stop), |(mut events, mut stop)| async move {
        let event = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => event,
                Err(RecvError::Lagged(missed)) => ApiEvent::Lagged { missed },
                Err(RecvError::Closed) => return None,
            },
            _ = stop.wait_for(|&stop| stop) => return None,
        };
        let data = serde_json::to_string(&event).expect("an event is plain data");
        Some((Ok(Event::default().event(event.name()).data(data)), (events, stop)))
    })
}

/// Shorter than what clients and proxies take for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Reverse proxies that would gather events into large pieces are told not to.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
