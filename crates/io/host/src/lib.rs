//! The one driver of every daemon: event loop, logging, privileges, flight recorder.
