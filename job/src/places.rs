//! Where a path points, as far as its words tell: on which file system, seen from which folder, within which other.

/// A scheme, a colon and a slash, as in `feed`'s inputs; `name:x` is a local path.
fn scheme(path: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = path.split_once(':')?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    let known = matches!(scheme, "file" | "hdfs") && rest.starts_with('/');
    (named && (known || rest.starts_with("//"))).then_some((scheme, rest))
}

pub(crate) fn unknown_scheme<'a>(path: &'a str, known: &[&str]) -> Option<&'a str> {
    scheme(path).map(|(scheme, _)| scheme).filter(|scheme| !known.contains(scheme))
}

/// A local path, seen from `folder`.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') || scheme(path).is_some() {
        return path.to_owned();
    }
    format!("{}/{path}", folder.trim_end_matches('/'))
}

/// A path on HDFS as a full address: of `hdfs://authority` where it names no other, below `home` where it is relative. `None`
/// for one of this machine.
pub(crate) fn stored(authority: &str, home: &str, path: &str) -> Option<String> {
    let (authority, path) = match scheme(path) {
        Some(("file", _)) => return None,
        Some(("hdfs", rest)) => match rest.strip_prefix("//") {
            None => (authority, rest.to_owned()),
            Some(rest) => match rest.split_at(rest.find('/').unwrap_or(rest.len())) {
                ("", path) => (authority, path.to_owned()),
                (authority, path) => (authority, path.to_owned()),
            },
        },
        // Whoever opens it says that there is no such file system.
        Some(_) => return Some(path.to_owned()),
        None => (authority, join(home, path)),
    };
    let mut way = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(way.pop()),
            part => way.push(part),
        }
    }
    Some(format!("hdfs://{authority}/{}", way.join("/")))
}

/// A file system, and the names on the way to a place on it; as far as words tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// Scheme and authority; empty for a path relative to a folder not known here.
    system: (&'a str, &'a str),
    way: Vec<&'a str>,
}

impl<'a> Place<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let (system, path) = match scheme(path) {
            None if path.starts_with('/') => (("file", ""), path),
            None => (("", ""), path),
            Some((scheme, rest)) => match rest.strip_prefix("//") {
                None => ((scheme, ""), rest),
                Some(rest) => {
                    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    let authority = if scheme == "file" { "" } else { authority };
                    ((scheme, authority), path)
                }
            },
        };
        let mut way = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." if way.last().is_some_and(|&last| last != "..") => drop(way.pop()),
                ".." if !system.0.is_empty() => {}
                part => way.push(part),
            }
        }
        Self { system, way }
    }

    /// Whether one is the other, or lies in it.
    pub(crate) fn nests_with(&self, other: &Self) -> bool {
        let shorter = self.way.len().min(other.way.len());
        self.system == other.system && self.way[..shorter] == other.way[..shorter]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_cluster_paths_are_on_its_file_system() {
        for (path, wanted) in [
            ("a/*.txt", Some("hdfs://n:1/user/me/a/*.txt")),
            ("/a/{b,c}/", Some("hdfs://n:1/a/{b,c}")),
            ("../you/./a", Some("hdfs://n:1/user/you/a")),
            ("hdfs:///a", Some("hdfs://n:1/a")),
            ("hdfs:/a/../../b", Some("hdfs://n:1/b")),
            ("hdfs://other/a//b", Some("hdfs://other/a/b")),
            ("hdfs://other", Some("hdfs://other/")),
            ("a:b", Some("hdfs://n:1/user/me/a:b")),
            ("s3://bucket/a", Some("s3://bucket/a")),
            ("file:///a", None),
            ("file:/a", None),
        ] {
            assert_eq!(stored("n:1", "/user/me", path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn places_are_compared_by_their_words() {
        for (a, b, nest) in [
            ("/a/b", "file:///a//b/", true),
            ("/a", "/a/b", true),
            ("/a/b", "/ab", false),
            ("/", "/a", true),
            ("a/./b", "a/c/../b", true),
            ("a", "/a", false),
            ("../a", "a", false),
            ("/../a", "/a", true),
            ("hdfs:///a", "hdfs:/a/b", true),
            ("hdfs://n:1/a", "hdfs://n:1/a", true),
            ("hdfs://n:1/a", "hdfs://n:2/a", false),
            ("hdfs:///a", "/a", false),
            ("file://localhost/a", "/a", true),
        ] {
            assert_eq!(Place::of(a).nests_with(&Place::of(b)), nest, "{a} {b}");
        }
        assert_eq!(join("/f/", "a"), "/f/a");
        assert_eq!(join("/f", "hdfs:/a"), "hdfs:/a");
        assert_eq!(join("/f", "/a"), "/a");
    }
}
