//! Local connections, served and made.

use sansio::edge::{Conn, Frame, Input};

/// The daemon's local connections.
#[derive(Default)]
pub(crate) struct Ipc {
    refused: std::collections::VecDeque<Conn>,
}

impl Ipc {
    pub(crate) async fn ready(&mut self) {
        std::future::pending::<()>().await;
    }

    pub(crate) fn take<R>(&mut self) -> Option<Input<R>> {
        let conn = self.refused.pop_front()?;
        Some(Input::Closed { conn, why: "no IPC".into() })
    }

    pub(crate) fn connect(&mut self, conn: Conn, _: String) {
        self.refused.push_back(conn);
    }

    pub(crate) fn send(&mut self, _: Conn, _: Frame) {}

    pub(crate) fn flow_control(&mut self, _: Conn, _: u8) {}

    pub(crate) fn close(&mut self, _: Conn, _: &str) {}

    pub(crate) async fn finish(&mut self, _: std::time::Duration) {}
}
