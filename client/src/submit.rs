//! Submitting: everything is put where it belongs, then the ResourceManager is told. What goes wrong before leaves nothing.

use std::time::{Duration, Instant};

use forebay_am::launch;
use forebay_feeder::Stop;
use forebay_protocol::{ClientSecrets, JobSecrets};
use tokio::time::{sleep, timeout};

use crate::ClientError;
use crate::application::{Application, ApplicationState};
use crate::client::Client;
use crate::link::SECRETS;
use crate::prepare::Prepared;
use crate::sizes;
use crate::staging::put;
use crate::stop::raised;

/// How long a job that was not submitted may take to be removed.
const TAKING_BACK: Duration = Duration::from_secs(15);
/// How long the ResourceManager may take to write an application down.
const ACCEPTED: Duration = Duration::from_secs(30);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(100);

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
            let submitted = tokio::select! {
                biased;
                signal = raised(stop) => Err(ClientError::Interrupted { signal, left: None }),
                submitted = self.stage_and_submit(&prepared, &id) => submitted,
            };
            match submitted {
                Ok(secrets) => Ok(Submitted { id, secrets }),
                Err(error) => Err(self.take_back(&id, error).await),
            }
        })
    }

    async fn stage_and_submit(&self, prepared: &Prepared, id: &str) -> Result<ClientSecrets, ClientError> {
        let Prepared { job, plan, cargo, nodes, .. } = prepared;
        let (remote, user) = (&self.site.remote, &*self.site.user);
        let (staging, folder) = (self.site.staging(id), self.site.job(id));
        let secrets = JobSecrets::make(id)?;
        // The outermost first: what is above is to be private before anything is in it.
        remote.make_private(&self.site.forebay(), user).await?;
        for path in [&staging, &folder] {
            remote.make_private(path, user).await?;
        }
        let mut launch = cargo.stage(&self.site, &staging).await?;
        launch.racks = sizes::racks(nodes);
        // What is shipped stands in launch.json; of the paths on this machine nothing is of use elsewhere.
        let mut shipped = job.clone();
        for files in
            [&mut shipped.files, &mut shipped.archives, &mut shipped.cache_files, &mut shipped.cache_archives]
        {
            files.clear();
        }
        let text = serde_json::to_vec(&launch).map_err(|error| ClientError::Malformed {
            path: launch::NAME.to_owned(),
            why: error.to_string(),
        })?;
        let clients = secrets.for_clients();
        let half = serde_json::to_vec(&clients)
            .map_err(|error| ClientError::Malformed { path: SECRETS.to_owned(), why: error.to_string() })?;
        put(remote, &format!("{staging}/{SECRETS}"), half).await?;
        put(remote, &format!("{folder}/{}", launch::NAME), text).await?;
        put(remote, &format!("{folder}/plan.json"), plan.to_json()?).await?;
        // Last: a folder with a job file is a job.
        put(remote, &format!("{folder}/job.toml"), shipped.to_toml().into_bytes()).await?;
        let taken = self.rm.submit(&self.site, id, prepared, &launch, &secrets).await?;
        self.wait_until_accepted(taken).await?;
        Ok(clients)
    }

    /// The ResourceManager takes an application first, and looks at it then. One that it still looks at after a while is not
    /// lost: it is followed.
    async fn wait_until_accepted(&self, mut application: Application) -> Result<(), ClientError> {
        let deadline = Instant::now() + ACCEPTED;
        while application.state == ApplicationState::Submitted && Instant::now() < deadline {
            sleep(LOOK).await;
            application = self.rm.report(&application.id).await?.unwrap_or(application);
        }
        match application.state {
            ApplicationState::Failed | ApplicationState::Killed => Err(ClientError::Refused(format!(
                "YARN did not take the job {}: {}",
                application.id,
                application.why()
            ))),
            _ => Ok(()),
        }
    }

    /// Removes a job that is not to be: whatever was made of it.
    async fn take_back(&self, id: &str, error: ClientError) -> ClientError {
        let mut kept = Vec::new();
        let remove = async {
            // It may have been heard of: then it must end, too.
            if self.rm.kill(id, "it was not submitted whole").await.is_err() {
                tracing::info!(id, "the ResourceManager could not be told to end it");
            }
            for path in [self.site.staging(id), self.site.job(id)] {
                if self.site.remote.remove(&path).await.is_err() {
                    kept.push(self.site.remote.address(&path));
                }
            }
        };
        if timeout(TAKING_BACK, remove).await.is_err() && kept.is_empty() {
            kept.push(self.site.remote.address(&self.site.staging(id)));
        }
        let left = (!kept.is_empty()).then(|| kept.join(" and "));
        match (error, left) {
            (ClientError::Interrupted { signal, .. }, left) => ClientError::Interrupted { signal, left },
            (error, None) => error,
            (error, Some(left)) => {
                ClientError::Refused(format!("{error} (and {left} could not be removed: remove it)"))
            }
        }
    }
}
