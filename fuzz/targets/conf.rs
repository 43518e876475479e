//! A site file's text, and every way to read a value of it.
#![no_main]

use forebay_hadoop::conf::{Address, Unit, keys};
use forebay_hadoop::fuzzing::configuration;
use forebay_shortcircuit::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = Address::parse(text, 8020) {
        assert_eq!(Address::parse(&address.to_string(), 1).as_ref(), Ok(&address));
    }
    let Ok(conf) = configuration(text) else { return };
    for name in keys::ALL.iter().map(|key| key.name).chain(["a", "b"]) {
        if let Ok(Some(value)) = conf.get(name) {
            // At most 20 variables are replaced, each by no more than the whole file.
            assert!(value.len() <= 21 * text.len().max(1024) * 16, "{} bytes of {}", value.len(), text.len());
        }
        let _ = (conf.trimmed(name), conf.list(name), conf.flag(name), conf.integer(name), conf.count(name));
        let _ =
            (conf.duration(name, Unit::Seconds), conf.duration(name, Unit::Milliseconds), conf.bytes(name));
    }
    let _ = (conf.default_authority(), conf.nameservice(""), conf.nameservice("a"), conf.nameservice("b:1"));
    let _ = Settings::from_conf(&conf);
});
