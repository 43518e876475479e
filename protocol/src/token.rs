//! The secret of a job.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use zeroize::Zeroize;

const KEY: &str = "authorization";

/// A job's token: 64 hexadecimal digits. It is shown nowhere, not even by `Debug`, and wiped from memory with the value.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The token of these random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(
            random
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|n| char::from(b"0123456789abcdef"[usize::from(n)]))
                .collect(),
        )
    }

    /// Whether a call carries this token. Takes the same time whatever the call carries.
    pub fn is_in(&self, metadata: &MetadataMap) -> bool {
        metadata.get(KEY).is_some_and(|value| value.as_bytes().ct_eq(self.header().as_bytes()).into())
    }

    /// Makes a call carry this token.
    pub(crate) fn put_into(&self, metadata: &mut MetadataMap) {
        if let Ok(mut value) = MetadataValue::<Ascii>::try_from(self.header()) {
            value.set_sensitive(true);
            metadata.insert(KEY, value);
        }
    }

    fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Token {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_passes() {
        let (token, other) = (Token::new([7; 32]), Token::new([8; 32]));
        let mut metadata = MetadataMap::new();
        assert!(!token.is_in(&metadata));
        token.put_into(&mut metadata);
        assert!(token.is_in(&metadata));
        assert!(!other.is_in(&metadata));
        assert_eq!(format!("{token:?} {metadata:?}").matches("0707").count(), 0);
    }
}
