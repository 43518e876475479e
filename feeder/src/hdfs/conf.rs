//! The little of Hadoop's configuration that messages need: which file system is the default, and which
//! NameNodes stand behind a name. What is read and written follows `hdfs-native`'s own reading.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Values of `core-site.xml` and `hdfs-site.xml`.
#[derive(Debug, Default)]
pub(crate) struct SiteFiles {
    folder: Option<PathBuf>,
    values: HashMap<String, String>,
}

impl SiteFiles {
    /// Reads the files where `hdfs-native` looks for them. A file that cannot be read has no values here:
    /// the client itself will refuse it.
    pub(crate) fn read() -> Self {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        let folder =
            named("HADOOP_CONF_DIR").or_else(|| named("HADOOP_HOME").map(|home| home.join("etc/hadoop")));
        let mut values = HashMap::new();
        if let Some(folder) = &folder {
            for file in ["core-site.xml", "hdfs-site.xml"] {
                values.extend(read_file(&folder.join(file)).unwrap_or_default());
            }
        }
        Self { folder, values }
    }

    /// `host:port` or nameservice of `fs.defaultFS`, if that is an HDFS.
    pub(crate) fn default_authority(&self) -> Option<String> {
        let authority = self.values.get("fs.defaultFS")?.strip_prefix("hdfs://")?.trim_end_matches('/');
        (!authority.is_empty()).then(|| authority.to_owned())
    }

    /// The NameNodes' addresses behind a nameservice; none for a plain `host:port`, which is one itself.
    pub(crate) fn namenodes(&self, authority: &str) -> Vec<String> {
        let ids = self.values.get(&format!("dfs.ha.namenodes.{authority}"));
        ids.into_iter()
            .flat_map(|ids| ids.split(','))
            .filter_map(|id| self.values.get(&format!("dfs.namenode.rpc-address.{authority}.{}", id.trim())))
            .cloned()
            .collect()
    }

    /// Where the configuration comes from, for messages.
    pub(crate) fn origin(&self) -> String {
        match (&self.folder, self.values.get("fs.defaultFS")) {
            (None, _) => "HADOOP_CONF_DIR is not set".into(),
            (Some(folder), None) => format!("{} sets no fs.defaultFS", folder.display()),
            (Some(folder), Some(fs)) => format!("in {} fs.defaultFS is {fs}", folder.display()),
        }
    }
}

fn read_file(path: &Path) -> Option<HashMap<String, String>> {
    let text = std::fs::read_to_string(path).ok()?;
    parse(&text)
}

fn parse(text: &str) -> Option<HashMap<String, String>> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let document = roxmltree::Document::parse_with_options(text, options).ok()?;
    let properties = document.descendants().filter(|node| node.has_tag_name("property"));
    let pairs = properties.filter_map(|property| {
        let child = |name| property.children().find(|node| node.has_tag_name(name))?.text();
        Some((child("name")?.trim().to_owned(), child("value")?.trim().to_owned()))
    });
    Some(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(pairs: &[(&str, &str)]) -> SiteFiles {
        let property = |(name, value): &(&str, &str)| {
            format!("<property>\n<name> {name} </name><value>{value}</value><final>true</final></property>")
        };
        let body: String = pairs.iter().map(property).collect();
        let text = format!("<?xml version=\"1.0\"?>\n<!-- x --><configuration>{body}</configuration>");
        SiteFiles { folder: None, values: parse(&text).unwrap() }
    }

    #[test]
    fn the_default_file_system() {
        assert_eq!(
            site(&[("fs.defaultFS", "hdfs://nn:8020/")]).default_authority().as_deref(),
            Some("nn:8020")
        );
        assert_eq!(site(&[("fs.defaultFS", "file:///")]).default_authority(), None);
        assert_eq!(site(&[]).default_authority(), None);
    }

    #[test]
    fn namenodes_of_a_nameservice() {
        let site = site(&[
            ("dfs.ha.namenodes.ns", "a, b"),
            ("dfs.namenode.rpc-address.ns.a", "h1:8020"),
            ("dfs.namenode.rpc-address.ns.b", "h2:8020"),
        ]);
        assert_eq!(site.namenodes("ns"), ["h1:8020", "h2:8020"]);
        assert!(site.namenodes("h1:8020").is_empty());
    }

    #[test]
    fn what_is_no_xml_has_no_values() {
        assert!(parse("<configuration>").is_none());
    }
}
