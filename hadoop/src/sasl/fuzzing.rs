//! The parts of DIGEST-MD5 for `fuzz/`.

use super::layer::{DigestLayer, Keys};
use super::{Layer, SaslError, directives};

const KEY: [u8; 16] = *b"0123456789abcdef";

/// The layers of a client and of its server.
pub fn layers(privacy: bool) -> Result<[Box<dyn Layer>; 2], SaslError> {
    let make = if privacy { DigestLayer::privacy } else { DigestLayer::integrity };
    Ok([Box::new(make(&Keys::new(&KEY))?), Box::new(make(&Keys::of_server(&KEY))?)])
}

/// A list of directives.
pub fn directives(text: &[u8]) -> Option<Vec<(String, String)>> {
    directives::parse(text)
}

/// A directive's value in quotes.
pub fn quote(value: &str) -> String {
    directives::quote(value)
}
