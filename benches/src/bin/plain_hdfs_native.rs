//! The peer for HDFS: `hdfs-native` as its documentation uses it, a file's stream written into a pipe.
//! `plain-hdfs-native URI PATH WORKER ARG...`

use std::fs::File;
use std::io::{self, Write};

use forebay_benches::start_worker;
use futures_util::StreamExt;
use hdfs_native::ClientBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [uri, path, worker @ ..] = args.as_slice() else {
        return Err(io::Error::other("URI PATH WORKER...").into());
    };
    let client = ClientBuilder::new().with_url(uri).build()?;
    let (mut worker, pipe) = start_worker(worker)?;
    let mut pipe = File::from(pipe);
    let reader = client.read(path).await?;
    let mut stream = std::pin::pin!(reader.read_range_stream(0, reader.file_length()));
    while let Some(packet) = stream.next().await {
        pipe.write_all(&packet?)?;
    }
    drop(pipe);
    worker.wait()?;
    Ok(())
}
