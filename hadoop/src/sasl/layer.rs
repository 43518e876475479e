//! DIGEST-MD5's protection of frames: signatures, and encryption with RC4 (RFC 2831, sections 2.3 and 2.4).

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};

use super::{Layer, SaslError};

/// Behind each message: ten bytes of its code, a version of two bytes, a sequence number of four.
const CODE_LEN: usize = 10;
const VERSION: [u8; 2] = [0, 1];
const TAIL_LEN: usize = 6;

/// The keys of both directions.
pub(super) struct Keys {
    sign: [[u8; 16]; 2],
    seal: [[u8; 16]; 2],
}

impl Keys {
    /// Keys from H(A1); both kinds take all 16 bytes of it for RC4 (n = 16).
    pub(super) fn new(session_key: &[u8; 16]) -> Self {
        let derive = |constant: &str| {
            let mut hash = Md5::new();
            hash.update(session_key);
            hash.update(constant);
            hash.finalize().into()
        };
        Self {
            sign: [
                derive("Digest session key to client-to-server signing key magic constant"),
                derive("Digest session key to server-to-client signing key magic constant"),
            ],
            seal: [
                derive("Digest H(A1) to client-to-server sealing key magic constant"),
                derive("Digest H(A1) to server-to-client sealing key magic constant"),
            ],
        }
    }

    /// The same keys as the other side uses them.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of_server(session_key: &[u8; 16]) -> Self {
        let mut keys = Self::new(session_key);
        keys.sign.reverse();
        keys.seal.reverse();
        keys
    }
}

/// One direction of a connection.
struct Direction {
    sign: [u8; 16],
    cipher: Option<Rc4>,
    sequence: u32,
}

impl Direction {
    fn new(sign: [u8; 16], seal: Option<[u8; 16]>) -> Result<Self, SaslError> {
        let cipher = seal.map(|key| Rc4::new_from_slice(&key)).transpose();
        let cipher = cipher.map_err(|_| SaslError::Frame("the key does not fit RC4"))?;
        Ok(Self { sign, cipher, sequence: 0 })
    }

    /// The code of a message under the present sequence number.
    fn code(&self, message: &[u8]) -> Result<[u8; CODE_LEN], SaslError> {
        let mut mac = Hmac::<Md5>::new_from_slice(&self.sign)
            .map_err(|_| SaslError::Frame("the key does not fit HMAC-MD5"))?;
        mac.update(&self.sequence.to_be_bytes());
        mac.update(message);
        let mut code = [0; CODE_LEN];
        code.copy_from_slice(&mac.finalize().into_bytes()[..CODE_LEN]);
        Ok(code)
    }

    fn encrypt(&mut self, bytes: &mut [u8]) {
        if let Some(cipher) = &mut self.cipher {
            cipher.apply_keystream(bytes);
        }
    }
}

/// Signs, and encrypts when it has a cipher. Both directions keep their own count, and RC4 its own stream.
pub(super) struct DigestLayer {
    out: Direction,
    back: Direction,
}

impl DigestLayer {
    /// Signatures alone.
    pub(super) fn integrity(keys: &Keys) -> Result<Self, SaslError> {
        Ok(Self { out: Direction::new(keys.sign[0], None)?, back: Direction::new(keys.sign[1], None)? })
    }

    /// Signatures and RC4.
    pub(super) fn privacy(keys: &Keys) -> Result<Self, SaslError> {
        Ok(Self {
            out: Direction::new(keys.sign[0], Some(keys.seal[0]))?,
            back: Direction::new(keys.sign[1], Some(keys.seal[1]))?,
        })
    }
}

impl Layer for DigestLayer {
    fn wrap(&mut self, plain: &[u8]) -> Result<Vec<u8>, SaslError> {
        let code = self.out.code(plain)?;
        let mut frame = [plain, &code].concat();
        self.out.encrypt(&mut frame);
        frame.extend_from_slice(&VERSION);
        frame.extend_from_slice(&self.out.sequence.to_be_bytes());
        self.out.sequence = self.out.sequence.wrapping_add(1);
        Ok(frame)
    }

    fn unwrap(&mut self, wrapped: &[u8]) -> Result<Bytes, SaslError> {
        let Some((body, tail)) = wrapped.split_last_chunk::<TAIL_LEN>() else {
            return Err(SaslError::Frame("it is too short"));
        };
        if tail[..2] != VERSION || tail[2..] != self.back.sequence.to_be_bytes() {
            return Err(SaslError::Frame("its number is not the next"));
        }
        let mut plain = body.to_vec();
        self.back.encrypt(&mut plain);
        let Some((message, code)) = plain.split_last_chunk::<CODE_LEN>() else {
            return Err(SaslError::Frame("it is too short"));
        };
        if *code != self.back.code(message)? {
            return Err(SaslError::Frame("its signature is wrong"));
        }
        plain.truncate(plain.len() - CODE_LEN);
        self.back.sequence = self.back.sequence.wrapping_add(1);
        Ok(plain.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 16] = *b"0123456789abcdef";

    fn both(make: impl Fn(&Keys) -> Result<DigestLayer, SaslError>) -> (DigestLayer, DigestLayer) {
        (make(&Keys::new(&KEY)).unwrap(), make(&Keys::of_server(&KEY)).unwrap())
    }

    #[test]
    fn frames_pass_in_both_directions() {
        for make in [DigestLayer::integrity, DigestLayer::privacy] {
            let (mut client, mut server) = both(make);
            for message in [&b"first"[..], b"", b"third"] {
                let wrapped = client.wrap(message).unwrap();
                assert_eq!(wrapped.len(), message.len() + 16);
                assert_eq!(server.unwrap(&wrapped).unwrap(), message);
                assert_eq!(client.unwrap(&server.wrap(message).unwrap()).unwrap(), message);
            }
        }
    }

    /// Computed with Python's `hmac` and a plain RC4.
    #[test]
    fn bytes_are_those_of_another_implementation() {
        let hex = |bytes: Vec<u8>| crate::sasl::hex(&bytes);
        let (mut signed, _) = both(DigestLayer::integrity);
        assert_eq!(hex(signed.wrap(b"hello").unwrap()), "68656c6c6f852d2da2299886092d87000100000000");
        let (mut sealed, _) = both(DigestLayer::privacy);
        assert_eq!(hex(sealed.wrap(b"hello").unwrap()), "3c84fcd284cdd61b1a39865064e3ae000100000000");
        assert_eq!(hex(sealed.wrap(b"hello").unwrap()), "1bec48d7c54d92f6638365803958ad000100000001");
    }

    proptest! {
        #[test]
        fn damage_is_an_error(at in 0..20_usize, flip in 1..=255_u8, sealed in any::<bool>()) {
            let (mut client, mut server) = both(if sealed { DigestLayer::privacy } else { DigestLayer::integrity });
            let mut wrapped = client.wrap(b"mess").unwrap();
            wrapped[at] ^= flip;
            prop_assert!(server.unwrap(&wrapped).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (mut client, _) = both(DigestLayer::privacy);
            let _ = client.unwrap(&bytes);
        }
    }
}
