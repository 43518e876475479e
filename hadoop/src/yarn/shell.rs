//! Text on its way through a NodeManager's launch script: what must be escaped so that it arrives as it was.
//!
//! The NodeManager writes `export NAME="TEXT"` and `exec /bin/bash -c "TEXT"` without escaping, and before that replaces
//! `{{`, `}}`, `<LOG_DIR>`, `<CPS>` and `<ADD_OPENS>` (`ContainerLaunch.expandEnvironment`).

/// Replaced by the NodeManager with the folder of the container's logs.
pub(super) const LOG_DIR: &str = "<LOG_DIR>";

/// Text for between double quotes that bash reads as `literal`, and in which the NodeManager finds nothing to replace.
pub(super) fn for_double_quotes(literal: &str) -> String {
    let mut text = String::with_capacity(literal.len() + 8);
    let mut chars = literal.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, '"' | '$' | '`' | '\\') {
            text.push('\\');
        }
        text.push(c);
        let marks = match c {
            '{' | '}' => chars.peek() == Some(&c),
            '<' => chars.peek().is_some_and(char::is_ascii_uppercase),
            _ => false,
        };
        if marks {
            // The quotes end and begin again: nothing for bash, and no mark any more for the NodeManager.
            text.push_str("\"\"");
        }
    }
    text
}

/// A word that bash reads as `literal`.
pub(super) fn single_quoted(literal: &str) -> String {
    format!("'{}'", literal.replace('\'', r"'\''"))
}

/// Why a text cannot pass a shell at all.
pub(super) fn refused(text: &str) -> Option<&'static str> {
    text.contains('\0').then_some("it holds a NUL byte")
}

/// Why a name is none of an environment variable.
pub(super) fn refused_name(name: &str) -> Option<&'static str> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (!begins || !goes_on)
        .then_some("a variable's name has letters, digits and _, and does not begin with a digit")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// `ContainerLaunch.expandEnvironment`.
    fn expand(text: &str) -> String {
        text.replace(LOG_DIR, "/logs")
            .replace("<CPS>", ":")
            .replace("<ADD_OPENS>", "")
            .replace("{{", "$")
            .replace("}}", "")
    }

    fn bash(script: &str) -> String {
        let output = Command::new("/bin/bash").args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn names_of_variables() {
        for name in ["A", "_", "FOREBAY_RANK", "a1"] {
            assert_eq!(refused_name(name), None, "{name}");
        }
        for name in ["", "1", "A-B", "A B", "A=", "Ä", "A\n"] {
            assert!(refused_name(name).is_some(), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// What matters: `$`, quotes, backslashes, line ends, the NodeManager's marks, anything else.
        #[test]
        fn literals_arrive_as_they_were(text in r#"([$"`\\'!*~ \n\t{}<>&|;#]|<LOG_DIR>|<CPS>|<ADD_OPENS>|\{\{HOME\}\}|\$PWD|\$\(id\)|[a-zA-Zäß€]|\PC){0,40}"#) {
            let exported = expand(&format!("export K=\"{}\"\nprintf '%s.' \"$K\"", for_double_quotes(&text)));
            prop_assert_eq!(bash(&exported), format!("{text}."));
            // As an argument it goes through both shells.
            let inner = format!("printf %s. {}", single_quoted(&text));
            let command = expand(&format!("exec /bin/bash -c \"{}\"", for_double_quotes(&inner)));
            prop_assert_eq!(bash(&command), format!("{text}."));
        }
    }
}
