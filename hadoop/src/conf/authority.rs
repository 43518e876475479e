//! From `hdfs://authority` to the NameNodes behind it.

use std::fmt;

use super::{ConfError, Configuration, Origin, keys};

/// The NameNode's port where none is given (`HdfsClientConfigKeys.DFS_NAMENODE_RPC_PORT_DEFAULT`).
const DEFAULT_PORT: u16 = 8020;

/// A server's host and port, the host as written (a name, or an address).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A host name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port` or `[IPv6]:port`.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, &'static str> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or("its bracket is not closed")?;
                (
                    host,
                    if after.is_empty() {
                        None
                    } else {
                        Some(after.strip_prefix(':').ok_or("no port follows")?)
                    },
                )
            }
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@,?#[]".contains(c)) {
            return Err("it has no host name");
        }
        let port = match port {
            None => default_port,
            Some(port) => {
                port.parse().ok().filter(|port| *port != 0).ok_or("its port is no number from 1 to 65535")?
            }
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One HDFS: a NameNode, or several of which one is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameservice {
    /// The authority in `hdfs://` URIs.
    pub name: String,
    /// Whether `name` is a logical one, with NameNodes that take over from each other.
    pub is_logical: bool,
    /// The NameNodes, in the configuration's order.
    pub namenodes: Vec<Address>,
}

impl Configuration {
    /// The authority of `fs.defaultFS` when that is an HDFS.
    pub fn default_authority(&self) -> Result<Option<String>, ConfError> {
        let text = self.trimmed(keys::DEFAULT_FS.name)?.unwrap_or_default();
        Ok(text
            .strip_prefix("hdfs://")
            .and_then(|rest| rest.split('/').next())
            .filter(|authority| !authority.is_empty())
            .map(str::to_owned))
    }

    /// The NameNodes behind an authority; behind that of `fs.defaultFS` when it is empty.
    pub fn nameservice(&self, authority: &str) -> Result<Nameservice, ConfError> {
        let authority = if authority.is_empty() {
            self.default_authority()?.ok_or_else(|| {
                let value = self.get(keys::DEFAULT_FS.name).ok().flatten().unwrap_or_default();
                self.unlike(keys::DEFAULT_FS.name, value, "an hdfs:// address, and no other was given")
            })?
        } else {
            authority.to_owned()
        };
        let ids = self.list(&format!("dfs.ha.namenodes.{authority}"))?;
        if !ids.is_empty() {
            return self.logical(authority, &ids);
        }
        // A federation's nameservice with one NameNode has its address under the name alone.
        let key = format!("dfs.namenode.rpc-address.{authority}");
        let (text, origin) = match self.trimmed(&key)? {
            Some(text) => (text, self.origin(&key)),
            None if self.list(keys::NAMESERVICES.name)?.contains(&authority) => {
                return Err(ConfError::Missing { key, needed_for: format!("the nameservice {authority}") });
            }
            None => (authority.clone(), Origin::Code),
        };
        let namenode = address(&text, &origin)?;
        Ok(Nameservice { name: authority, is_logical: false, namenodes: vec![namenode] })
    }

    fn logical(&self, name: String, ids: &[String]) -> Result<Nameservice, ConfError> {
        let namenodes = ids.iter().map(|id| {
            let key = format!("dfs.namenode.rpc-address.{name}.{id}");
            let needed_for = || format!("the NameNode {id} of the nameservice {name}");
            let text = self
                .trimmed(&key)?
                .ok_or_else(|| ConfError::Missing { key: key.clone(), needed_for: needed_for() })?;
            address(&text, &self.origin(&key))
        });
        let namenodes = namenodes.collect::<Result<Vec<_>, _>>()?;
        Ok(Nameservice { name, is_logical: true, namenodes })
    }
}

fn address(text: &str, origin: &Origin) -> Result<Address, ConfError> {
    let wrong =
        |why| ConfError::Address { text: text.to_owned(), server: "NameNode", origin: origin.clone(), why };
    Address::parse(text, DEFAULT_PORT).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(values: &[(&str, &str)]) -> Configuration {
        let mut conf = Configuration::empty();
        for (key, value) in values {
            conf.set(*key, *value);
        }
        conf
    }

    fn names(service: &Nameservice) -> Vec<String> {
        service.namenodes.iter().map(Address::to_string).collect()
    }

    #[test]
    fn plain_authorities() {
        let conf = conf(&[("fs.defaultFS", "hdfs://nn/")]);
        for (authority, wanted) in [
            ("", "nn:8020"),
            ("h:9000", "h:9000"),
            ("h", "h:8020"),
            ("[::1]:9", "[::1]:9"),
            ("::1", "[::1]:8020"),
        ] {
            let service = conf.nameservice(authority).unwrap();
            assert!(!service.is_logical);
            assert_eq!(names(&service), [wanted]);
        }
    }

    #[test]
    fn wrong_authorities_say_why() {
        let conf = Configuration::empty();
        for authority in ["h:0", "h:x", "h:70000", ":1", "[::1", "a b", "user@h", "[::1]x"] {
            assert!(matches!(conf.nameservice(authority), Err(ConfError::Address { .. })), "{authority}");
        }
        let error = conf.nameservice("").unwrap_err().to_string();
        assert!(error.contains("fs.defaultFS is \"file:///\" (from the defaults)"), "{error}");
    }

    #[test]
    fn nameservices() {
        let conf = conf(&[
            ("dfs.nameservices", "ha, fed,gap"),
            ("dfs.ha.namenodes.ha", "a, b"),
            ("dfs.namenode.rpc-address.ha.a", "h1:1"),
            ("dfs.namenode.rpc-address.ha.b", "h2"),
            ("dfs.namenode.rpc-address.fed", "h3:3"),
            ("dfs.ha.namenodes.half", "a"),
        ]);
        let ha = conf.nameservice("ha").unwrap();
        assert!(ha.is_logical);
        assert_eq!(names(&ha), ["h1:1", "h2:8020"]);
        assert_eq!(names(&conf.nameservice("fed").unwrap()), ["h3:3"]);
        let error = conf.nameservice("half").unwrap_err().to_string();
        assert!(error.starts_with("dfs.namenode.rpc-address.half.a has no value"), "{error}");
        assert!(matches!(conf.nameservice("gap"), Err(ConfError::Missing { .. })));
    }
}
