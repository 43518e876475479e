//! What the libraries log, on standard error: lines for people, and events where all else is events.

use std::fmt::{self, Debug, Write as _};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What is logged unless `FOREBAY_LOG` says otherwise.
const USUAL: &str = "warn,hdfs_native=error";

/// Begins to log; `FOREBAY_LOG` says what (`debug`, `forebay_feeder=trace`, …).
pub(crate) fn init(as_events: bool) {
    let filter = EnvFilter::try_from_env("FOREBAY_LOG").unwrap_or_else(|_| EnvFilter::new(USUAL));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only when a logger is there already.
    let _ = if as_events { log.event_format(Events).try_init() } else { log.with_target(false).try_init() };
}

struct Events;

impl<S, N> FormatEvent<S, N> for Events
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = Text(String::new());
        event.record(&mut text);
        let level = event.metadata().level().as_str().to_lowercase();
        writeln!(to, "{}", json!({ "event": "log", "level": level, "message": text.0 }))
    }
}

/// The message, and the other fields as `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Where in the source something was logged by the older of the two ways to log.
        if field.name().starts_with("log.") {
            return;
        }
        let gap = if self.0.is_empty() { "" } else { " " };
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{gap}{value:?}"),
            name => write!(self.0, "{gap}{name}={value:?}"),
        };
    }
}
