//! A DataNode's answers over its domain socket. The first bytes: how long the reply is, the byte with the descriptors, how
//! many there are and which; then the reply, and the meta file.
#![no_main]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use forebay_shortcircuit::fuzzing::{descriptors, replies};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};

/// Two files of this process in memory, and the same opened for reading only.
struct Files {
    written: [File; 2],
    read: [File; 2],
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let written =
        ["block", "meta"].map(|name| File::from(memfd_create(name, MemfdFlags::CLOEXEC).expect("a file")));
    let read = written.each_ref().map(|file| {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        OpenOptions::new().read(true).open(path).expect("it opens once more")
    });
    Files { written, read }
});

fuzz_target!(|bytes: &[u8]| {
    replies(bytes).expect("a socket pair");
    let Some((&[reply, byte, which, len], rest)) = bytes.split_first_chunk() else { return };
    let (reply, meta) = rest.split_at(usize::from(reply).min(rest.len()));
    let Files { written, read } = &*FILES;
    for (file, content) in written.iter().zip([&[7; 100][..], meta]) {
        file.set_len(0).expect("a file in memory can be cut");
        file.write_all_at(content, 0).expect("a file in memory can be written");
    }
    let choice = [&read[0], &read[1], &written[0], &written[1]];
    let files: Vec<&File> =
        (0..usize::from(which >> 4)).map(|i| choice[usize::from(which >> (2 * (i & 1))) & 3]).collect();
    let given = descriptors(reply, byte, &files, len.into()).expect("a socket pair");
    if given.is_ok() {
        assert!(
            files.len() == 2 && files.iter().all(|file| read.iter().any(|read| std::ptr::eq(*file, read)))
        );
        assert!(byte <= 1, "{byte} is neither with nor without receipt");
    }
});
