//! Who somebody is on the channel: a certificate of the job's own authority, and its key.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// A certificate and its key. Debug shows nothing of it; the key is wiped from memory with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The certificate of the job's authority, which all others are checked against (PEM).
    pub ca: String,
    /// The certificate (PEM).
    pub cert: String,
    /// The certificate's key (PEM, PKCS #8).
    pub key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}
