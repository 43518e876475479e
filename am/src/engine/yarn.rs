//! The engine of a YARN cluster: a task of its own speaks with the ResourceManager and the NodeManagers.

mod agents;
mod asks;
mod blacklist;
mod book;
mod driver;
mod ends;
mod master;
mod wants;

use std::collections::BTreeSet;

use forebay_hadoop::yarn::{Container, ContainerId, FinalStatus};
use forebay_scheduler::Attempt;
use tokio::sync::{mpsc, oneshot, watch};

use super::News;
use crate::AmError;

pub(crate) use agents::Agents;
pub(crate) use master::{Kept, Master, Registration, is_killed};
pub(crate) use wants::Wants;
pub use wants::{FEED_MIB, USUAL_WORKER_MIB, container_mib};

/// What the task is to do.
#[derive(Debug)]
enum Order {
    /// From now on containers can be started.
    Begin(Box<Wants>, Box<Agents>),
    /// Which containers were told of after the registration.
    Found(oneshot::Sender<Vec<Kept>>),
    Launch(Attempt, u32),
    Adopt(Box<Container>, Attempt),
    GiveBack(ContainerId),
    End(Attempt, bool),
    EndAll,
    Leaves(Attempt),
    Progress(f32),
    Finish(FinalStatus, String, oneshot::Sender<Result<(), AmError>>),
}

/// Containers of YARN's.
#[derive(Debug)]
pub(crate) struct YarnEngine {
    orders: mpsc::UnboundedSender<Order>,
    news: mpsc::UnboundedReceiver<News>,
    silence: watch::Receiver<bool>,
    /// Attempts whose containers are wanted or there.
    live: BTreeSet<Attempt>,
}

/// Tells YARN how the job ended.
#[derive(Debug, Clone)]
pub(crate) struct Finisher {
    orders: mpsc::UnboundedSender<Order>,
}

impl YarnEngine {
    /// Registers the application master, and begins to send heartbeats.
    pub(crate) async fn start(mut master: Master) -> Result<(Self, Registration), AmError> {
        let registration = master.register().await?;
        let (orders, to_do) = mpsc::unbounded_channel();
        let (tell, news) = mpsc::unbounded_channel();
        let (silent, silence) = watch::channel(false);
        tokio::spawn(driver::Driver::new(master, to_do, tell, silent).knowing(&registration.kept).run());
        Ok((Self { orders, news, silence, live: BTreeSet::new() }, registration))
    }

    /// Containers of earlier application masters that YARN has told of since the registration. Those that come later are given
    /// back.
    pub(crate) async fn found(&self) -> Vec<Kept> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Found(answer));
        // That YARN has given this application master up is heard as news.
        answered.await.unwrap_or_default()
    }

    /// From now on containers can be started. All that go on are adopted by now.
    pub(crate) fn begin(&self, wants: Wants, agents: Agents) {
        self.order(Order::Begin(Box::new(wants), Box::new(agents)));
    }

    /// Whether the ResourceManager does not answer.
    pub(crate) fn silence(&self) -> watch::Receiver<bool> {
        self.silence.clone()
    }

    pub(crate) fn finisher(&self) -> Finisher {
        Finisher { orders: self.orders.clone() }
    }

    /// A container of an earlier application master goes on.
    pub(crate) fn adopt(&mut self, container: Container, attempt: Attempt) {
        self.live.insert(attempt);
        self.order(Order::Adopt(Box::new(container), attempt));
    }

    /// A container is not wanted.
    pub(crate) fn give_back(&self, id: ContainerId) {
        self.order(Order::GiveBack(id));
    }

    pub(super) fn launch(&mut self, attempt: Attempt, memory_steps: u32) {
        self.live.insert(attempt);
        self.order(Order::Launch(attempt, memory_steps));
    }

    pub(super) fn end(&self, attempt: Attempt, hangs: bool) {
        self.order(Order::End(attempt, hangs));
    }

    pub(super) fn end_all(&self) {
        self.order(Order::EndAll);
    }

    pub(super) fn leaves(&self, attempt: Attempt) {
        self.order(Order::Leaves(attempt));
    }

    pub(super) fn progress(&self, fraction: f32) {
        self.order(Order::Progress(fraction));
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) async fn next(&mut self) -> News {
        let news = self.news.recv().await;
        let news = news.unwrap_or_else(|| News::Over("the task that speaks with YARN has ended".to_owned()));
        if let News::Gone { attempt, .. } = &news {
            self.live.remove(attempt);
        }
        news
    }

    /// Where nobody hears it, there is nothing to be done any more.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Finisher {
    /// Tells YARN that the application is over. It then ends all containers that are left.
    pub(crate) async fn finish(&self, status: FinalStatus, diagnostics: String) -> Result<(), AmError> {
        let over = || AmError::Left { why: "YARN has given this application master up".to_owned() };
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Finish(status, diagnostics, answer)).map_err(|_| over())?;
        answered.await.map_err(|_| over())?
    }
}
