//! Submitting: everything is put where it belongs, then the ResourceManager is told. What goes wrong before leaves nothing.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use forebay_am::{Verdict, launch};
use forebay_feeder::Stop;
use forebay_protocol::{ClientSecrets, JobSecrets};
use tokio::time::{sleep, timeout};
use tokio::try_join;

use crate::ClientError;
use crate::application::ApplicationState;
use crate::client::Client;
use crate::link::SECRETS;
use crate::prepare::Prepared;
use crate::sizes;
use crate::staging::put;
use crate::stop::raised;

/// How long YARN may take to end a job that was not submitted whole.
const ENDING: Duration = Duration::from_secs(30);
/// How long the files of such a job may take to be removed.
const TAKING_BACK: Duration = Duration::from_secs(30);
/// After so long the ResourceManager has heard of what was on its way to it when that was called off.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// Why such a job is ended.
const NOT_WHOLE: &str = "it was not submitted whole";

/// A job that YARN has.
#[derive(Debug)]
pub struct Submitted {
    /// The application's id.
    pub id: String,
    pub(crate) secrets: ClientSecrets,
}

impl Client {
    /// Submits a job. When that fails, or `stop` is raised before it is done, nothing of it stays on the cluster. `tell` hears
    /// what is being done.
    pub fn submit(
        &self,
        mut prepared: Prepared,
        stop: &Stop,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Submitted, ClientError> {
        self.runtime.block_on(async {
            let new = tokio::select! {
                biased;
                signal = raised(stop) => return Err(ClientError::Interrupted { signal, left: None }),
                new = self.rm.new_application() => new?,
            };
            prepared.fits(Some(&new.most)).map_err(ClientError::Refused)?;
            let id = new.id;
            prepared.plan = prepared.plan.with_job_id(&id);
            tell(&format!("the job is {id}; what it needs is being uploaded"));
            let is_sent = Cell::new(false);
            let submitted = tokio::select! {
                biased;
                signal = raised(stop) => Err(ClientError::Interrupted { signal, left: None }),
                submitted = self.stage_and_submit(&prepared, &id, &is_sent) => submitted,
            };
            match submitted {
                Ok(secrets) => Ok(Submitted { id, secrets }),
                Err(error) => Err(self.take_back(&id, error, is_sent.get()).await),
            }
        })
    }

    /// `is_sent`: YARN may have heard of it.
    async fn stage_and_submit(
        &self,
        prepared: &Prepared,
        id: &str,
        is_sent: &Cell<bool>,
    ) -> Result<ClientSecrets, ClientError> {
        let Prepared { job, plan, cargo, nodes, .. } = prepared;
        let (remote, user) = (&self.site.remote, &*self.site.user);
        let (staging, folder) = (self.site.staging(id), self.site.job(id));
        let secrets = JobSecrets::make(id)?;
        // The outermost first: what is above is to be private before anything is in it.
        remote.make_private(&self.site.forebay(), user).await?;
        for path in [&staging, &folder] {
            remote.make_private(path, user).await?;
        }
        // What is shipped stands in launch.json; of the paths on this machine nothing is of use elsewhere.
        let mut shipped = job.clone();
        for files in
            [&mut shipped.files, &mut shipped.archives, &mut shipped.cache_files, &mut shipped.cache_archives]
        {
            files.clear();
        }
        let shipped = Bytes::from(shipped.to_toml().into_bytes());
        let clients = secrets.for_clients();
        let half = serde_json::to_vec(&clients)
            .map_err(|error| ClientError::Malformed { path: SECRETS.to_owned(), why: error.to_string() })?;
        let (channel, plan_file) = (format!("{staging}/{SECRETS}"), format!("{folder}/plan.json"));
        let (job_file, new_job_file) = (format!("{folder}/job.toml"), format!("{folder}/job.toml.new"));
        // A NameNode may hear of a block somewhat later than its writer, and each file that is closed then waits for half a
        // second: they do so together.
        let (mut launch, (), (), ()) = try_join!(
            cargo.stage(&self.site, &staging),
            put(remote, &channel, half.into()),
            put(remote, &plan_file, plan.to_json()?.into()),
            put(remote, &new_job_file, shipped.clone()),
        )?;
        launch.racks = sizes::racks(nodes);
        let text = serde_json::to_vec(&launch).map_err(|error| ClientError::Malformed {
            path: launch::NAME.to_owned(),
            why: error.to_string(),
        })?;
        put(remote, &format!("{folder}/{}", launch::NAME), text.into()).await?;
        // Last: a folder with a job file is a job.
        remote.rename_over(&new_job_file, &job_file, &shipped).await?;
        is_sent.set(true);
        match self.rm.submit(&self.site, id, prepared, &launch, &secrets).await? {
            Some(refused) if matches!(refused.state, ApplicationState::Failed | ApplicationState::Killed) => {
                Err(ClientError::Refused(format!("YARN did not take the job {id}: {}", refused.why())))
            }
            _ => Ok(clients),
        }
    }

    /// Removes a job that is not to be: whatever was made of it. One that may run is left as it is.
    async fn take_back(&self, id: &str, error: ClientError, is_sent: bool) -> ClientError {
        let mut was_heard_of = false;
        if is_sent {
            let ended = timeout(ENDING, self.end_if_heard_of(id)).await;
            let ended = match ended {
                Ok(ended) => ended.map_err(|why| why.to_string()),
                Err(_) => Err(format!("the ResourceManager took more than {} s", ENDING.as_secs())),
            };
            match ended {
                Ok(heard) => was_heard_of = heard,
                Err(why) => return may_run(id, error, why),
            }
        }
        let removed = timeout(TAKING_BACK, self.remove_all(id, was_heard_of)).await;
        let left = (!matches!(removed, Ok(Ok(())))).then(|| {
            let [staging, folder] =
                [self.site.staging(id), self.site.job(id)].map(|path| self.site.remote.address(&path));
            format!("what there may be in {staging} and {folder}")
        });
        match (error, left) {
            (ClientError::Interrupted { signal, .. }, left) => ClientError::Interrupted { signal, left },
            (error, None) => error,
            (error, Some(left)) => {
                ClientError::Refused(format!("{error} (and {left} could not be removed: remove it)"))
            }
        }
    }

    /// Says whether YARN has heard of it.
    async fn end_if_heard_of(&self, id: &str) -> Result<bool, ClientError> {
        self.rm.kill(id, NOT_WHOLE).await?;
        if self.rm.report(id).await?.is_some() {
            return Ok(true);
        }
        sleep(ON_ITS_WAY).await;
        self.rm.kill(id, NOT_WHOLE).await?;
        Ok(self.rm.report(id).await?.is_some())
    }

    /// One that YARN has heard of may have begun to stage output.
    async fn remove_all(&self, id: &str, was_heard_of: bool) -> Result<(), ClientError> {
        if was_heard_of {
            let why = NOT_WHOLE.to_owned();
            self.clean(id, &Verdict::Stopped { why }).await?;
        } else {
            self.site.remote.remove(&self.site.staging(id)).await?;
        }
        Ok(self.site.remote.remove(&self.site.job(id)).await?)
    }
}

fn may_run(id: &str, error: ClientError, why: String) -> ClientError {
    let error = match error {
        ClientError::Interrupted { signal, .. } => {
            format!("signal {signal} came while the job was being submitted")
        }
        error => error.to_string(),
    };
    ClientError::MayRun { id: id.to_owned(), error, why }
}
