//! What was given of a job, and where: by flags, in a file, or in both.

use std::collections::BTreeMap;

use crate::job::Job;
use crate::settings::{Setting, Wrong, find};
use crate::{JobError, Origin, checks, file};

/// Settings as given, each of them valid or not. A job is built of them when nothing more comes.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    given: BTreeMap<&'static str, (Origin, Vec<String>)>,
}

impl Draft {
    /// Reads a job file's text, which may leave things to flags. Every value in it is checked.
    pub fn from_toml(text: &str) -> Result<Self, JobError> {
        let draft = file::read(text)?;
        draft.values()?;
        Ok(draft)
    }

    /// Sets what a flag gives, in place of what was given before. Switches take `true` or `false`.
    pub fn set(&mut self, setting: &'static Setting, values: Vec<String>) {
        self.put(setting, Origin::Flag, values);
    }

    pub(crate) fn put(&mut self, setting: &'static Setting, origin: Origin, values: Vec<String>) {
        self.given.insert(setting.name, (origin, values));
    }

    /// What another gives goes before what this one gives, setting by setting.
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        self.given.extend(other.given);
        self
    }

    /// The names of the settings that were given.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.given.keys().copied()
    }

    /// The number of workers, if it was given: what a resumed job may change.
    pub fn workers(&self) -> Result<Option<u32>, JobError> {
        let job = self.values()?;
        Ok(self.given.contains_key("workers").then_some(job.workers))
    }

    /// The job, if all values do and go together.
    pub fn build(&self) -> Result<Job, JobError> {
        let mut job = self.values()?;
        let Some(program) = job.command.first() else {
            return Err(JobError::Missing(
                "no command: say what the workers run, behind -- or as command = [\"...\"] in a job file",
            ));
        };
        if job.name.is_empty() {
            job.name = default_name(program);
        }
        checks::together(&job, self)?;
        Ok(job)
    }

    /// The job, if it can be run on one machine. With it the settings, as their user would find them, that mean nothing there.
    pub fn build_here(&self) -> Result<(Job, Vec<String>), JobError> {
        let job = self.build()?;
        checks::on_one_machine(&job, self)?;
        let idle = |name: &&&str| find(name).is_some_and(Setting::is_for_clusters);
        Ok((job, self.given.keys().filter(idle).map(|name| self.shown(name)).collect()))
    }

    /// All values, each checked by itself.
    fn values(&self) -> Result<Job, JobError> {
        let mut job = Job::blank();
        // In the order of the file or, for flags, of the list.
        let mut given: Vec<_> = self.given.iter().collect();
        given.sort_by_key(|(_, (origin, _))| match origin {
            Origin::Flag => usize::MAX,
            Origin::Line(line) => *line,
        });
        for (name, (origin, values)) in given {
            let Some(setting) = find(name) else { continue };
            (setting.read)(&mut job, values).map_err(|Wrong { value, why }| JobError::Value {
                origin: *origin,
                setting: setting.name,
                value,
                why,
            })?;
        }
        Ok(job)
    }

    /// A setting as its user would find it.
    pub(crate) fn shown(&self, name: &str) -> String {
        match self.given.get(name) {
            Some((Origin::Line(line), _)) => format!("{name} (line {line})"),
            Some((Origin::Flag, _)) | None => format!("--{name}"),
        }
    }
}

/// The program's file name, as far as it can be a name.
fn default_name(program: &str) -> String {
    let name = program.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(50).collect();
    if name.is_empty() { "job".to_owned() } else { name }
}
