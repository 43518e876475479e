//! A site file's properties, includes followed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use super::ConfError;

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";
/// How deep files may include each other. Hadoop has no bound and overflows its stack.
const MAX_DEPTH: usize = 16;
/// No site file is larger; a device or a log named by mistake must not fill the memory.
const MAX_LEN: u64 = 64 << 20;

/// One `<property>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_final: bool,
}

/// Reads a file and those it includes.
pub(super) fn read(path: &Path) -> Result<Vec<Property>, ConfError> {
    let mut properties = Vec::new();
    read_into(path, 0, &mut properties)?;
    Ok(properties)
}

fn read_into(path: &Path, depth: usize, into: &mut Vec<Property>) -> Result<(), ConfError> {
    if depth > MAX_DEPTH {
        return Err(ConfError::Includes { path: path.to_owned(), depth: MAX_DEPTH });
    }
    let unreadable = |message: String| ConfError::Read { path: path.to_owned(), message };
    // A pipe could keep us waiting for ever.
    if !std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let (mut text, file) = (String::new(), File::open(path).map_err(|e| unreadable(e.to_string()))?);
    // What a file says of its length need not be true: those of `/proc` have none.
    file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(|e| unreadable(e.to_string()))?;
    if text.len() as u64 > MAX_LEN {
        return Err(unreadable(format!("it has more than the {MAX_LEN} bytes of any configuration")));
    }
    parse_into(&text, path, depth, into)
}

fn parse_into(text: &str, path: &Path, depth: usize, into: &mut Vec<Property>) -> Result<(), ConfError> {
    let wrong = |message: String| ConfError::Xml { path: path.to_owned(), message };
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| wrong(e.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name("configuration") {
        return Err(wrong(format!("its root is <{}>, not <configuration>", root.tag_name().name())));
    }
    elements(root, path, depth, into)
}

/// Reads a text as the deepest of files, which may include no further ones.
#[cfg(fuzzing)]
pub(super) fn parse_alone(text: &str, path: &Path, into: &mut Vec<Property>) -> Result<(), ConfError> {
    let depth = if text.contains(XINCLUDE) { MAX_DEPTH } else { 0 };
    parse_into(text, path, depth, into)
}

/// The properties among a node's children, in order.
fn elements(
    node: Node<'_, '_>,
    path: &Path,
    depth: usize,
    into: &mut Vec<Property>,
) -> Result<(), ConfError> {
    for child in node.children().filter(Node::is_element) {
        match (child.tag_name().namespace(), child.tag_name().name()) {
            (_, "property") => into.extend(property(child)),
            (Some(XINCLUDE), "include") => include(child, path, depth, into)?,
            // Hadoop allows a configuration in a configuration, for example an included one pasted in.
            (_, "configuration") => nested(child, path, depth, into)?,
            _ => {}
        }
    }
    Ok(())
}

fn nested(node: Node<'_, '_>, path: &Path, depth: usize, into: &mut Vec<Property>) -> Result<(), ConfError> {
    if depth >= MAX_DEPTH {
        return Err(ConfError::Includes { path: path.to_owned(), depth: MAX_DEPTH });
    }
    elements(node, path, depth + 1, into)
}

/// `<xi:include href="…">`: another file, relative to this one; if it cannot be had, the `<xi:fallback>`'s content.
fn include(node: Node<'_, '_>, path: &Path, depth: usize, into: &mut Vec<Property>) -> Result<(), ConfError> {
    let Some(href) = node.attribute("href") else {
        let message = "an <include> has no href".to_owned();
        return Err(ConfError::Xml { path: path.to_owned(), message });
    };
    let file = target(href, path);
    let fallback = node.children().find(|child| child.has_tag_name((XINCLUDE, "fallback")));
    match (read_into(&file, depth + 1, into), fallback) {
        (Err(ConfError::Read { .. }), Some(fallback)) => nested(fallback, path, depth, into),
        (result, _) => result,
    }
}

fn target(href: &str, from: &Path) -> PathBuf {
    let name = href.strip_prefix("file://").or_else(|| href.strip_prefix("file:")).unwrap_or(href);
    from.parent().unwrap_or(Path::new("")).join(name)
}

/// Names and values as elements, or (since Hadoop 3) as attributes. A property without a value is none.
fn property(node: Node<'_, '_>) -> Option<Property> {
    let field = |name| {
        let child = node.children().find(|child| child.has_tag_name(name));
        let text = |child: Node<'_, '_>| {
            child.children().filter(Node::is_text).filter_map(|part| part.text()).collect::<String>()
        };
        child.map(text).or_else(|| node.attribute(name).map(str::to_owned))
    };
    let name = field("name")?.trim().to_owned();
    let is_final = field("final").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    (!name.is_empty()).then_some(())?;
    Some(Property { name, value: field("value")?, is_final })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Vec<Property>, ConfError> {
        let mut into = Vec::new();
        parse_into(text, Path::new("/x/core-site.xml"), 0, &mut into)?;
        Ok(into)
    }

    fn pairs(properties: &[Property]) -> Vec<(&str, &str, bool)> {
        properties.iter().map(|p| (p.name.as_str(), p.value.as_str(), p.is_final)).collect()
    }

    #[test]
    fn properties_in_all_their_forms() {
        let text = "<?xml version='1.0'?><?xml-stylesheet type='text/xsl' href='configuration.xsl'?>
            <!-- c --><configuration>
            <property><name> a </name><value> 1<!-- c -->2 </value><final> TRUE </final><source>s</source></property>
            <property name='b' value='&lt;' final='false'/><property><name>c</name><value/></property>
            <property><name>d</name></property><property><value>e</value></property>
            <configuration><property name='f' value='g'/></configuration></configuration>";
        let wanted = [("a", " 12 ", true), ("b", "<", false), ("c", "", false), ("f", "g", false)];
        assert_eq!(pairs(&parse(text).unwrap()), wanted);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in ["", "<configuration>", "<html/>", "no"] {
            assert!(matches!(parse(text), Err(ConfError::Xml { .. })), "{text}");
        }
    }

    #[test]
    fn includes_and_fallbacks() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, body: &str| {
            let head = "<configuration xmlns:xi='http://www.w3.org/2001/XInclude'>";
            std::fs::write(folder.path().join(name), format!("{head}{body}</configuration>")).unwrap();
        };
        let main = folder.path().join("main.xml");
        put("other.xml", "<property name='o' value='1'/>");
        put("main.xml", "<xi:include href='other.xml'/><property name='m' value='2'/>
            <xi:include href='gone.xml'><xi:fallback><property name='f' value='3'/></xi:fallback></xi:include>");
        assert_eq!(pairs(&read(&main).unwrap()), [("o", "1", false), ("m", "2", false), ("f", "3", false)]);
        put("main.xml", "<xi:include href='gone.xml'/>");
        assert!(read(&main).unwrap_err().to_string().contains("gone.xml"));
        put("main.xml", "<xi:include href='main.xml'/>");
        assert!(matches!(read(&main), Err(ConfError::Includes { .. })));
    }

    #[test]
    fn devices_and_folders_are_not_read() {
        for path in ["/dev/zero", "/"] {
            let error = read(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<[a-z/!?]{0,3}|property|configuration|name|value|[<>\"'=&;] ?|\\PC){0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("<configuration>{text}</configuration>"));
        }
    }
}
