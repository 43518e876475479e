//! Settings that do not go together.

use crate::choice::{EarlyExit, Framing, InputMode, LineEnding, OnRestart, OutputMode, SequenceFields};
use crate::job::Job;
use crate::places::Place;
use crate::values::FormatName;
use crate::{Draft, JobError};

/// The file that holds a list of inputs too long for a variable.
const LIST_FILE: &str = "inputFileList.txt";
/// The variable that holds it otherwise.
const LIST_VARIABLE: &str = "INPUT_FILE_LIST";

/// Checks what no setting can know alone.
pub(crate) fn together(job: &Job, draft: &Draft) -> Result<(), JobError> {
    if job.inputs.is_empty() {
        return Err(JobError::Missing(
            "no input: say what the workers read, with --input or input = [\"...\"] in a job file",
        ));
    }
    cache(job, draft)?;
    input(job, draft)?;
    records(job, draft)?;
    output(job, draft)?;
    outputs(job)?;
    folder(job)
}

fn conflict<T>(message: String) -> Result<T, JobError> {
    Err(JobError::Conflict(message))
}

/// Checks what a cluster can do and one machine cannot.
pub(crate) fn on_one_machine(job: &Job, draft: &Draft) -> Result<(), JobError> {
    if job.worker_gpus > 0 {
        let name = draft.shown("worker-gpus");
        return conflict(format!(
            "{name} {}: workers are not placed on the GPUs of one machine, and two could get the same one; leave it at 0, \
             or run the job on a cluster with 'forebay submit'",
            job.worker_gpus
        ));
    }
    let shipped = [
        ("archives", job.archives.is_empty(), "unpack it, and give the folder with --files"),
        ("cache-file", job.cache_files.is_empty(), "give a local copy with --files"),
        (
            "cache-archive",
            job.cache_archives.is_empty(),
            "unpack a local copy, and give the folder with --files",
        ),
    ];
    for (name, is_empty, instead) in shipped {
        if !is_empty {
            let name = draft.shown(name);
            return conflict(format!(
                "{name} is for clusters: the NodeManagers bring such files to the workers, and here are none; {instead}, or \
                 run the job on a cluster with 'forebay submit'"
            ));
        }
    }
    Ok(())
}

/// What a cluster cannot read.
pub(crate) fn on_this_machine(what: &str, path: &str) -> JobError {
    JobError::Conflict(format!(
        "the {what} {path} is on this machine, where a cluster's workers cannot reach it; put it on HDFS (a path without a \
         scheme means the default file system), or run the job here with 'forebay run'"
    ))
}

fn cache(job: &Job, draft: &Draft) -> Result<(), JobError> {
    let (dir, size) = (draft.shown("cache-dir"), draft.shown("cache-size"));
    match (&job.cache_dir, job.cache_size) {
        (Some(_), None) => {
            conflict(format!("{dir} needs {size}: how much of each host's disk the cache may take"))
        }
        (None, Some(_)) => {
            conflict(format!("{size} needs {dir}: the folder in which each host keeps blocks"))
        }
        _ => Ok(()),
    }
}

/// Settings that only streamed input has.
fn input(job: &Job, draft: &Draft) -> Result<(), JobError> {
    if job.input_mode == InputMode::Stream {
        return Ok(());
    }
    let mode = format!("{} {}", draft.shown("input-mode"), job.input_mode);
    let streamed = [
        ("format", job.format != FormatName::Auto),
        ("delimiter", job.delimiter.is_some()),
        ("line-ending", job.line_ending != LineEnding::Keep),
        ("framing", job.framing != Framing::Raw),
        ("sequencefile", job.sequencefile != SequenceFields::Value),
        ("split-size", job.split_size.is_some()),
        ("epochs", job.epochs != 1),
        ("cache-dir", job.cache_dir.is_some()),
    ];
    for (name, given) in streamed {
        if given {
            let name = draft.shown(name);
            return conflict(format!(
                "{name} has no meaning with {mode}: workers then get whole files, once"
            ));
        }
    }
    if job.on_restart == OnRestart::FromAck {
        let name = draft.shown("on-restart");
        return conflict(format!(
            "{name} from-ack has no meaning with {mode}: only streamed records are acknowledged"
        ));
    }
    if job.early_exit == EarlyExit::Ok {
        let name = draft.shown("early-exit");
        return conflict(format!(
            "{name} ok has no meaning with {mode}: how much of its files a worker has read is not seen"
        ));
    }
    if job.input_mode == InputMode::List && job.env.contains_key(LIST_VARIABLE) {
        let env = draft.shown("env");
        return conflict(format!("{env} sets {LIST_VARIABLE}, which {mode} sets; leave it out"));
    }
    Ok(())
}

fn records(job: &Job, draft: &Draft) -> Result<(), JobError> {
    let Err(misplaced) = job.checked_format() else { return Ok(()) };
    let (name, word) = misplaced.setting();
    let (option, format) = (draft.shown(name), draft.shown("format"));
    conflict(misplaced.message(&format!("{option}{word}"), &format!("{format} {}", job.format)))
}

fn output(job: &Job, draft: &Draft) -> Result<(), JobError> {
    let (mode, restart) = (draft.shown("output-mode"), draft.shown("on-restart"));
    let (output, keep) = (draft.shown("output"), draft.shown("keep-folder"));
    if job.output_mode == OutputMode::Stream && job.outputs.len() != 1 {
        let n = job.outputs.len();
        return conflict(format!(
            "{mode} stream needs one {output} for the workers' standard output, and there are {n}"
        ));
    }
    if job.outputs.is_empty() {
        return Ok(());
    }
    match (job.on_restart, job.output_mode, job.keep_folder) {
        (OnRestart::FromAck, OutputMode::Stream, _) => conflict(format!(
            "{restart} from-ack does not go with {mode} stream: what a dead worker had written for records it \
             acknowledged would be lost; use replay-all"
        )),
        (OnRestart::FromAck, OutputMode::Upload, false) => conflict(format!(
            "{restart} from-ack with {output} needs {keep}: what a worker made of records that it acknowledged lies \
             in its folder, and a fresh folder would lose it; add it, or use replay-all"
        )),
        (OnRestart::ReplayAll, OutputMode::Upload, true) => conflict(format!(
            "{keep} with {output} needs {restart} from-ack: with replay-all, what a dead worker left in the folder would \
             be uploaded beside what is made of the same records again"
        )),
        _ => Ok(()),
    }
}

/// Checks that no output lies in another.
pub(crate) fn outputs(job: &Job) -> Result<(), JobError> {
    let pairs =
        job.outputs.iter().enumerate().flat_map(|(i, a)| job.outputs[i + 1..].iter().map(move |b| (a, b)));
    for (a, b) in pairs {
        if Place::of(&a.path).nests_with(&Place::of(&b.path)) {
            let (a, b) = (&a.path, &b.path);
            return conflict(format!("the outputs {a} and {b} are, or lie in, one another; give them apart"));
        }
    }
    Ok(())
}

/// Checks that what is put into a worker's folder, and what is taken from it, keep out of each other's way.
fn folder(job: &Job) -> Result<(), JobError> {
    let mut names: Vec<(&str, String)> = Vec::new();
    match job.input_mode {
        InputMode::Stream => {}
        InputMode::List => names.push((LIST_FILE, "the list of inputs".to_owned())),
        InputMode::Download => {
            let aliases = job.inputs_by_alias().into_iter();
            names.extend(aliases.map(|(alias, _)| (alias, format!("the input '#{alias}'"))));
        }
    }
    if job.output_mode == OutputMode::Upload {
        names.extend(job.outputs.iter().map(|output| (&*output.dir, format!("the output {}", output.path))));
    }
    let linked = [
        ("file", &job.files),
        ("archive", &job.archives),
        ("cached file", &job.cache_files),
        ("cached archive", &job.cache_archives),
    ];
    for (what, files) in linked {
        names.extend(files.iter().map(|file| (&*file.name, format!("the {what} {}", file.path))));
    }
    for (i, (name, what)) in names.iter().enumerate() {
        for (other_name, other) in &names[i + 1..] {
            if Place::of(name).nests_with(&Place::of(other_name)) {
                return conflict(format!(
                    "{what} and {other} meet in a worker's folder, as '{name}' and '{other_name}'; give one another \
                     name with #"
                ));
            }
        }
    }
    Ok(())
}
