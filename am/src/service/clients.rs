//! What clients of the job's owner call.

use forebay_protocol::v1;
use forebay_protocol::v1::job_client_server::JobClient;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::{Call, Service};
use crate::relay::LogRelay;

pub(super) struct Clients {
    pub(super) service: Service,
    pub(super) logs: LogRelay,
}

#[tonic::async_trait]
impl JobClient for Clients {
    async fn state(&self, _: Request<v1::StateRequest>) -> Result<Response<v1::StateReply>, Status> {
        self.service.ask(Call::State).await
    }

    async fn kill(&self, r: Request<v1::KillRequest>) -> Result<Response<v1::KillReply>, Status> {
        self.service.ask(|answer| Call::Kill(r.into_inner(), answer)).await
    }

    type LogsStream = BoxStream<v1::LogsReply>;

    async fn logs(&self, r: Request<v1::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        Ok(Response::new(Box::pin(self.logs.read(r.into_inner())?)))
    }
}
