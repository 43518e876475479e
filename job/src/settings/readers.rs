//! Readers of single settings: texts into a job's fields.

use core::str::FromStr;
use core::time::Duration;

use crate::job::Job;
use crate::values;

/// A text that does not do, and why.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) value: String,
    pub(crate) why: String,
}

/// Integers of a job file go up to here.
pub(super) const MOST: u64 = i64::MAX.unsigned_abs();

/// Reads a setting of one value into its place.
pub(super) fn one<T>(
    place: &mut T,
    texts: &[String],
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<(), Wrong> {
    let text = texts.last().map_or("", String::as_str);
    *place = read(text).map_err(|why| Wrong { value: text.to_owned(), why })?;
    Ok(())
}

/// Reads a setting of many values into its place.
pub(super) fn many<T>(
    place: &mut Vec<T>,
    texts: &[String],
    read: impl Fn(&str) -> Result<Vec<T>, String>,
) -> Result<(), Wrong> {
    place.clear();
    for text in texts {
        place.extend(read(text).map_err(|why| Wrong { value: text.clone(), why })?);
    }
    Ok(())
}

/// What differs from the default.
pub(super) fn unless<T: PartialEq>(default: &T, value: &T, show: impl FnOnce(&T) -> String) -> Vec<String> {
    if value == default { Vec::new() } else { vec![show(value)] }
}

pub(super) fn word<T: FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

pub(super) fn small(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = values::number(text, least.into(), most.into())?;
    u32::try_from(number).map_err(|error| error.to_string())
}

pub(super) fn name(text: &str) -> Result<String, String> {
    match text.len() {
        1..=200 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err("a name has 1 to 200 bytes and no control characters".into()),
    }
}

pub(super) fn command(text: &str) -> Result<Vec<String>, String> {
    if text.contains('\0') { Err("it holds a NUL".into()) } else { Ok(vec![text.to_owned()]) }
}

pub(super) fn memory(text: &str) -> Result<Option<u64>, String> {
    match values::fractional_size(text)? {
        bytes if bytes < 1 << 20 => Err(format!("{bytes} bytes of memory run nothing; say 512M or 1.5G")),
        bytes => Ok(Some(bytes)),
    }
}

/// The least memory in which an application master runs.
const LEAST_AM_MEMORY: u64 = 64 << 20;

pub(super) fn am_memory(text: &str) -> Result<u64, String> {
    match values::fractional_size(text)? {
        bytes if bytes < LEAST_AM_MEMORY => Err("an application master needs at least 64M".into()),
        bytes => Ok(bytes),
    }
}

/// What YARN takes as a node label (`NodeLabelUtil.checkAndThrowLabelName`).
pub(super) fn label(text: &str) -> Result<String, String> {
    let named = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !named || text.len() > 255 {
        return Err(
            "a node label has letters, digits, - and _, and begins with a letter or digit; one label alone \
                    can be asked for"
                .into(),
        );
    }
    Ok(text.to_owned())
}

/// What YARN takes of tags by default (`yarn.resourcemanager.application.max-tags` and `max-tag.length`).
const MOST_TAGS: usize = 10;
const LONGEST_TAG: usize = 100;

fn some_tags(text: &str) -> Result<Vec<String>, String> {
    let tag = |tag: &str| {
        let tag = tag.trim();
        match tag.len() {
            1..=LONGEST_TAG if tag.bytes().all(|b| (b' '..=b'~').contains(&b)) => Ok(tag.to_owned()),
            _ => Err(format!("a tag has 1 to {LONGEST_TAG} ASCII characters")),
        }
    };
    text.split(',').map(tag).collect()
}

pub(super) fn tags(job: &mut Job, texts: &[String]) -> Result<(), Wrong> {
    many(&mut job.tags, texts, some_tags)?;
    if job.tags.len() > MOST_TAGS {
        let why = format!("there are {} tags; YARN takes {MOST_TAGS} at most", job.tags.len());
        return Err(Wrong { value: texts.join(","), why });
    }
    Ok(())
}

pub(super) fn variable(text: &str) -> Result<Vec<(String, String)>, String> {
    let (key, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    let head = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !head || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("a variable's name has letters, digits and _, and begins with no digit".into());
    }
    if key == "INDEX" || key.starts_with("FOREBAY_") {
        return Err(format!("{key} is set by the job itself (INDEX and FOREBAY_* are)"));
    }
    if value.contains('\0') {
        return Err("it holds a NUL".into());
    }
    Ok(vec![(key.to_owned(), value.to_owned())])
}

pub(super) fn env(job: &mut Job, texts: &[String]) -> Result<(), Wrong> {
    let mut variables = Vec::new();
    many(&mut variables, texts, variable)?;
    job.env.clear();
    for (text, (key, value)) in texts.iter().zip(variables) {
        if job.env.contains_key(&key) {
            return Err(Wrong { value: text.clone(), why: format!("{key} is given twice") });
        }
        job.env.insert(key, value);
    }
    Ok(())
}

pub(super) fn folder(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Err("the path is empty".into()),
        _ if text.contains('\0') => Err("the path holds a NUL".into()),
        _ => Ok(Some(text.to_owned())),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    values::number(text, 1, 86400).map(Duration::from_secs)
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "it must be true or false".to_owned())
}
