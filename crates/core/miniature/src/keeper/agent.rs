//! The resource on this node: one call of its agent at a time.

use sansio::Mono;
use sansio::edge::{Child, ChildEvent, Level, Output, Spawn};

use super::message::{Message, Status};
use super::{AGENT_TIMEOUT, Keeper, RETRY, Timer};

/// A call of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Monitor,
    Start,
    Stop,
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Task::Monitor => "monitor",
            Task::Start => "start",
            Task::Stop => "stop",
        }
    }
}

/// How the resource stands here, and what is under way with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    known: Status,
    call: Option<(Child, Task)>,
    /// A stop was asked for during another call.
    stop_next: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self { known: Status::Unknown, call: None, stop_next: false }
    }
}

impl Agent {
    /// What this node tells others.
    pub fn status(&self) -> Status {
        match self.call {
            Some((_, Task::Start | Task::Stop)) => Status::Changing,
            Some((_, Task::Monitor)) | None => self.known,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.call.is_none()
    }

    pub(super) fn task(&self) -> Option<Task> {
        self.call.map(|(_, task)| task)
    }
}

impl Keeper {
    /// [MIN-8] A new keeper doesn't know what an earlier one left behind.
    pub(super) fn probe(&mut self) {
        if sansio::mutant::active("MIN-8/remove") {
            self.agent.known = Status::Stopped;
            return;
        }
        self.call(Task::Monitor);
    }

    /// Starts the resource, as the coordinator of the current ring asks.
    pub(super) fn start(&mut self, now: Mono) {
        let quorate = self.board.as_ref().is_some_and(|board| board.quorate);
        if quorate && self.agent.is_idle() && self.agent.known == Status::Stopped && !self.stopping
        {
            self.call(Task::Start);
        } else {
            self.timers.arm_if_idle(Timer::Retry, now + RETRY);
        }
    }

    /// Stops the resource if it may be active.
    pub(super) fn stop_resource(&mut self, why: &str) {
        if !self.agent.is_idle() {
            self.agent.stop_next = true;
            return;
        }
        if matches!(self.agent.known, Status::Running | Status::Failed) {
            let text = format!("Stopping {} because {why}", self.config.rsc);
            self.log(Level::Notice, text);
            self.call(Task::Stop);
        }
    }

    fn call(&mut self, task: Task) {
        let child = self.next_child();
        self.agent.call = Some((child, task));
        self.out.push(Output::Spawn(Spawn {
            child,
            program: self.config.agent.clone(),
            args: vec![task.name().into(), self.config.rsc.clone()],
            env: Vec::new(),
            stdin: Vec::new(),
            timeout_ms: u64::try_from(AGENT_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
            stdout_max: 0,
        }));
    }

    pub(super) fn agent_done(&mut self, now: Mono, child: Child, event: &ChildEvent) {
        let Some((_, task)) = self.agent.call.filter(|(c, _)| *c == child) else { return };
        self.agent.call = None;
        let code = match event {
            ChildEvent::Exited { code, .. } => Some(*code),
            ChildEvent::SpawnFailed { .. }
            | ChildEvent::Signalled { .. }
            | ChildEvent::TimedOut => None,
        };
        self.agent.known = self.outcome(task, code);
        let text = format!("{} of {}: {event:?}", task.name(), self.config.rsc);
        self.log(Level::Info, text);
        let unsure = task != Task::Stop && self.agent.known == Status::Failed;
        if std::mem::take(&mut self.agent.stop_next) || unsure {
            self.stop_resource("its last call failed or was overtaken");
        }
        if self.agent.is_idle() {
            let status = self.agent.status();
            self.tell(&Message::Report(status));
            self.timers.arm_if_idle(Timer::Retry, now + RETRY);
        }
        if self.stopping {
            self.stop_resource("the node leaves the cluster");
            self.leave_if_stopped(now);
        }
    }

    fn outcome(&self, task: Task, code: Option<i32>) -> Status {
        match (task, code) {
            (Task::Monitor, Some(7)) => Status::Stopped,
            // It answered neither yes nor no: only a stop makes it certain.
            (Task::Monitor, _) if code != Some(0) => {
                if sansio::mutant::active("MIN-8/weaken") {
                    Status::Stopped
                } else {
                    Status::Failed
                }
            }
            (Task::Monitor | Task::Start, Some(0)) => Status::Running,
            (Task::Stop, Some(0)) => Status::Stopped,
            (Task::Monitor | Task::Start | Task::Stop, _) => Status::Failed,
        }
    }
}
