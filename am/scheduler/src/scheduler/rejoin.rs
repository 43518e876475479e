//! Attempts that have lived through the application master's restart.

use core::time::Duration;

use super::Scheduler;
use super::worker::State;
use crate::ledger::Contradiction;
use crate::{Action, Attempt, Cause, Granted, Input, Position, Story};

/// What an attempt says that it was granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold<'a> {
    /// First, and fed for good.
    pub(super) fed: &'a [u64],
    /// Then.
    pub(super) held: &'a [Granted],
}

impl Scheduler {
    /// An attempt has come back, and says what it holds.
    pub(super) fn rejoined(
        &mut self,
        now: Duration,
        attempt: Attempt,
        hold: Hold<'_>,
        position: &Position,
        exited: Option<i32>,
        out: &mut Vec<Action>,
    ) {
        let Some(place) = self.current(attempt) else { return };
        match self.workers[place].state {
            State::Rejoining { empty_handed: false, .. } => {
                if let Err(contradiction) = self.take_back(place, hold, position, exited == Some(0)) {
                    return self.refuse(now, place, self.in_words(contradiction), true, out);
                }
                self.workers[place].state = State::Running { heard: now };
                let (leased, fed, _) = self.ledger.held(attempt);
                out.push(Action::Tell(Story::CameBack { attempt, units: leased + fed }));
            }
            State::Rejoining { empty_handed: true, .. } if exited == Some(0) => {
                self.workers[place].state = State::Staging { heard: now };
                out.push(Action::Tell(Story::CameBack { attempt, units: 0 }));
                out.push(Action::StageOutput(attempt));
                return;
            }
            State::Rejoining { .. } => {
                let why = "says that its worker runs, which had ended".to_owned();
                return self.refuse(now, place, why, false, out);
            }
            // Said again, perhaps late: of a grant that it does not know of, its next question tells.
            _ => {}
        }
        self.heartbeat(now, attempt, position, out);
        if let (Some(status), State::Running { .. }) = (exited, &self.workers[place].state) {
            self.exited(now, attempt, status, position, out);
        }
    }

    fn take_back(
        &mut self,
        place: usize,
        hold: Hold<'_>,
        position: &Position,
        ended_well: bool,
    ) -> Result<(), Contradiction> {
        let Hold { fed, held } = hold;
        let attempt = self.workers[place].attempt();
        if let Input::Static { .. } = self.config.input {
            let dealt = self.shares.get(place).map_or(&[][..], Vec::as_slice);
            self.ledger.rejoin_dealt(attempt, fed, held, dealt)?;
            self.workers[place].end_given = true;
            return Ok(());
        }
        let own = self.acked.remove(&attempt).unwrap_or_default();
        let taken = self.ledger.rejoin(attempt, fed, held, position, &own, ended_well);
        let worker = &mut self.workers[place];
        worker.end_given = position.complete;
        // Also what of it is another's by now: the agent counts it.
        (worker.granted, worker.granted_last) = ((fed.len() + held.len()) as u64, 0);
        taken
    }

    fn in_words(&self, contradiction: Contradiction) -> String {
        match contradiction {
            Contradiction::Unknown(unit) => {
                format!("says that it holds unit {unit}, and the job has no such unit")
            }
            Contradiction::NotFree(unit) => {
                format!("says that it holds {}, which is done or held by another attempt", self.name(unit))
            }
            Contradiction::Skip(unit) => {
                format!("says that it was given another part of {} than is due", self.name(unit))
            }
            Contradiction::NotDealt => "names other files than those dealt out to it".to_owned(),
        }
    }

    /// What an attempt says cannot be: it is ended.
    fn refuse(&mut self, now: Duration, place: usize, why: String, unseen: bool, out: &mut Vec<Action>) {
        let cause = Cause::Contradicts { why };
        out.push(Action::EndContainer(self.workers[place].attempt(), format!("it {cause}")));
        let deadline = now.saturating_add(self.config.end_deadline);
        self.workers[place].state =
            State::Ending { cause: Some(cause), since: now, deadline, asked: 1, unseen };
    }
}
