//! Where the application master is: where it was when this attempt began, and then where a file on HDFS says.

use std::time::Duration;

use forebay_protocol::{AmAddress, ChannelEnd};
use forebay_store::{Address, Clusters};
use tokio::runtime::Handle;

/// How long HDFS may take to tell.
const READ: Duration = Duration::from_secs(10);
/// Longest such file in bytes.
const LONGEST: usize = 64 << 10;

/// An address, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `host:port`; on this machine, nothing: there is one place.
    pub(super) address: String,
    /// The attempt of the application; 0: not known.
    pub(super) attempt: u32,
}

/// Where to look.
#[derive(Debug)]
pub(super) struct Places {
    first: String,
    /// `None`: on this machine.
    file: Option<(String, Clusters)>,
}

impl Places {
    pub(super) fn new(channel: &ChannelEnd, handle: &Handle) -> Self {
        match channel {
            ChannelEnd::Socket { .. } => Self { first: String::new(), file: None },
            ChannelEnd::Tls { address, am_file, .. } => Self {
                first: address.clone(),
                file: Some((am_file.clone(), Clusters::new(READ, handle.clone()))),
            },
        }
    }

    /// Where it was when this attempt's container was started.
    pub(super) fn first(&self) -> Place {
        Place { address: self.first.clone(), attempt: 0 }
    }

    /// Whether it may be in another place one day.
    pub(super) fn is_remote(&self) -> bool {
        self.file.is_some()
    }

    /// Where it is now.
    pub(super) async fn look(&self) -> Result<Place, String> {
        let Some((file, clusters)) = &self.file else { return Ok(self.first()) };
        let text = read(file, clusters).await.map_err(|why| format!("cannot read {file}: {why}"))?;
        let found: AmAddress = serde_json::from_slice(&text)
            .map_err(|error| format!("{file} does not say where the application master is: {error}"))?;
        if found.version != AmAddress::VERSION {
            return Err(format!(
                "{file} has version {}, this program reads version {}",
                found.version,
                AmAddress::VERSION
            ));
        }
        Ok(Place { address: found.address, attempt: found.attempt })
    }
}

async fn read(file: &str, clusters: &Clusters) -> Result<Vec<u8>, String> {
    let shown = |error: &dyn std::fmt::Display| error.to_string();
    match Address::parse(file.as_ref()).map_err(|error| shown(&error))? {
        Address::Local(path) => {
            let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
            read.map_err(|error| shown(&error))?.map_err(|error| shown(&error))
        }
        Address::Hdfs { authority, path } => {
            let cluster = clusters.cluster(authority.as_deref()).map_err(|error| shown(&error))?;
            let reading = cluster.retry("read", &path, async |client, path| {
                let reader = client.read(&path).await?;
                reader.read_range(0, reader.file_length().min(LONGEST)).await
            });
            Box::pin(reading).await.map(|bytes| bytes.to_vec()).map_err(|error| shown(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_protocol::JobSecrets;

    use super::*;

    #[test]
    fn what_is_no_address_is_said() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("am.json");
        let channel = ChannelEnd::Tls {
            address: "first:1".into(),
            am_file: path.to_str().unwrap().into(),
            identity: JobSecrets::make("job").unwrap().agent,
        };
        let places = Places::new(&channel, runtime.handle());
        assert_eq!(places.first(), Place { address: "first:1".into(), attempt: 0 });
        let look = || runtime.block_on(places.look());
        assert!(look().unwrap_err().contains("am.json"));
        for (text, why) in [
            ("", "does not say"),
            ("{\"version\":1,\"attempt\":-1,\"address\":\"a:1\"}", "does not say"),
            ("{\"version\":2,\"attempt\":1,\"address\":\"a:1\"}", "version 2"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(look().unwrap_err().contains(why), "{text}");
        }
        std::fs::write(&path, "{\"version\":1,\"attempt\":7,\"address\":\"a:1\",\"new\":true}").unwrap();
        assert_eq!(look().unwrap(), Place { address: "a:1".into(), attempt: 7 });
    }
}
