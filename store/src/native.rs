//! What `hdfs-native` says: for people, and whether to ask again.

use hdfs_native::HdfsError as NativeError;

/// Exceptions of servers after which the same call may succeed a little later.
const PASSING: [&str; 7] = [
    "StandbyException",
    "RetriableException",
    "SafeModeException",
    "ObserverRetryOnActiveException",
    // A block was asked for before the one before last was reported; a lease is being taken from a dead writer.
    "NotReplicatedYetException",
    "RecoveryInProgressException",
    // A writer that was silent for too long. It begins anew.
    "LeaseExpiredException",
];

/// What a NameNode says, in an `IOException` like many others, when no DataNode can take a block
/// (`BlockManager.chooseTarget4NewBlock`). They may be starting.
const NO_TARGETS: &str = "could only be written to";

/// Whether the same call may succeed a little later.
pub fn may_pass(error: &NativeError) -> bool {
    match error {
        NativeError::IOError(_)
        | NativeError::DataTransferError(_)
        | NativeError::ChecksumError
        | NativeError::BlocksNotFound(_)
        | NativeError::OperationFailed(_)
        | NativeError::ErasureCodingError(_) => true,
        NativeError::RPCError(class, message) | NativeError::FatalRPCError(class, message) => {
            PASSING.iter().any(|passing| class.ends_with(passing)) || message.contains(NO_TARGETS)
        }
        _ => false,
    }
}

/// A server's message without its Java stack trace.
pub fn server_message(error: &NativeError) -> String {
    let text = error.to_string();
    text.split("\n\tat ").next().unwrap_or(&text).trim_end().to_owned()
}
