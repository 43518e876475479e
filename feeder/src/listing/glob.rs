//! Hadoop's globs: `*`, `?`, `[…]`, `[^…]`, `{a,b/c}` and `\` before a literal character.

use globset::{GlobBuilder, GlobMatcher};

/// So that a pattern of nested braces cannot ask for more than a command line could mean.
const MOST_ALTERNATIVES: usize = 10_000;

/// Whether a text has a character with a meaning in globs.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}

/// A matcher for one path component.
pub(crate) fn component(pattern: &str) -> Result<GlobMatcher, String> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().to_string())
}

/// The patterns that a pattern with braces stands for: alternatives may reach over folders.
pub(crate) fn alternatives(pattern: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(text) = open.pop() {
        match first_group(&text)? {
            None => done.push(text),
            Some((begin, commas, end)) => {
                let (mut from, mut parts) = (begin + 1, Vec::new());
                for to in commas.into_iter().chain([end]) {
                    parts.push(format!("{}{}{}", &text[..begin], &text[from..to], &text[end + 1..]));
                    from = to + 1;
                }
                open.extend(parts.into_iter().rev());
            }
        }
        if done.len() + open.len() > MOST_ALTERNATIVES {
            return Err(format!("it stands for more than {MOST_ALTERNATIVES} patterns"));
        }
    }
    Ok(done)
}

/// Places of the first outermost group's opening brace, commas and closing brace.
fn first_group(text: &str) -> Result<Option<(usize, Vec<usize>, usize)>, String> {
    let (mut begin, mut commas, mut depth, mut escaped, mut in_class) = (0, Vec::new(), 0, false, false);
    for (i, c) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            '{' => {
                depth += 1;
                if depth == 1 {
                    begin = i;
                }
            }
            ',' if depth == 1 => commas.push(i),
            '}' if depth == 1 => return Ok(Some((begin, commas, i))),
            '}' if depth > 1 => depth -= 1,
            _ => {}
        }
    }
    if depth > 0 { Err("a { is not closed".into()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces() {
        let expand = |text| alternatives(text).unwrap();
        assert_eq!(expand("a"), ["a"]);
        assert_eq!(expand("/d/{01,02/x}/p"), ["/d/01/p", "/d/02/x/p"]);
        assert_eq!(expand("{a,{b,c}d}e"), ["ae", "bde", "cde"]);
        assert_eq!(expand(r"\{a,b}"), [r"\{a,b}"]);
        assert_eq!(expand("[{]{a,b}"), ["[{]a", "[{]b"]);
        assert!(alternatives("{a").is_err());
        assert!(alternatives(&"{a,b}".repeat(20)).is_err());
    }

    #[test]
    fn components() {
        let is = |pattern, name: &str| component(pattern).unwrap().is_match(name);
        assert!(is("part-*", "part-00001") && !is("part-*", "xpart-1"));
        assert!(is("[^ab]?", "cd") && !is("[^ab]?", "ad"));
        assert!(is(r"\*", "*") && !is(r"\*", "a"));
        assert!(component("[a").is_err());
    }
}
