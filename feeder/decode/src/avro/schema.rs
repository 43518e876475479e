//! An Avro schema, as far as it tells where values end: a table of types that refer to each other by their places in it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{DecodeError, Reason};

/// Most bytes of a schema's JSON.
const MOST: usize = 4 << 20;

/// A type's place in the table.
pub(super) type Id = u32;

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// No bytes: null, and what holds nothing else.
    Nothing,
    Boolean,
    Int,
    Long,
    /// So many bytes.
    Fixed(u64),
    /// Its length, and as many bytes.
    Bytes,
    /// The number of one of so many symbols.
    Enum(u64),
    Array(Id),
    Map(Id),
    Union(Box<[Id]>),
    /// Those of its fields that have bytes.
    Record(Box<[Id]>),
}

/// The schema of an Avro file's records.
#[derive(Debug, PartialEq, Eq)]
pub struct AvroSchema {
    /// Without what does not tell how a record is read.
    json: Value,
    pub(super) nodes: Vec<Node>,
    pub(super) root: Id,
}

impl AvroSchema {
    /// Reads a schema's JSON.
    pub fn parse(json: &[u8]) -> Result<Self, DecodeError> {
        Self::read(json).map_err(|reason| DecodeError { offset: 0, reason })
    }

    fn read(json: &[u8]) -> Result<Self, Reason> {
        if json.len() > MOST {
            let len = json.len() as u64;
            return Err(Reason::TooLong { what: "a schema", len, most: MOST as u64 });
        }
        let mut json: Value =
            serde_json::from_slice(json).map_err(|error| Reason::Schema(error.to_string()))?;
        let mut table = Table::default();
        let root = table.add(&json, "")?;
        if table.nodes[place(root)] == Node::Nothing {
            return refused("its records have no bytes, and so nothing to be fed");
        }
        strip(&mut json);
        Ok(Self { json, nodes: table.nodes, root })
    }

    /// Whether records of both are read alike: what the schemas say is the same but for documentation, aliases, defaults, and
    /// the order of attributes.
    pub fn is_like(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

fn refused<T>(what: impl Into<String>) -> Result<T, Reason> {
    Err(Reason::Schema(what.into()))
}

fn place(id: Id) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// Leaves out what is for people, and for readers that want records in another form.
fn strip(json: &mut Value) {
    match json {
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Object(attributes) => {
            attributes.retain(|name, _| !matches!(&**name, "doc" | "aliases" | "default" | "order"));
            attributes.values_mut().for_each(strip);
        }
        _ => {}
    }
}

#[derive(Default)]
struct Table {
    nodes: Vec<Node>,
    /// Places of named types, by their full names.
    names: HashMap<String, Id>,
}

impl Table {
    /// Adds a type, with all that it is made of. `space` is the namespace around it. It goes as deep as the JSON, which its parser bounds.
    fn add(&mut self, json: &Value, space: &str) -> Result<Id, Reason> {
        match json {
            Value::String(name) => self.named(name, space),
            Value::Array(branches) => {
                let branches =
                    branches.iter().map(|branch| self.add(branch, space)).collect::<Result<_, _>>()?;
                self.push(Node::Union(branches))
            }
            Value::Object(attributes) => match attributes.get("type") {
                Some(Value::String(kind)) => self.complex(kind, attributes, space),
                Some(inner) => self.add(inner, space),
                None => refused("a type that does not say which"),
            },
            _ => refused("a type that is neither a text, nor a list, nor an object"),
        }
    }

    fn push(&mut self, node: Node) -> Result<Id, Reason> {
        let id = Id::try_from(self.nodes.len()).map_err(|_| Reason::Schema("too many types".to_owned()))?;
        self.nodes.push(node);
        Ok(id)
    }

    /// A type by its name: a primitive one, or one that was defined before.
    fn named(&mut self, name: &str, space: &str) -> Result<Id, Reason> {
        let node = match name {
            "null" => Node::Nothing,
            "boolean" => Node::Boolean,
            "int" => Node::Int,
            "long" => Node::Long,
            "float" => Node::Fixed(4),
            "double" => Node::Fixed(8),
            "bytes" | "string" => Node::Bytes,
            _ => {
                let known = self.names.get(&full_name(name, space)).or_else(|| self.names.get(name));
                return known
                    .copied()
                    .ok_or_else(|| Reason::Schema(format!("the type {name:?} is not defined")));
            }
        };
        self.push(node)
    }

    fn complex(&mut self, kind: &str, attributes: &Map<String, Value>, space: &str) -> Result<Id, Reason> {
        let of = |what: &str| {
            attributes.get(what).ok_or_else(|| Reason::Schema(format!("a type {kind:?} without {what:?}")))
        };
        match kind {
            "array" => {
                let items = self.add(of("items")?, space)?;
                self.push(Node::Array(items))
            }
            "map" => {
                let values = self.add(of("values")?, space)?;
                self.push(Node::Map(values))
            }
            "enum" => {
                let Value::Array(symbols) = of("symbols")? else {
                    return refused("symbols that are no list");
                };
                let id = self.push(Node::Enum(symbols.len() as u64))?;
                self.define(id, attributes, space).map(|_| id)
            }
            "fixed" => {
                let Some(size) = of("size")?.as_u64() else {
                    return refused("a fixed size that is no number of bytes");
                };
                let id = self.push(if size == 0 { Node::Nothing } else { Node::Fixed(size) })?;
                self.define(id, attributes, space).map(|_| id)
            }
            "record" | "error" => {
                let Value::Array(fields) = of("fields")? else { return refused("fields that are no list") };
                // As long as it is not known whether it has any, it counts as one with bytes.
                let id = self.push(Node::Record(Box::default()))?;
                let space = self.define(id, attributes, space)?;
                let mut with_bytes = Vec::new();
                for field in fields {
                    let Some(of) = field.get("type") else { return refused("a field without a type") };
                    let of = self.add(of, &space)?;
                    if self.nodes[place(of)] != Node::Nothing {
                        with_bytes.push(of);
                    }
                }
                let is_empty = with_bytes.is_empty();
                self.nodes[place(id)] =
                    if is_empty { Node::Nothing } else { Node::Record(with_bytes.into_boxed_slice()) };
                Ok(id)
            }
            name => self.named(name, space),
        }
    }

    /// Gives a type its name, and says the namespace in it.
    fn define(&mut self, id: Id, attributes: &Map<String, Value>, space: &str) -> Result<String, Reason> {
        let Some(Value::String(name)) = attributes.get("name") else {
            return refused("a record, enum or fixed without a name");
        };
        let space = attributes.get("namespace").and_then(Value::as_str).unwrap_or(space);
        let name = full_name(name, space);
        let space = name.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        if self.names.contains_key(&name) {
            return refused(format!("the type {name:?} is defined twice"));
        }
        self.names.insert(name, id);
        Ok(space)
    }
}

fn full_name(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}
