//! What a worker finds in its environment. Nothing secret is in it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use forebay_job::{InputMode, Job};
use forebay_protocol::{Bootstrap, v1};

use crate::folder::{AttemptFolder, new_file};

/// A longer list of files goes to a file: Linux takes no variable of more than 131,072 bytes.
const LONGEST_LIST: usize = 120_240;
const LIST: &str = "INPUT_FILE_LIST";
const LIST_FILE: &str = "inputFileList.txt";

/// The variables of a worker, besides those that its agent has.
pub(crate) fn variables(
    bootstrap: &Bootstrap,
    job: &Job,
    reply: &v1::RegisterReply,
    folder: &AttemptFolder,
) -> Vec<(String, String)> {
    let mut variables: Vec<_> = job.env.clone().into_iter().collect();
    let own = [
        ("FOREBAY_JOB_ID", bootstrap.job_id.clone()),
        ("FOREBAY_ROLE", "worker".into()),
        ("FOREBAY_RANK", bootstrap.index.to_string()),
        ("FOREBAY_WORLD_SIZE", reply.world_size.to_string()),
        ("FOREBAY_LOCAL_RANK", reply.local_rank.to_string()),
        ("FOREBAY_ATTEMPT", bootstrap.number.to_string()),
        ("FOREBAY_ACK", folder.fifo().to_string_lossy().into_owned()),
        ("FOREBAY_FORMAT", job.record_format().name()),
        ("INDEX", bootstrap.index.to_string()),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// With `--input-mode list`: the list of files, as a variable or, if it is too long for one, as a file in the working
/// folder.
pub(crate) fn list(job: &Job, files: &[v1::StaticFile], work: &Path) -> io::Result<Option<(String, String)>> {
    if job.input_mode != InputMode::List {
        return Ok(None);
    }
    let mut list: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        let address = file.file.as_ref().map_or("", |file| &file.address);
        list.entry(&file.alias).or_default().push(address);
    }
    let text = serde_json::to_string(&list)?;
    if text.len() <= LONGEST_LIST {
        return Ok(Some((LIST.to_owned(), text)));
    }
    let path = work.join(LIST_FILE);
    // What lies there may be a link of an earlier attempt.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = new_file(std::fs::OpenOptions::new().create_new(true)).open(path)?;
    io::Write::write_all(&mut file, (text + "\n").as_bytes())?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_too_long_for_a_variable_is_a_file() {
        let room = tempfile::tempdir().unwrap();
        let job = Job::from_toml("command = ['x']\ninput = ['/in']\ninput-mode = 'list'\n").unwrap();
        let file = |alias: &str, address: &str| v1::StaticFile {
            unit: 0,
            file: Some(v1::File { address: address.into(), ..Default::default() }),
            alias: alias.into(),
        };
        let mut files = vec![file("b", "/x"), file("a", "hdfs://n:1/y \"z\""), file("b", "/w")];
        let text = r#"{"a":["hdfs://n:1/y \"z\""],"b":["/x","/w"]}"#;
        let short = list(&job, &files, room.path()).unwrap();
        assert_eq!(short, Some(("INPUT_FILE_LIST".into(), text.into())));
        assert_eq!(list(&job, &[], room.path()).unwrap().unwrap().1, "{}");

        files.push(file("c", &"x".repeat(LONGEST_LIST - text.len() - r#","c":[""]"#.len())));
        let fits = list(&job, &files, room.path()).unwrap().unwrap().1;
        assert_eq!(fits.len(), LONGEST_LIST);
        assert!(!room.path().join(LIST_FILE).exists());
        files.push(file("d", ""));
        for _ in 0..2 {
            assert_eq!(list(&job, &files, room.path()).unwrap(), None);
            let spilled = std::fs::read_to_string(room.path().join(LIST_FILE)).unwrap();
            assert_eq!(spilled, fits.strip_suffix('}').unwrap().to_owned() + ",\"d\":[\"\"]}\n");
        }
    }
}
