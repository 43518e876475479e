//! What is to be fed next: spans of a plan's share, or splits that somebody else leases to this feed.

use std::iter::Peekable;
use std::sync::Arc;

use forebay_split::{Span, spans};

use super::Dry;
use crate::lease::{LeaseQueue, Skip};
use crate::plan::{Plan, PlannedFile};
use crate::sink::Watch;

/// One span, and the file that it is of.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) file: Arc<PlannedFile>,
    pub(crate) span: Span,
    /// Where it comes from a lease.
    pub(crate) lease: Option<Leased>,
}

/// What a lease says besides the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) id: u64,
    pub(crate) skip: Skip,
}

/// All tasks of a feed, in order.
pub(crate) enum Tasks<'p> {
    Plan(Share<'p>),
    Queue(&'p LeaseQueue),
}

/// A plan's share, once per epoch.
pub(crate) struct Share<'p> {
    plan: &'p Plan,
    /// The longest span, in bytes.
    longest: u64,
    /// What is left of this epoch.
    spans: Peekable<Box<dyn Iterator<Item = Span> + 'p>>,
    epochs_left: u64,
}

impl<'p> Tasks<'p> {
    /// A plan's share; spans have at most `longest` bytes unless a split has more.
    pub(crate) fn of_plan(plan: &'p Plan, epochs: u64, longest: u64) -> Self {
        // An empty share is read no times, rather than many times nothing.
        let epochs_left = if plan.splits() == 0 { 0 } else { epochs };
        Self::Plan(Share { plan, longest, spans: share(plan, longest), epochs_left })
    }

    /// The next task, waited for if need be; `None` when there will be none.
    pub(crate) fn next(&mut self, watch: &Watch) -> Result<Option<Task>, Dry> {
        match self {
            Self::Plan(share) => Ok(share.next()),
            Self::Queue(queue) => queue.pop(watch).map_err(Dry::Halted),
        }
    }

    /// The next task, if it is there now and wanted. Does not go on to another epoch.
    pub(crate) fn next_if(&mut self, wanted: impl Fn(&PlannedFile) -> bool) -> Option<Task> {
        match self {
            Self::Plan(Share { plan, spans, .. }) => {
                let span = spans.next_if(|span| wanted(&plan.files[span.file]))?;
                Some(Task::of(plan, span))
            }
            Self::Queue(queue) => queue.pop_if(wanted),
        }
    }
}

impl Share<'_> {
    fn next(&mut self) -> Option<Task> {
        while self.epochs_left > 0 {
            if let Some(span) = self.spans.next() {
                return Some(Task::of(self.plan, span));
            }
            self.epochs_left -= 1;
            self.spans = share(self.plan, self.longest);
        }
        None
    }
}

impl Task {
    fn of(plan: &Plan, span: Span) -> Self {
        Self { file: Arc::clone(&plan.files[span.file]), span, lease: None }
    }
}

fn share(plan: &Plan, longest: u64) -> Peekable<Box<dyn Iterator<Item = Span> + '_>> {
    let all: Box<dyn Iterator<Item = Span>> = Box::new(spans(plan.share(), longest));
    all.peekable()
}
