//! Hadoop's configuration: site files, substitution, values set in code, and readers that say what is wrong where.
//!
//! Follows `org.apache.hadoop.conf.Configuration`: later files win over earlier ones, `<final>` stops that, a value may
//! name others as `${key}` or `${env.NAME}`, and what is set in code wins over all files.

mod authority;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
pub mod keys;
mod substitute;
mod value;
mod xml;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use authority::{Address, Nameservice};
pub use error::{ConfError, Origin};
pub use value::Unit;

use keys::Key;

/// Reads an environment variable; another one in tests.
type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The files that every Hadoop client reads, in this order.
const SITE_FILES: [&str; 2] = ["core-site.xml", "hdfs-site.xml"];

/// Hadoop's configuration as a client sees it.
#[derive(Clone)]
pub struct Configuration {
    folder: Option<PathBuf>,
    values: HashMap<String, Entry>,
    set: HashMap<String, String>,
    environment: Environment,
}

#[derive(Debug, Clone)]
struct Entry {
    value: String,
    file: Arc<Path>,
    is_final: bool,
}

impl fmt::Debug for Configuration {
    /// Names the folder and the number of values only: site files may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.len() + self.set.len();
        f.debug_struct("Configuration")
            .field("folder", &self.folder)
            .field("values", &values)
            .finish_non_exhaustive()
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self::empty()
    }
}

impl Configuration {
    /// A configuration without files: Hadoop's defaults and what is set in code.
    pub fn empty() -> Self {
        Self::with_environment(|name| std::env::var(name).ok())
    }

    /// Like [`empty`](Self::empty), with other environment variables than the process's own.
    pub fn with_environment(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { folder: None, values: HashMap::new(), set: HashMap::new(), environment: Arc::new(read) }
    }

    /// Reads `core-site.xml` and `hdfs-site.xml` of the folder that `HADOOP_CONF_DIR` names, else of
    /// `$HADOOP_HOME/etc/hadoop`. Without either variable there are only the defaults.
    pub fn load() -> Result<Self, ConfError> {
        Self::empty().load_site()
    }

    /// Reads `core-site.xml` and `hdfs-site.xml` of a folder. Like for Hadoop, a file may be missing; the folder may not.
    pub fn from_folder(folder: impl Into<PathBuf>) -> Result<Self, ConfError> {
        let mut conf = Self::empty();
        conf.add_folder(folder.into())?;
        Ok(conf)
    }

    fn load_site(mut self) -> Result<Self, ConfError> {
        let named = |name| self.environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder =
            named("HADOOP_CONF_DIR").or_else(|| named("HADOOP_HOME").map(|home| home.join("etc/hadoop")));
        if let Some(folder) = folder {
            self.add_folder(folder)?;
        }
        Ok(self)
    }

    fn add_folder(&mut self, folder: PathBuf) -> Result<(), ConfError> {
        if !folder.is_dir() {
            return Err(ConfError::NoFolder { folder });
        }
        for file in SITE_FILES {
            let path = folder.join(file);
            if path.exists() {
                self.add_file(&path)?;
            }
        }
        self.folder = Some(folder);
        Ok(())
    }

    /// Reads another file, which wins over those read before, `<final>` values aside.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfError> {
        let file: Arc<Path> = path.into();
        for property in xml::read(path)? {
            let name = keys::renamed(&property.name).unwrap_or(&property.name);
            if self.values.get(name).is_some_and(|entry| entry.is_final) {
                tracing::debug!(key = name, file = %path.display(), "ignored: an earlier file says this value is final");
                continue;
            }
            let entry = Entry { value: property.value, file: Arc::clone(&file), is_final: property.is_final };
            self.values.insert(name.to_owned(), entry);
        }
        Ok(())
    }

    /// Reads a named file of the configuration's folder (`yarn-site.xml`); says whether it was there.
    pub fn add_named(&mut self, name: &str) -> Result<bool, ConfError> {
        let Some(path) = self.folder.as_ref().map(|folder| folder.join(name)) else { return Ok(false) };
        if !path.exists() {
            return Ok(false);
        }
        self.add_file(&path).map(|()| true)
    }

    /// The folder whose files were read.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Sets a value, which wins over all files, also over `<final>` ones.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        let key = keys::renamed(&key).map_or(key.clone(), str::to_owned);
        self.set.insert(key, value.into());
    }

    /// The value of a key, variables substituted; Hadoop's default for the [`keys`] listed here.
    pub fn get(&self, key: &str) -> Result<Option<String>, ConfError> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        let lookup = |name: &str| {
            system_property(name, &self.environment).or_else(|| self.raw(name).map(str::to_owned))
        };
        substitute::substitute(raw, &lookup, &*self.environment)
            .map(Some)
            .ok_or_else(|| ConfError::TooDeep { key: key.to_owned(), origin: self.origin(key) })
    }

    /// The value of a key without white space around it; `None` when it is empty.
    pub fn trimmed(&self, key: &str) -> Result<Option<String>, ConfError> {
        Ok(self.get(key)?.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()))
    }

    /// Values separated by commas, trimmed, empty ones left out (`Configuration.getTrimmedStrings`).
    pub fn list(&self, key: &str) -> Result<Vec<String>, ConfError> {
        let text = self.get(key)?.unwrap_or_default();
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    /// Where a key's value comes from.
    pub fn origin(&self, key: &str) -> Origin {
        if self.set.contains_key(key) {
            return Origin::Code;
        }
        self.values.get(key).map_or(Origin::Default, |entry| Origin::File(entry.file.to_path_buf()))
    }

    /// Whether a file or the program has set any key that begins so.
    pub(crate) fn speaks_of(&self, prefix: &str) -> bool {
        self.values.keys().chain(self.set.keys()).any(|key| key.starts_with(prefix))
    }

    /// The value as it was written.
    fn raw(&self, key: &str) -> Option<&str> {
        let key = keys::renamed(key).unwrap_or(key);
        let set = self.set.get(key).map(String::as_str);
        set.or_else(|| self.values.get(key).map(|entry| entry.value.as_str()))
            .or_else(|| Key::named(key).map(|known| known.default).filter(|default| !default.is_empty()))
    }

    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }
}

/// The few of Java's system properties that site files use.
fn system_property(name: &str, environment: &Environment) -> Option<String> {
    match name {
        "user.name" => whoami::username().ok(),
        "user.home" => environment("HOME"),
        "java.io.tmpdir" => Some("/tmp".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Configuration, ConfError>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, body) in files {
            let text = format!("<?xml version=\"1.0\"?>\n<configuration>{body}</configuration>\n");
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let conf = Configuration::from_folder(folder.path());
        (folder, conf)
    }

    fn property(name: &str, value: &str) -> String {
        format!("<property><name> {name} </name><value>{value}</value></property>")
    }

    #[test]
    fn later_files_win_unless_a_value_is_final() {
        let (_folder, conf) = conf(&[
            (
                "core-site.xml",
                "<property><name>a</name><value>1</value><final>true</final></property><property name='b' value='1'/>",
            ),
            ("hdfs-site.xml", &(property("a", "2") + &property("b", "2"))),
        ]);
        let mut conf = conf.unwrap();
        assert_eq!(conf.get("a").unwrap().as_deref(), Some("1"));
        assert_eq!(conf.get("b").unwrap().as_deref(), Some("2"));
        conf.set("a", "3");
        assert_eq!(conf.get("a").unwrap().as_deref(), Some("3"));
        assert_eq!(conf.origin("a"), Origin::Code);
    }

    #[test]
    fn other_files_are_read_by_name() {
        let (folder, conf) = conf(&[("yarn-site.xml", &property("y", "${x}/${env.NOT_SET_HERE:-z}"))]);
        let mut conf = conf.unwrap();
        assert_eq!(conf.get("y").unwrap(), None);
        assert!(conf.add_named("yarn-site.xml").unwrap());
        assert!(!conf.add_named("mapred-site.xml").unwrap());
        assert_eq!(conf.get("y").unwrap().as_deref(), Some("${x}/${env.NOT_SET_HERE:-z}"));
        conf.set("x", "X");
        assert_eq!(conf.get("y").unwrap().as_deref(), Some("X/z"));
        assert_eq!(conf.origin("y"), Origin::File(folder.path().join("yarn-site.xml")));
    }

    #[test]
    fn defaults_and_old_names() {
        let mut conf = Configuration::empty();
        assert_eq!(conf.get(keys::RPC_TIMEOUT.name).unwrap().as_deref(), Some("120000"));
        conf.set("fs.default.name", "hdfs://x");
        assert_eq!(conf.get("fs.defaultFS").unwrap().as_deref(), Some("hdfs://x"));
        assert_eq!(conf.get("fs.default.name").unwrap().as_deref(), Some("hdfs://x"));
    }

    #[test]
    fn the_folder_comes_from_the_environment() {
        let (folder, _) = conf(&[("core-site.xml", &property("a", "1"))]);
        let path = folder.path().display().to_string();
        let conf =
            Configuration::with_environment(move |name| (name == "HADOOP_CONF_DIR").then(|| path.clone()));
        assert_eq!(conf.load_site().unwrap().get("a").unwrap().as_deref(), Some("1"));
        let gone = Configuration::with_environment(|name| (name == "HADOOP_HOME").then(|| "/gone".into()));
        assert!(matches!(gone.load_site(), Err(ConfError::NoFolder { .. })));
    }

    #[test]
    fn debug_output_holds_no_values() {
        let mut conf = Configuration::empty();
        conf.set("password", "hush");
        assert!(!format!("{conf:?}").contains("hush"));
    }
}
