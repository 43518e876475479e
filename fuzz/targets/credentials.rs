//! Token files. What can be read can be written in both versions, and is then read as the same.
#![no_main]

use bytes::Bytes;
use forebay_hadoop::Credentials;
use forebay_hadoop::credentials::FileVersion;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(credentials) = Credentials::decode(Bytes::copy_from_slice(bytes)) else { return };
    for version in [FileVersion::Writable, FileVersion::Protobuf] {
        let again = Credentials::decode(credentials.encode(version).into()).expect("what we write we read");
        assert_eq!(again, credentials);
    }
});
