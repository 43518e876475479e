//! Site files' text for `fuzz/`, without the files.

use std::path::Path;

use super::{ConfError, Configuration, xml};

/// A configuration of a site file's text. No file that it includes is read.
pub fn configuration(text: &str) -> Result<Configuration, ConfError> {
    let mut properties = Vec::new();
    xml::parse_alone(text, Path::new("/fuzzing/core-site.xml"), &mut properties)?;
    let mut conf = Configuration::with_environment(|_| None);
    for property in properties {
        conf.set(property.name, property.value);
    }
    Ok(conf)
}
