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

/// An error without Java stack traces and dumps of structures.
pub fn server_message(error: &NativeError) -> String {
    let text = error.to_string();
    if let Some((_, datanodes)) = text.split_once("All DataNodes failed: ") {
        return datanodes_failed(datanodes);
    }
    text.split("\n\tat ").next().unwrap_or(&text).trim_end().to_owned()
}

/// Of a dump of all DataNodes that have a block: their addresses.
fn datanodes_failed(dump: &str) -> String {
    let address = |part: &str| {
        let ip = part.split('"').next()?;
        let port = part.split_once("xfer_port: ")?.1;
        let port = port.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(format!("{ip}:{port}"))
    };
    let addresses: Vec<String> = dump.split("ip_addr: \"").skip(1).filter_map(address).collect();
    if addresses.is_empty() {
        return "the NameNode knows no living DataNode that has the block".to_owned();
    }
    format!("no DataNode gave the block ({})", addresses.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datanodes_are_named_by_their_addresses() {
        let dump = r#"All DataNodes failed: [DatanodeInfoProto { id: DatanodeIdProto { ip_addr: "10.0.0.1", host_name: "a", datanode_uuid: "u", xfer_port: 9866, info_port: 9864 } }, DatanodeInfoProto { id: DatanodeIdProto { ip_addr: "10.0.0.2", xfer_port: 1 } }]"#;
        let said = server_message(&NativeError::DataTransferError(dump.to_owned()));
        assert_eq!(said, "no DataNode gave the block (10.0.0.1:9866, 10.0.0.2:1)");
        let said = server_message(&NativeError::DataTransferError("All DataNodes failed: []".to_owned()));
        assert_eq!(said, "the NameNode knows no living DataNode that has the block");
    }

    #[test]
    fn java_stacks_are_cut_off() {
        let text = "Permission denied\n\tat org.apache.hadoop.A.b(A.java:1)";
        let said = server_message(&NativeError::OperationFailed(text.to_owned()));
        assert!(said.ends_with("Permission denied"), "{said}");
    }
}
