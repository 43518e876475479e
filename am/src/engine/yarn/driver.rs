//! The task that speaks with YARN: heartbeats to the ResourceManager, starts and stops at NodeManagers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_hadoop::yarn::{Container, ContainerId};
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::asks::attempt_of;
use super::book::{Book, Do};
use super::master::{Beat, Heard, Kept, Master, Nodes, Said};
use super::{Agents, Order, Wants};
use crate::engine::News;

/// Between two heartbeats while something is expected, and while nothing is.
const BUSY: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(1);
/// A heartbeat that brings news comes no sooner than so long after the last.
const LEAST: Duration = Duration::from_millis(20);
/// So many containers are started at a time.
const LAUNCHES: usize = 16;
/// How long nothing is given until a person should know why.
const A_WHILE: Duration = Duration::from_secs(3);

/// Speaks with YARN.
pub(super) struct Driver {
    /// Away with a heartbeat when it is not here.
    master: Option<Master>,
    nodes: Nodes,
    book: Book<ContainerId>,
    /// Those given and not gone.
    containers: HashMap<ContainerId, Container>,
    /// Those of earlier application masters that were told of after the registration.
    found: Vec<Kept>,
    begun: Option<(Wants, Arc<Agents>)>,
    orders: mpsc::UnboundedReceiver<Order>,
    news: mpsc::UnboundedSender<News>,
    /// Whether the ResourceManager does not answer.
    silent: watch::Sender<bool>,
    launches: JoinSet<(ContainerId, Result<(), String>)>,
    slots: Arc<Semaphore>,
    progress: f32,
    cluster: Said,
    /// Since when nothing was given of what is wanted.
    without: Option<Instant>,
    told: (usize, usize, Option<String>),
}

type Away = BoxFuture<'static, (Master, Beat, Result<Heard, crate::AmError>)>;

impl Driver {
    pub(super) fn new(
        master: Master,
        orders: mpsc::UnboundedReceiver<Order>,
        news: mpsc::UnboundedSender<News>,
        silent: watch::Sender<bool>,
    ) -> Self {
        Self {
            nodes: master.nodes(),
            master: Some(master),
            book: Book::new(),
            containers: HashMap::new(),
            found: Vec::new(),
            begun: None,
            orders,
            news,
            silent,
            launches: JoinSet::new(),
            slots: Arc::new(Semaphore::new(LAUNCHES)),
            progress: 0.0,
            cluster: Said::default(),
            without: None,
            told: (0, 0, None),
        }
    }

    /// Containers of earlier application masters that others know of, too.
    pub(super) fn knowing(mut self, kept: &[Kept]) -> Self {
        for kept in kept {
            self.book.found(&kept.container.id);
        }
        self
    }

    /// Until the application is over, or nobody gives orders any more.
    pub(super) async fn run(mut self) {
        let mut away: Option<Away> = None;
        let mut next = Instant::now();
        loop {
            self.carry_out();
            let due = self.book.due();
            tokio::select! {
                order = self.orders.recv() => match order {
                    None => return,
                    Some(Order::Finish(status, text, answer)) => {
                        let master = match (self.master.take(), away.take()) {
                            (Some(master), _) => master,
                            (None, Some(away)) => away.await.0,
                            (None, None) => return,
                        };
                        let _ = answer.send(master.finish(status, &text).await);
                        return;
                    }
                    Some(order) => {
                        self.order(order);
                        next = next.min(Instant::now() + LEAST);
                    }
                },
                Some(done) = self.launches.join_next(), if !self.launches.is_empty() => {
                    // One that panicked: its container expires.
                    if let Ok((id, launched)) = done {
                        self.book.launched(&id, launched, self.cluster.nodes, Instant::now());
                    }
                }
                (master, beat, heard) = returned(&mut away), if away.is_some() => {
                    away = None;
                    self.master = Some(master);
                    match heard {
                        Ok(heard) => {
                            self.hear(&beat, heard);
                            next = Instant::now() + if self.book.is_busy() { BUSY } else { IDLE };
                        }
                        Err(error) => {
                            let _ = self.news.send(News::Over(error.to_string()));
                            return;
                        }
                    }
                }
                () = sleep_until(next), if away.is_none() => {
                    if let Some(mut master) = self.master.take() {
                        let beat = self.beat();
                        away = Some(Box::pin(async move {
                            let heard = master.beat(&beat).await;
                            (master, beat, heard)
                        }));
                    }
                }
                () = until(due) => self.book.press(Instant::now()),
            }
        }
    }

    fn order(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Begin(wants, agents) => {
                self.begun = Some((*wants, Arc::new(*agents)));
                self.book.begin();
            }
            // Who does not wait for them any more has ended, and the job with it.
            Order::Found(answer) => drop(answer.send(std::mem::take(&mut self.found))),
            Order::Launch(attempt, steps) => {
                if let Some((wants, _)) = &self.begun {
                    self.book.start(attempt, wants.of(attempt.index, steps));
                    self.without.get_or_insert(now);
                }
            }
            Order::Adopt(container, attempt) => {
                self.book.adopt(container.id, attempt, container.node.host.clone(), now);
                self.containers.insert(container.id, *container);
            }
            Order::GiveBack(id) => self.book.release(id),
            Order::End(attempt, hangs) => self.book.end(attempt, hangs, now),
            Order::EndAll => self.book.end_all(now),
            Order::Leaves(attempt) => self.book.leaves(attempt),
            Order::Progress(fraction) => self.progress = fraction,
            // Taken by the caller.
            Order::Finish(..) => {}
        }
    }

    /// What a heartbeat says.
    fn beat(&self) -> Beat {
        let (released, left_out) = self.book.unsaid();
        Beat { asks: self.book.asks.unsent(), released, left_out, progress: self.progress }
    }

    /// Takes note of what the ResourceManager says.
    fn hear(&mut self, beat: &Beat, heard: Heard) {
        let now = Instant::now();
        self.silent.send_replace(matches!(heard, Heard::Silence));
        match heard {
            Heard::Forgotten(kept) => {
                self.book.forgotten();
                self.find(kept);
            }
            Heard::Silence => {}
            Heard::Refused(why) => self.book.refused(&beat.asks, &why),
            Heard::Answer { found, given, completed, said, notes } => {
                self.find(found);
                self.book.said(&beat.asks, &beat.released, &beat.left_out);
                self.cluster = said;
                if !given.is_empty() {
                    self.without = None;
                }
                for container in given {
                    let attempt = container.allocation_request_id.and_then(attempt_of);
                    self.book.given(container.id, attempt, container.node.host.clone());
                    self.containers.insert(container.id, container);
                }
                for status in completed {
                    let exit = status.exit_status.0;
                    self.book.completed(&status.id, exit, &status.diagnostics, self.cluster.nodes, now);
                    self.containers.remove(&status.id);
                }
                for note in notes {
                    let _ = self.news.send(News::Note(note));
                }
            }
        }
        self.stand(now);
    }

    fn find(&mut self, found: Vec<Kept>) {
        for kept in found {
            if self.book.found(&kept.container.id) {
                self.found.push(kept);
            }
        }
    }

    /// Tells how many containers are wanted and there, where that has changed.
    fn stand(&mut self, now: Instant) {
        let wanted = self.book.asks.len();
        if wanted == 0 {
            self.without = None;
        } else {
            self.without.get_or_insert(now);
        }
        let is_long = self.without.is_some_and(|since| now >= since + A_WHILE);
        let why = is_long.then(|| self.cluster.lack(self.book.asks.wants()));
        let standing = (wanted, self.book.len(), why);
        if self.told != standing {
            self.told.clone_from(&standing);
            let (wanted, running, waiting_for) = standing;
            let _ = self.news.send(News::Standing { wanted, running, waiting_for });
        }
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.book.next() {
            let news = match action {
                Do::Launch(id, attempt) => {
                    self.launch(id, attempt);
                    continue;
                }
                Do::Stop(id) => {
                    if let Some(container) = self.containers.get(&id) {
                        let (nodes, node) = (self.nodes.clone(), container.node.clone());
                        tokio::spawn(async move { nodes.stop(id, &node).await });
                    }
                    continue;
                }
                Do::Launched(attempt, host) => News::Launched { attempt, host: Some(host) },
                Do::Gone(attempt, how) => News::Gone { attempt, how },
                Do::LeftOut(host) => News::Note(format!(
                    "node {host} gets no more containers of this job: several have failed there in ways that look like the node's fault"
                )),
            };
            let _ = self.news.send(news);
        }
    }

    fn launch(&mut self, id: ContainerId, attempt: forebay_scheduler::Attempt) {
        let (Some(container), Some((_, agents))) = (self.containers.get(&id).cloned(), &self.begun) else {
            return;
        };
        let (agents, nodes, slots) = (Arc::clone(agents), self.nodes.clone(), Arc::clone(&self.slots));
        self.launches.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let launched = match agents.context(attempt, container.resource.memory_mib) {
                Ok(context) => nodes.start(&container, &context).await,
                Err(error) => Err(error.to_string()),
            };
            (id, launched)
        });
    }
}

async fn returned(away: &mut Option<Away>) -> (Master, Beat, Result<Heard, crate::AmError>) {
    match away {
        Some(away) => away.await,
        None => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
