//! The `name=value, name="value"` lists of DIGEST-MD5's messages (RFC 2831, section 7.1).

/// A list's directives in order, quotes and escapes taken off. `None` when it is not such a list.
pub(super) fn parse(text: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        // The grammar allows empty elements between commas.
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start();
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || name.contains([',', '"']) {
            return None;
        }
        let (value, after) = value(after.trim_start())?;
        found.push((name.to_ascii_lowercase(), value));
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(found)
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let value = text[..end].trim_end();
        return (!value.is_empty() && !value.contains('"')).then(|| (value.to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[i + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(c),
        }
    }
    None
}

/// A value in quotes.
pub(super) fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        parse(text.as_bytes())
    }

    #[test]
    fn a_servers_challenge() {
        let text = r#"realm="default",nonce="a\"b\\,=", qop="auth" ,,charset=utf-8,algorithm=md5-sess"#;
        let found = pairs(text).unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let nonce = ("nonce", "a\"b\\,=");
        let rest = [("qop", "auth"), ("charset", "utf-8"), ("algorithm", "md5-sess")];
        assert_eq!(found, [&[("realm", "default"), nonce][..], &rest].concat());
    }

    #[test]
    fn what_is_no_list_is_none() {
        for text in ["x", "=x", "a=\"x", "a=\"x\"y", "a=", "a=\"x\\", "a,b=c"] {
            assert_eq!(pairs(text), None, "{text}");
        }
        assert_eq!(parse(b"a=\xff"), None);
        assert_eq!(pairs(" , "), Some(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_quoted_comes_back(value in "\\PC*") {
            let found = pairs(&format!("a={},b=c", quote(&value))).unwrap();
            prop_assert_eq!(&found[0].1, &value);
            prop_assert_eq!(&found[1].1, "c");
        }

        #[test]
        fn no_bytes_make_it_panic(text in "([a-z]{0,2}|[=,\"\\\\ ]|\\PC){0,30}") {
            let _ = pairs(&text);
        }
    }
}
