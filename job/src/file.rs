//! The job file: TOML with the names of the flags.

use std::fmt::Write;

use toml::Spanned;
use toml::Value;
use toml::de::{DeString, DeTable, DeValue};

use crate::job::Job;
use crate::settings::{Kind, SETTINGS, Setting, find};
use crate::{Draft, JobError, Origin, names};

/// Reads a file's keys and the types of its values; what the values say is for the [`Draft`] to check.
pub(crate) fn read(text: &str) -> Result<Draft, JobError> {
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|&b| b == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| JobError::Syntax {
        line: error.span().map_or(1, |span| line_at(span.start)),
        why: error.message().to_owned(),
    })?;
    let mut entries: Vec<(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut draft = Draft::default();
    for (key, value) in entries {
        let line = line_at(key.span().start);
        let key = key.get_ref();
        let Some(setting) = find(key) else {
            let known: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
            return Err(JobError::UnknownKey {
                line,
                key: key.to_string(),
                nearest: names::nearest(key, &known),
            });
        };
        let texts = texts(setting, value.get_ref()).map_err(|wrong| {
            let (at, found) = (wrong.0.map_or(value.span().start, |item| item), wrong.1);
            JobError::Type { line: line_at(at), setting: setting.name, wanted: wanted(setting.kind), found }
        })?;
        draft.put(setting, Origin::Line(line), texts);
    }
    Ok(draft)
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Choice(_) => "a text in quotes",
        Kind::Number => "a whole number without quotes",
        Kind::Size => "a size, as \"128M\", or a number of bytes",
        Kind::Switch => "true or false without quotes",
        Kind::List => "an array of texts, as [\"...\", \"...\"]",
        Kind::Pairs => "an array of texts, as [\"NAME=VALUE\"], or a table, as { NAME = \"VALUE\" }",
        Kind::Command => "an array of texts: the program and its arguments",
    }
}

/// A value of a wrong type: where in the file, if not at its beginning, and what it is.
struct WrongType(Option<usize>, String);

impl From<&DeValue<'_>> for WrongType {
    fn from(value: &DeValue<'_>) -> Self {
        Self(None, shown(value))
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn texts(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<String>, WrongType> {
    match (setting.kind, value) {
        (Kind::Text | Kind::Choice(_) | Kind::Size, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (Kind::Number | Kind::Size, DeValue::Integer(number)) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            decimal.map(|number| vec![number.to_string()]).map_err(|_| value.into())
        }
        (Kind::Switch, DeValue::Boolean(value)) => Ok(vec![value.to_string()]),
        (Kind::List | Kind::Pairs | Kind::Command, DeValue::Array(items)) => {
            let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                other => Err(WrongType(Some(item.span().start), format!("an array with {}", shown(other)))),
            };
            items.iter().map(text).collect()
        }
        (Kind::Pairs, DeValue::Table(pairs)) => {
            let text = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| match value.get_ref() {
                // Joined here, it must not be cut elsewhere.
                DeValue::String(_) if key.get_ref().contains('=') => Err(WrongType(
                    Some(key.span().start),
                    format!("a table with the name {:?}", key.get_ref()),
                )),
                DeValue::String(text) => Ok(format!("{}={text}", key.get_ref())),
                other => Err(WrongType(Some(value.span().start), format!("a table with {}", shown(other)))),
            };
            pairs.iter().map(text).collect()
        }
        _ => Err(value.into()),
    }
}

/// Writes what differs from the defaults, in the order of the list.
pub(crate) fn write(job: &Job) -> String {
    let mut file = String::new();
    for setting in SETTINGS {
        let texts = (setting.write)(job);
        let Some(first) = texts.first() else { continue };
        let value = match setting.kind {
            Kind::Number | Kind::Switch => first.clone(),
            Kind::Text | Kind::Size | Kind::Choice(_) => Value::from(first.as_str()).to_string(),
            Kind::List | Kind::Pairs | Kind::Command => Value::from(texts).to_string(),
        };
        // Writing to a text does not fail.
        let _ = writeln!(file, "{} = {value}", setting.name);
    }
    file
}
