//! DIGEST-MD5 (RFC 2831), with which Hadoop proves that both sides know a token's password.
//!
//! Hadoop's particulars: user name and password are the token's identifier and password in base64, the realm is
//! `default`, the service `/default`. MD5 is all that Hadoop's tokens know; it is not a choice made here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::directives::{parse, quote};
use super::layer::{DigestLayer, Keys};
use super::{Authenticator, Layer, Mechanism, Offer, Protection, SaslError, hex, random};
use crate::credentials::Token;

const METHOD: &str = "TOKEN";
const MECHANISM: &str = "DIGEST-MD5";
/// What 3DES and DES add to integrity is not worth carrying: RC4 is offered by every Hadoop (on Java's own provider).
const CIPHER: &str = "rc4";
/// How long a protected frame of the server's may be; Java's default.
const MAX_BUFFER: u32 = 65536;

/// Logs in with one token.
#[derive(Debug, Clone)]
pub struct TokenAuthenticator {
    token: Token,
}

impl TokenAuthenticator {
    /// An authenticator for servers that know this token.
    pub fn new(token: Token) -> Self {
        Self { token }
    }
}

impl Authenticator for TokenAuthenticator {
    fn takes(&self, offer: &Offer) -> bool {
        offer.method == METHOD && offer.mechanism == MECHANISM
    }

    fn start(&self, offer: &Offer, wanted: &[Protection]) -> Result<Box<dyn Mechanism>, SaslError> {
        let cnonce = STANDARD.encode(random::<24>()?);
        Ok(Box::new(DigestMd5 {
            username: STANDARD.encode(&self.token.identifier),
            password: STANDARD.encode(self.token.password.expose()),
            digest_uri: format!("{}/{}", offer.protocol, offer.server_id),
            wanted: wanted.to_vec(),
            cnonce,
            agreed: None,
            proven: false,
        }))
    }
}

/// The client's side of one login.
struct DigestMd5 {
    username: String,
    password: String,
    digest_uri: String,
    wanted: Vec<Protection>,
    cnonce: String,
    agreed: Option<Agreed>,
    proven: bool,
}

/// What the first answer has settled.
struct Agreed {
    protection: Protection,
    session_key: [u8; 16],
    server_proof: String,
}

impl DigestMd5 {
    fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let challenge = Challenge::parse(challenge)?;
        let protection = challenge.choose(&self.wanted)?;
        let qop = protection.qop();
        let session_key =
            session_key([&self.username, &challenge.realm, &self.password], &challenge.nonce, &self.cnonce);
        let proof = |prefix: &str| {
            response_value(
                &session_key,
                [&challenge.nonce, &self.cnonce, qop],
                &format!("{prefix}:{}", self.digest_uri),
            )
        };
        let mut text = format!(
            "charset=utf-8,username={},realm={},nonce={},nc=00000001,cnonce={},digest-uri={},maxbuf={MAX_BUFFER},response={},qop={qop}",
            quote(&self.username),
            quote(&challenge.realm),
            quote(&challenge.nonce),
            quote(&self.cnonce),
            quote(&self.digest_uri),
            proof("AUTHENTICATE"),
        );
        if protection == Protection::Privacy {
            text.push_str(",cipher=");
            text.push_str(&quote(CIPHER));
        }
        self.agreed = Some(Agreed { protection, session_key, server_proof: proof("") });
        Ok(text.into_bytes())
    }

    fn check_server(&mut self, message: &[u8]) -> Result<(), SaslError> {
        let found = parse(message).ok_or(wrong("it is no list of directives"))?;
        let given = found.iter().find(|(name, _)| name == "rspauth").map(|(_, value)| value);
        let wanted = self.agreed.as_ref().map(|agreed| &agreed.server_proof);
        self.proven = given.is_some() && given == wanted;
        if self.proven { Ok(()) } else { Err(SaslError::ServerNotProven) }
    }
}

impl Mechanism for DigestMd5 {
    fn initiate(&mut self, challenge: Option<&[u8]>) -> Result<Vec<u8>, SaslError> {
        // Without a challenge the server is asked for one by an empty message.
        challenge.map_or_else(|| Ok(Vec::new()), |challenge| self.answer(challenge))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        if self.agreed.is_none() {
            return self.answer(challenge);
        }
        self.check_server(challenge).map(|()| Vec::new())
    }

    fn finish(mut self: Box<Self>, token: Option<&[u8]>) -> Result<Option<Box<dyn Layer>>, SaslError> {
        match token {
            Some(token) => self.check_server(token)?,
            None if self.proven => {}
            None => return Err(SaslError::ServerNotProven),
        }
        let Some(agreed) = self.agreed else { return Err(SaslError::ServerNotProven) };
        let keys = Keys::new(&agreed.session_key);
        Ok(match agreed.protection {
            Protection::Authentication => None,
            Protection::Integrity => Some(Box::new(DigestLayer::integrity(&keys)?)),
            Protection::Privacy => Some(Box::new(DigestLayer::privacy(&keys)?)),
        })
    }
}

/// What matters of a server's challenge.
struct Challenge {
    realm: String,
    nonce: String,
    qop: String,
    cipher: String,
}

impl Challenge {
    fn parse(text: &[u8]) -> Result<Self, SaslError> {
        let found = parse(text).ok_or(wrong("it is no list of directives"))?;
        let get =
            |wanted: &str| found.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        if found.iter().filter(|(name, _)| name == "nonce").count() > 1 {
            return Err(wrong("it has several nonces"));
        }
        if get("algorithm").is_none_or(|algorithm| algorithm != "md5-sess") {
            return Err(wrong("its algorithm is not md5-sess"));
        }
        Ok(Self {
            realm: get("realm").unwrap_or_default(),
            nonce: get("nonce").filter(|nonce| !nonce.is_empty()).ok_or(wrong("it has no nonce"))?,
            // RFC 2831: without a list the server means authentication alone.
            qop: get("qop").unwrap_or_else(|| "auth".to_owned()),
            cipher: get("cipher").unwrap_or_default(),
        })
    }

    /// The first wanted protection that the server offers.
    fn choose(&self, wanted: &[Protection]) -> Result<Protection, SaslError> {
        let has = |list: &str, item: &str| list.split(',').any(|offered| offered.trim() == item);
        let common = wanted.iter().copied().find(|protection| has(&self.qop, protection.qop()));
        match common {
            Some(Protection::Privacy) if !has(&self.cipher, CIPHER) => {
                Err(SaslError::Cipher { offered: self.cipher.clone() })
            }
            Some(protection) => Ok(protection),
            None => Err(SaslError::Protection { offered: self.qop.clone(), wanted: wanted.to_vec() }),
        }
    }
}

fn wrong(why: &'static str) -> SaslError {
    SaslError::Challenge { mechanism: MECHANISM, why }
}

/// H(A1) of RFC 2831, section 2.1.2.1, without an authorization id.
fn session_key([username, realm, password]: [&str; 3], nonce: &str, cnonce: &str) -> [u8; 16] {
    let secret = Md5::digest(format!("{username}:{realm}:{password}"));
    let mut hash = Md5::new();
    hash.update(secret);
    hash.update(format!(":{nonce}:{cnonce}"));
    hash.finalize().into()
}

/// The response value of the same section; `a2` is `AUTHENTICATE:uri` for the client's, `:uri` for the server's.
fn response_value(session_key: &[u8; 16], [nonce, cnonce, qop]: [&str; 3], a2: &str) -> String {
    let body = if qop == "auth" { "" } else { ":00000000000000000000000000000000" };
    let a2 = hex(&Md5::digest(format!("{a2}{body}")));
    hex(&Md5::digest(format!("{}:{nonce}:00000001:{cnonce}:{qop}:{a2}", hex(session_key))))
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
