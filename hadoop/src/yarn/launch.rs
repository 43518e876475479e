//! What a NodeManager needs to start a container: files, environment, command, tokens.

use std::fmt;
use std::time::Duration;

use super::command::Command;
use super::error::Error;
use super::local_resource::{LocalResource, refused_link};
use super::proto::common::{ApplicationAclMapProto, StringStringMapProto};
use super::proto::node::{ContainerLaunchContextProto, StringLocalResourceMapProto};
use super::shell;
use crate::credentials::{Credentials, FileVersion};

/// Who besides the owner may do something with an application: users and groups; `everybody` for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessList {
    /// Users.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Everybody.
    pub everybody: bool,
}

impl AccessList {
    /// `user,user group,group`, `*` for all, a space for none (`AccessControlList`).
    fn to_wire(&self) -> Result<String, Error> {
        if self.everybody {
            return Ok("*".to_owned());
        }
        for name in self.users.iter().chain(&self.groups) {
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ',' || c == '*') {
                let what = format!("the name {name:?} in an access list");
                return Err(Error::Request { what, why: "a name is not empty and has no space, comma or *" });
            }
        }
        Ok(format!("{} {}", self.users.join(","), self.groups.join(",")))
    }
}

/// What a NodeManager needs to start a container (`ContainerLaunchContextProto`). What of it cannot be said is refused when
/// it is used, before anything is sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ContainerLaunchContext {
    command: Option<Command>,
    resources: Vec<(String, LocalResource)>,
    environment: Vec<(String, Value)>,
    credentials: Credentials,
    view: Option<AccessList>,
    modify: Option<AccessList>,
}

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Literal(String),
    Shell(String),
}

impl fmt::Debug for ContainerLaunchContext {
    /// Of the environment the names only, of the credentials what they show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("ContainerLaunchContext")
            .field("command", &self.command)
            .field("resources", &self.resources)
            .field("environment", &names)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl ContainerLaunchContext {
    /// One that runs this.
    pub fn new(command: Command) -> Self {
        Self { command: Some(command), ..Self::default() }
    }

    /// A file, under this name in the container's folder, which may have folders in it (`lib/x.so`).
    #[must_use]
    pub fn resource(mut self, link: impl Into<String>, resource: LocalResource) -> Self {
        self.resources.push((link.into(), resource));
        self
    }

    /// A variable of the environment, which arrives as it is. YARN overwrites `HOME`, `USER`, `LOGNAME`, `PWD`, `LOG_DIRS`,
    /// `LOCAL_DIRS`, `CONTAINER_ID`, `NM_HOST` and their like.
    #[must_use]
    pub fn env_literal(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env(name.into(), Value::Literal(value.into()))
    }

    /// A variable as bash reads it between double quotes: `$PWD/lib:$PATH`. What is no valid bash fails the container.
    #[must_use]
    pub fn env_shell(self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.env(name.into(), Value::Shell(text.into()))
    }

    fn env(mut self, name: String, value: Value) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value));
        self
    }

    /// Tokens and secrets, which the container finds in the file that `HADOOP_TOKEN_FILE_LOCATION` names. An application
    /// master finds its AMRM token there, too.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Who may see the application: its report, its logs. Only counts for an application master's container where a cluster
    /// has access lists.
    #[must_use]
    pub fn may_view(mut self, who: AccessList) -> Self {
        self.view = Some(who);
        self
    }

    /// Who may change the application: kill it.
    #[must_use]
    pub fn may_modify(mut self, who: AccessList) -> Self {
        self.modify = Some(who);
        self
    }

    pub(super) fn to_wire(&self) -> Result<ContainerLaunchContextProto, Error> {
        let mut proto = ContainerLaunchContextProto::default();
        for (link, resource) in &self.resources {
            let what = |why| Error::Request { what: format!("the file {link:?}"), why };
            if let Some(why) = refused_link(link) {
                return Err(what(why));
            }
            if self.resources.iter().filter(|(other, _)| other == link).count() > 1 {
                return Err(what("two files have this name"));
            }
            let (key, value) = (Some(link.clone()), Some(resource.to_wire()));
            proto.local_resources.push(StringLocalResourceMapProto { key, value });
        }
        for (name, value) in &self.environment {
            let (Value::Literal(text) | Value::Shell(text)) = value;
            if let Some(why) = shell::refused_name(name).or_else(|| shell::refused(text)) {
                return Err(Error::Request { what: format!("the environment variable {name:?}"), why });
            }
            let value = match value {
                Value::Literal(text) => shell::for_double_quotes(text),
                Value::Shell(text) => text.clone(),
            };
            proto.environment.push(StringStringMapProto { key: Some(name.clone()), value: Some(value) });
        }
        proto.command = self.command.iter().map(Command::to_wire).collect::<Result<_, _>>()?;
        // Empty bytes would fail the launch.
        if !self.credentials.is_empty() {
            proto.tokens = Some(self.credentials.encode(FileVersion::Writable).into());
        }
        for (number, who) in [(1, &self.view), (2, &self.modify)] {
            let Some(who) = who else { continue };
            let acl = ApplicationAclMapProto { access_type: Some(number), acl: Some(who.to_wire()?) };
            proto.application_acls.push(acl);
        }
        Ok(proto)
    }
}

/// Which logs YARN gathers, as Java's regular expressions over file names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogAggregationContext {
    /// Logs gathered at the end; all when `None`.
    pub include: Option<String>,
    /// Of those, logs that are not.
    pub exclude: Option<String>,
    /// Logs gathered while the application runs; none when `None`.
    pub rolled_include: Option<String>,
    /// Of those, logs that are not.
    pub rolled_exclude: Option<String>,
}

/// A time in milliseconds for the wire, the most it can say at most.
pub(super) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
