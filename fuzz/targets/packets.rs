//! What a DataNode sends when it is asked for a part of a block, its answer first. The first bytes: where the part begins and
//! ends, and by which way it is read.
#![no_main]

use std::cell::RefCell;

use forebay_remote::fuzzing::{Way, read};
use forebay_shortcircuit::Pipes;
use libfuzzer_sys::fuzz_target;

thread_local!(static PIPES: RefCell<Pipes> = RefCell::new(Pipes::new().expect("two pipes")));

fuzz_target!(|bytes: &[u8]| {
    let Some((&[start, len, way], rest)) = bytes.split_first_chunk() else { return };
    let range = u64::from(start) * 7..u64::from(start) * 7 + u64::from(len) + 1;
    let wanted = range.end - range.start;
    let (came, all) = PIPES.with_borrow_mut(|pipes| {
        let way = match way % 3 {
            0 => Way::Memory,
            1 => Way::Pipes(pipes),
            _ => Way::Bare,
        };
        read(rest, range, way).expect("sockets, pipes, and no wait for what cannot come")
    });
    assert!(came <= wanted, "{came} bytes of {wanted}");
    assert!(!all || came == wanted, "the end came with {came} bytes of {wanted}");
});
