//! What a job needs on the cluster: collected on this machine, and uploaded for its user alone.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use forebay_am::Launch;
use forebay_am::launch::{Resource, ResourceKind, Visibility};
use forebay_job::{Job, LinkedFile};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::ClientError;
use crate::pack::{self, PackError};
use crate::remote::{FILE_MODE, Remote};
use crate::site::Site;
use crate::source::Source;

/// A program is its user's to run.
const PROGRAM_MODE: u32 = 0o700;
/// So many uploads at once.
const AT_ONCE: usize = 4;
/// The folder of site files in a container.
pub(crate) const CONF_DIR: &str = "conf";
/// The site files that are shipped.
const SITE_FILES: [&str; 3] = ["core-site.xml", "hdfs-site.xml", "yarn-site.xml"];
/// Names in a container's folder that are not the user's to give.
const TAKEN: [&str; 7] =
    ["forebay", CONF_DIR, "job", "tmp", "container_tokens", "launch_container.sh", "sysfs"];
/// What the NodeManager calls its scripts.
const DEFAULT_EXECUTOR: &str = "default_container_executor";

/// Something that is uploaded.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// Below the staging folder.
    pub(crate) path: String,
    mode: u32,
    source: Source,
    /// Bytes; of a folder before it is packed.
    pub(crate) size: u64,
    /// Where it came from, for people.
    pub(crate) from: String,
    link: Link,
}

/// What a container finds it as.
#[derive(Debug, Clone)]
struct Link {
    name: String,
    kind: ResourceKind,
    /// Whether the worker is to find it, too.
    is_users: bool,
}

/// Something on HDFS that a container gets as it is.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    pub(crate) address: String,
    resource: Resource,
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Cargo {
    pub(crate) uploads: Vec<Upload>,
    pub(crate) cached: Vec<Cached>,
}

impl Cargo {
    /// Looks at all that a job needs. `job` is on the cluster, and this machine's files in it are absolute.
    pub(crate) async fn collect(site: &Site, job: &Job) -> Result<Self, ClientError> {
        let all = [&job.files, &job.archives, &job.cache_files, &job.cache_archives];
        if let Some(file) = all.into_iter().flatten().find(|file| is_taken(&file.name)) {
            let LinkedFile { path, name } = file;
            return Err(ClientError::Refused(format!(
                "{path} cannot be linked as '{name}' into a container's folder, where that name is taken; give another with #"
            )));
        }
        let mut uploads = vec![program()?];
        uploads.extend(site_files(&site.conf_dir)?);
        let users = job.files.iter().map(|file| (file, ResourceKind::File));
        let users = users.chain(job.archives.iter().map(|file| (file, ResourceKind::Archive)));
        for (at, (file, kind)) in users.enumerate() {
            uploads.push(of_user(at, file, kind)?);
        }
        let mut cached = Vec::new();
        let stored = job.cache_files.iter().map(|file| (file, ResourceKind::File));
        for (file, kind) in stored.chain(job.cache_archives.iter().map(|file| (file, ResourceKind::Archive)))
        {
            cached.push(on_hdfs(site, file, kind).await?);
        }
        Ok(Self { uploads, cached })
    }

    /// Uploads everything into `staging`, which is there, and says what containers are started with.
    pub(crate) async fn stage(&self, site: &Site, staging: &str) -> Result<Launch, ClientError> {
        let remote = &site.remote;
        let folders =
            self.uploads.iter().filter_map(|upload| upload.path.rsplit_once('/')).map(|(folder, _)| folder);
        let mut folders: Vec<_> = folders.collect();
        folders.dedup();
        for folder in folders {
            remote.make_private(&format!("{staging}/{folder}"), &site.user).await?;
        }
        let staged = self.uploads.iter().map(|upload| stage(remote, staging, upload));
        let mut resources: Vec<Resource> = stream::iter(staged).buffered(AT_ONCE).try_collect().await?;
        resources.extend(self.cached.iter().map(|cached| cached.resource.clone()));
        let users = self.uploads.iter().filter(|upload| upload.link.is_users).map(|upload| &upload.link.name);
        let links = users.chain(self.cached.iter().map(|cached| &cached.resource.link)).cloned().collect();
        Ok(Launch {
            version: forebay_am::launch::VERSION,
            resources,
            links,
            conf_dir: CONF_DIR.to_owned(),
            user: site.user.clone(),
            staging: staging.to_owned(),
            racks: std::collections::BTreeMap::new(),
            log: std::env::var("FOREBAY_LOG").ok().filter(|log| !log.is_empty()),
        })
    }
}

/// Whether the application master needs it: all but what is the workers'.
pub(crate) fn is_for_am(launch: &Launch, resource: &Resource) -> bool {
    !launch.links.contains(&resource.link)
}

async fn stage(remote: &Remote, staging: &str, upload: &Upload) -> Result<Resource, ClientError> {
    let path = format!("{staging}/{}", upload.path);
    let uploaded = remote.upload(&path, upload.mode, &upload.source).await?;
    Ok(Resource {
        link: upload.link.name.clone(),
        url: remote.address(&path),
        size: uploaded.size,
        timestamp: uploaded.timestamp,
        kind: upload.link.kind,
        visibility: Visibility::Application,
    })
}

/// A small file of the job's own, its user's alone.
pub(crate) async fn put(remote: &Remote, path: &str, text: Bytes) -> Result<(), ClientError> {
    remote.upload(path, FILE_MODE, &Source::Bytes(text)).await.map(drop)
}

fn is_taken(name: &str) -> bool {
    // Beside each of the NodeManager's files lies one of its checksums.
    let checked = name.strip_prefix('.').and_then(|name| name.strip_suffix(".crc")).unwrap_or(name);
    TAKEN.contains(&checked) || checked.starts_with(DEFAULT_EXECUTOR)
}

/// This program, whatever has become of its name.
fn program() -> Result<Upload, ClientError> {
    let path = PathBuf::from("/proc/self/exe");
    let size = path.metadata().map_err(ClientError::Program)?.len();
    let from = path.read_link().map_or_else(|_| "this program".to_owned(), |real| real.display().to_string());
    let link = Link { name: "forebay".into(), kind: ResourceKind::File, is_users: false };
    Ok(Upload { path: "forebay".into(), mode: PROGRAM_MODE, source: Source::File(path), size, from, link })
}

fn site_files(conf_dir: &Path) -> Result<Vec<Upload>, ClientError> {
    let mut uploads = Vec::new();
    for name in SITE_FILES {
        let path = conf_dir.join(name);
        // Read now: what is shipped is what was used here.
        let text = match std::fs::read(&path) {
            Ok(text) => Bytes::from(text),
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(ClientError::SiteFile { path, source }),
        };
        let name = format!("{CONF_DIR}/{name}");
        uploads.push(Upload {
            path: name.clone(),
            mode: FILE_MODE,
            size: text.len() as u64,
            source: Source::Bytes(text),
            from: path.display().to_string(),
            link: Link { name, kind: ResourceKind::File, is_users: false },
        });
    }
    Ok(uploads)
}

/// A file, folder or archive of the user's on this machine.
fn of_user(at: usize, file: &LinkedFile, kind: ResourceKind) -> Result<Upload, ClientError> {
    let path = PathBuf::from(&file.path);
    let unread = |source| PackError::Read { path: path.clone(), source };
    let facts = path.metadata().map_err(unread)?;
    let link = |kind| Link { name: file.name.clone(), kind, is_users: true };
    // By their names NodeManagers know archives; whatever a name has, it is one component.
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file").replace(':', "_");
    let (name, source, size, kind) = match (facts.is_dir(), facts.is_file(), kind) {
        (true, _, ResourceKind::File) => {
            let size = pack::measure(&path)?;
            (format!("{name}.tar.gz"), Source::Folder(path.clone()), size, ResourceKind::Archive)
        }
        (_, true, kind) => (name, Source::File(path.clone()), facts.len(), kind),
        (true, _, ResourceKind::Archive) => {
            return Err(ClientError::Refused(format!(
                "{} is a folder and no archive; ship it with --files",
                path.display()
            )));
        }
        _ => return Err(PackError::Special { path }.into()),
    };
    // Unreadable is said now, not in the middle of the upload.
    if facts.is_file() {
        std::fs::File::open(&path).map_err(unread)?;
    }
    let (path, from) = (format!("files/{at}/{name}"), file.path.clone());
    Ok(Upload { path, mode: FILE_MODE, source, size, from, link: link(kind) })
}

async fn on_hdfs(site: &Site, file: &LinkedFile, kind: ResourceKind) -> Result<Cached, ClientError> {
    let refused = |why: &str| ClientError::Refused(format!("cannot ship {}: {why}", file.path));
    let address =
        forebay_store::Address::parse(file.path.as_ref()).map_err(|error| refused(&error.to_string()))?;
    let forebay_store::Address::Hdfs { authority, path } = &address else {
        return Err(refused("it is not on HDFS"));
    };
    let remote = Remote::new(site.clusters.cluster(authority.as_deref())?);
    let found = remote.stat(path).await?.ok_or_else(|| refused("there is no such file"))?;
    if found.isdir {
        return Err(refused("it is a folder; cached are files and archives"));
    }
    let resource = Resource {
        link: file.name.clone(),
        url: remote.address(path),
        size: found.length as u64,
        timestamp: found.modification_time,
        kind,
        visibility: Visibility::Private,
    };
    Ok(Cached { address: resource.url.clone(), resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_containers_own_files_are_taken() {
        for taken in ["forebay", "conf", "job", "default_container_executor.sh", ".container_tokens.crc"] {
            assert!(is_taken(taken), "{taken}");
        }
        for free in ["train.py", "forebay.py", ".env", ".cache"] {
            assert!(!is_taken(free), "{free}");
        }
    }

    #[test]
    fn what_is_the_users_keeps_its_name_and_a_folder_becomes_an_archive() {
        let room = tempfile::tempdir().unwrap();
        let file = |name: &str, link: &str| LinkedFile {
            path: room.path().join(name).to_str().unwrap().to_owned(),
            name: link.to_owned(),
        };
        std::fs::create_dir(room.path().join("code")).unwrap();
        std::fs::write(room.path().join("code/a.py"), "12345").unwrap();
        std::fs::write(room.path().join("data.tgz"), "123").unwrap();
        let folder = of_user(0, &file("code", "lib"), ResourceKind::File).unwrap();
        assert_eq!((&*folder.path, folder.size), ("files/0/code.tar.gz", 5));
        assert_eq!((&*folder.link.name, folder.link.kind), ("lib", ResourceKind::Archive));
        let archive = of_user(1, &file("data.tgz", "d"), ResourceKind::Archive).unwrap();
        assert_eq!((&*archive.path, archive.mode), ("files/1/data.tgz", 0o600));
        let plain = of_user(2, &file("data.tgz", "d"), ResourceKind::File).unwrap();
        assert_eq!(plain.link.kind, ResourceKind::File);
        for (name, kind) in [("none", ResourceKind::File), ("code", ResourceKind::Archive)] {
            let error = of_user(0, &file(name, "x"), kind).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
