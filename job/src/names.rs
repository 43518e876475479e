//! Names: which are near a mistyped one, and which may name a file in a worker's folder.

/// Of the `known` names, the one that was probably meant.
pub(crate) fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &str| strsim::damerau_levenshtein(text, name);
    let nearest = known.iter().copied().min_by_key(|name| distance(name))?;
    (distance(nearest) <= 2.max(nearest.len() / 3)).then_some(nearest)
}

/// Says that there is no such thing, which was probably meant, and which there are.
pub(crate) fn unknown(thing: &str, text: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match nearest(text, known) {
        Some(name) => format!("there is no such {thing}; did you mean '{name}'? (known: {all})"),
        None => format!("there is no such {thing} (known: {all})"),
    }
}

/// The longest file name that Linux takes, in bytes.
const MAX_NAME: usize = 255;

/// Checks that a text names an entry of a folder and nothing outside it.
pub(crate) fn component(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if matches!(text, "." | "..") || text.contains('/') {
        return Err(format!("{what} '{text}' must be a single name, without / and not . or .."));
    }
    if text.ends_with('\\') {
        // Written in a list, it would hide the comma that follows.
        return Err(format!(r"{what} '{text}' may not end with \"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{what} {text:?} holds a control character"));
    }
    if text.len() > MAX_NAME {
        return Err(format!("{what} has {} bytes; a file name has {MAX_NAME} at most", text.len()));
    }
    Ok(())
}

/// Checks that a text is a path from a folder to something below it, written without detours.
pub(crate) fn relative(what: &str, text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        return Err(format!(
            "{what} '{text}' must lie inside the worker's folder, and so may not begin with /"
        ));
    }
    for part in text.split('/') {
        component(&format!("a part of {what}"), part)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        assert_eq!(nearest("worker", &["workers", "worker-memory"]), Some("workers"));
        assert_eq!(nearest("outptu-mode", &["output", "output-mode"]), Some("output-mode"));
        assert_eq!(nearest("queue", &["workers", "output"]), None);
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn nothing_outside_a_folder() {
        for good in ["a", "a.b", "_x", "é", "..a", ".a", "a b"] {
            assert_eq!(component("x", good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/a", "a/", "a\nb", "a\0b", "a\\", &"x".repeat(256)] {
            assert!(component("x", bad).is_err(), "{bad}");
        }
        assert_eq!(relative("x", "a/b.c"), Ok(()));
        for bad in ["", "/a", "a/../b", "../a", "a//b", "./a", "a/", "a/.", "/"] {
            assert!(relative("x", bad).is_err(), "{bad}");
        }
    }
}
