//! What the crate logs, as lines.

use std::fmt::Write;
use std::sync::{Mutex, Once};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::Registry;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Capture;

struct Fields(String);

impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Layer<Registry> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
        if *event.metadata().level() <= tracing::Level::WARN {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            LINES.lock().unwrap().push(fields.0);
        }
    }
}

/// From now on warnings and errors of this process are kept.
pub(crate) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Capture);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The lines in which `name` occurs.
pub(crate) fn about(name: &str) -> Vec<String> {
    LINES.lock().unwrap().iter().filter(|line| line.contains(name)).cloned().collect()
}
