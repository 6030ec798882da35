//! Reading the configuration again: asked for by a node or by SIGHUP, read by
//! the driver off the loop, judged and applied here.

use cmap::Value;
use corosync_conf::reload::{Change, RefusedReload, plan};
use ring_service::Status;
use sansio::edge::{Conn, Level, Output};
use sansio::{Core, Now};

use crate::translate::{self, Routes};
use crate::{Membership, Reading};

const IN_PROGRESS: &str = "config.reload_in_progress";

impl Membership {
    /// Asks for a reading. What is asked for while one is under way may be
    /// newer than what it sees, and is done after it.
    pub(crate) fn reload(&mut self, asker: Option<Conn>) {
        if self.reloading.is_some() {
            self.reload_again.get_or_insert_default().extend(asker);
            return;
        }
        self.reloading = Some(asker.into_iter().collect());
        self.out.push_back(Output::ReadConfig);
    }

    pub(crate) fn config_read(&mut self, now: Now, read: Result<Vec<u8>, String>) {
        let Some(askers) = self.reloading.take() else { return };
        self.map.set(IN_PROGRESS, Value::U8(1));
        let status = match self.apply(now, read) {
            Ok(()) => Status::Ok,
            Err(why) => {
                self.log("CFG", Level::Error, format!("Unable to reload config file: {why}"));
                Status::InvalidParam
            }
        };
        self.map.set(IN_PROGRESS, Value::U8(0));
        for asker in askers {
            self.services.handle(now, services::Input::Reloaded { asker, status });
        }
        if let Some(askers) = self.reload_again.take() {
            self.reloading = Some(askers);
            self.out.push_back(Output::ReadConfig);
        }
    }

    /// All or nothing: everything that can be refused is, before anything changes.
    fn apply(&mut self, now: Now, read: Result<Vec<u8>, String>) -> Result<(), String> {
        let reading = Reading::decode(&read?).map_err(|why| why.to_string())?;
        let config = reading.config().map_err(|refused| refused.to_string())?;
        let plan = plan(&self.config, &self.map.running(), &config, reading.keys_differ);
        let plan = plan.map_err(|refused| self.explain(refused))?;
        for line in plan.ignored {
            self.log("CFG", Level::Notice, line);
        }
        for change in plan.changes {
            match change {
                Change::Delete(key) => {
                    // It may be gone by now: tools change the map, too.
                    let _ = self.map.store.delete(&key);
                }
                Change::Set(key, value) => self.map.set(&key, value),
            }
        }
        self.routes = Routes::of(&config);
        let timing = Box::new(translate::timing(&config));
        let nodes = translate::nodes(&config);
        self.config = config;
        self.totem.handle(now, totem::Input::Reconfigure { timing, nodes });
        if let Some(votes) = translate::votes(&self.config) {
            self.services.reconfigure(now, &votes);
        }
        self.tell_addresses();
        Ok(())
    }

    fn explain(&mut self, refused: RefusedReload) -> String {
        match refused {
            RefusedReload::RestartNeeded { reason }
            | RefusedReload::LocalNodeChanged { reason } => reason,
            RefusedReload::LinkChanged { details, reason } => {
                for line in details {
                    self.log("CFG", Level::Error, line);
                }
                reason
            }
        }
    }
}
