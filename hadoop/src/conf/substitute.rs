//! `${key}` and `${env.NAME}` in values, exactly as `Configuration.substituteVars` does it.

use std::ops::Range;

/// How many variables one value may lead to (`Configuration.MAX_SUBST`).
const MAX_SUBSTITUTIONS: usize = 20;

/// Replaces variables. One that has no value ends it: the rest stays as written. One that leads back to itself leaves
/// the whole text as written. `None` when there are too many.
pub(super) fn substitute(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut now = text.to_owned();
    for _ in 0..MAX_SUBSTITUTIONS {
        let Some(name) = innermost(&now) else { return Some(now) };
        let variable = &now[name.clone()];
        let value = match variable.strip_prefix("env.").filter(|rest| !rest.is_empty()) {
            Some(expression) => from_environment(expression, environment).or_else(|| lookup(variable)),
            None => lookup(variable),
        };
        let Some(value) = value else { return Some(now) };
        let whole = name.start - 2..name.end + 1;
        if value.contains(&now[whole.clone()]) {
            return Some(text.to_owned());
        }
        now.replace_range(whole, &value);
    }
    None
}

/// `NAME`, `NAME-default` (when unset) and `NAME:-default` (when unset or empty).
fn from_environment(expression: &str, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let Some(dash) = expression.find('-') else { return environment(expression) };
    let default = &expression[dash + 1..];
    match expression[..dash].strip_suffix(':') {
        Some(name) => {
            environment(name).filter(|value| !value.is_empty()).or_else(|| Some(default.to_owned()))
        }
        None => environment(&expression[..dash]).or_else(|| Some(default.to_owned())),
    }
}

/// Where the name of the first variable lies that has no other inside. Names hold no `$`, `{`, `}` or blank.
fn innermost(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(begin) = text[from..].find("${").map(|i| from + i + 2) {
        let end = begin + text[begin..].find(['}', '$', ' ']).unwrap_or(text.len() - begin);
        if text[end..].starts_with('}') && end > begin {
            return Some(begin..end);
        }
        // What stopped the name may itself begin a variable.
        from = if text[end..].starts_with('$') { end } else { begin };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, values: &[(&str, &str)]) -> Option<String> {
        let get = |name: &str| values.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
        let env = |name: &str| get(&format!("E:{name}"));
        substitute(text, &get, &env)
    }

    #[test]
    fn plain_nested_and_unknown_variables() {
        let values = [("a", "1"), ("b", "${a}2"), ("c1", "in"), ("x", "${y}")];
        for (text, wanted) in [
            ("", ""),
            ("${a}", "1"),
            ("<${b}>", "<12>"),
            ("${c${a}}", "in"),
            ("${no}${a}", "${no}${a}"),
            ("${x}", "${y}"),
            ("$a {a} ${} ${a b} ${a", "$a {a} ${} ${a b} ${a"),
            ("é${a}é", "é1é"),
        ] {
            assert_eq!(run(text, &values).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn environment_variables_and_their_defaults() {
        let values = [("E:SET", "s"), ("E:EMPTY", "")];
        for (text, wanted) in [
            ("${env.SET}", "s"),
            ("${env.SET-d}", "s"),
            ("${env.EMPTY-d}", ""),
            ("${env.EMPTY:-d}", "d"),
            ("${env.NO-d}", "d"),
            ("${env.NO:-d-e}", "d-e"),
            ("${env.NO}", "${env.NO}"),
        ] {
            assert_eq!(run(text, &values).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn loops_end() {
        assert_eq!(run("${a}", &[("a", "x${a}")]).as_deref(), Some("${a}"));
        assert_eq!(run("${a}", &[("a", "${b}"), ("b", "${a}")]), None);
    }
}
