//! `RpcHeader.proto`, `ProtobufRpcEngine2.proto` and `IpcConnectionContext.proto`: what frames calls. Fields that this
//! crate neither sends nor reads are left out; they are skipped when they come.

use bytes::Bytes;

/// `RPC_PROTOCOL_BUFFER` of `RpcKindProto`.
pub(super) const RPC_KIND: i32 = 2;
/// `RPC_FINAL_PACKET` of `RpcRequestHeaderProto.OperationProto`.
pub(super) const RPC_OPERATION: i32 = 0;
/// `RpcResponseHeaderProto.RpcStatusProto`.
pub(super) const STATUS_SUCCESS: i32 = 0;
pub(super) const STATUS_ERROR: i32 = 1;
pub(super) const STATUS_FATAL: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcRequestHeaderProto {
    #[prost(int32, optional, tag = "1")]
    pub(super) rpc_kind: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) rpc_op: Option<i32>,
    #[prost(sint32, required, tag = "3")]
    pub(super) call_id: i32,
    #[prost(bytes = "bytes", required, tag = "4")]
    pub(super) client_id: Bytes,
    #[prost(sint32, optional, tag = "5")]
    pub(super) retry_count: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RequestHeaderProto {
    #[prost(string, required, tag = "1")]
    pub(super) method_name: String,
    #[prost(string, required, tag = "2")]
    pub(super) declaring_class_protocol_name: String,
    #[prost(uint64, required, tag = "3")]
    pub(super) client_protocol_version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcResponseHeaderProto {
    #[prost(uint32, required, tag = "1")]
    pub(super) call_id: u32,
    #[prost(int32, required, tag = "2")]
    pub(super) status: i32,
    #[prost(string, optional, tag = "4")]
    pub(super) exception_class_name: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(super) error_msg: Option<String>,
    #[prost(int32, optional, tag = "6")]
    pub(super) error_detail: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UserInformationProto {
    #[prost(string, optional, tag = "1")]
    pub(super) effective_user: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) real_user: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IpcConnectionContextProto {
    #[prost(message, optional, tag = "2")]
    pub(super) user_info: Option<UserInformationProto>,
    #[prost(string, optional, tag = "3")]
    pub(super) protocol: Option<String>,
}

/// `RpcSaslProto.SaslState`.
pub(super) mod sasl_state {
    pub(in crate::ipc) const SUCCESS: i32 = 0;
    pub(in crate::ipc) const NEGOTIATE: i32 = 1;
    pub(in crate::ipc) const INITIATE: i32 = 2;
    pub(in crate::ipc) const CHALLENGE: i32 = 3;
    pub(in crate::ipc) const RESPONSE: i32 = 4;
    pub(in crate::ipc) const WRAP: i32 = 5;
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcSaslProto {
    #[prost(int32, required, tag = "2")]
    pub(super) state: i32,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) token: Option<Bytes>,
    #[prost(message, repeated, tag = "4")]
    pub(super) auths: Vec<SaslAuthProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SaslAuthProto {
    #[prost(string, required, tag = "1")]
    pub(super) method: String,
    #[prost(string, required, tag = "2")]
    pub(super) mechanism: String,
    #[prost(string, optional, tag = "3")]
    pub(super) protocol: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) server_id: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    pub(super) challenge: Option<Bytes>,
}
