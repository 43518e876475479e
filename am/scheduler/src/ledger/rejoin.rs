//! What an attempt holds that has lived through the application master's restart: what its agent says, if it can be.

use super::Ledger;
use crate::held::Held;
use crate::intervals::Intervals;
use crate::{Attempt, Granted, OnRestart, Position, Skip};

/// What an agent says of what it holds cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contradiction {
    /// The job has no such unit.
    Unknown(u64),
    /// It is done or held by another attempt, or was named before.
    NotFree(u64),
    /// Another part of it was to be left out.
    Skip(u64),
    /// Files were dealt out to this attempt, and it names others.
    NotDealt,
}

impl Ledger {
    /// An attempt says that it was granted `fed`, which has left the pipe for good, and then `held`, and has not given any back. Units in
    /// `own` were done by its acknowledgements before and are passed over. A worker that `ended_well` keeps what it has read; what else it was granted may be
    /// another's by now. Nothing changes if what is said cannot be.
    pub(crate) fn rejoin(
        &mut self,
        attempt: Attempt,
        fed: &[u64],
        held: &[Granted],
        position: &Position,
        own: &Intervals,
        ended_well: bool,
    ) -> Result<(), Contradiction> {
        let mut said = Held::default();
        let (packed, open) = if Held::packs(self.on_restart) { (fed, &[][..]) } else { (&[][..], fed) };
        let whole = |&unit| Granted { unit, skip: Skip::None };
        for granted in open.iter().map(whole).chain(held.iter().copied()) {
            said.grant(granted);
        }
        said.merge(position, ended_well);
        // Under `from-ack` a record says so when what was not acknowledged has gone back.
        let gave_back = ended_well && (self.on_restart == OnRestart::ReplayAll || said.is_complete());
        let keep = if gave_back { said.kept().0 } else { said.open.len() };
        let mut units = Vec::with_capacity(keep);
        let mut named = Intervals::default();
        let packed = packed.iter().map(whole);
        let open = said.open.iter().take(keep).map(|entry| Granted { unit: entry.unit, skip: entry.skip });
        for Granted { unit, skip } in packed.clone().chain(open) {
            if unit >= self.total {
                return Err(Contradiction::Unknown(unit));
            }
            if named.contains(unit) || !(own.contains(unit) || self.waiting.contains(unit)) {
                return Err(Contradiction::NotFree(unit));
            }
            named.insert(unit);
            if own.contains(unit) {
                continue;
            }
            if self.skips.get(&unit).copied().unwrap_or_default() != skip {
                return Err(Contradiction::Skip(unit));
            }
            units.push(unit);
        }
        self.held.remove(&attempt);
        // With `replay-all`, nothing was acknowledged before: what is packed is the first of what is taken.
        let fed = packed.len();
        self.take(attempt, &units);
        if let Some(held) = self.held.get_mut(&attempt) {
            held.pack_first(fed);
        }
        Ok(())
    }

    /// As [`Self::rejoin`], where the units of each attempt were dealt out beforehand.
    pub(crate) fn rejoin_dealt(
        &mut self,
        attempt: Attempt,
        fed: &[u64],
        held: &[Granted],
        dealt: &[u64],
    ) -> Result<(), Contradiction> {
        let named: Intervals = fed.iter().copied().chain(held.iter().map(|granted| granted.unit)).collect();
        if !named.iter().eq(dealt.iter().copied()) {
            return Err(Contradiction::NotDealt);
        }
        self.rejoin(attempt, fed, held, &Position::default(), &Intervals::default(), false)
    }
}
