//! Prints where a file's blocks lie: `cargo run -p forebay-hadoop --example locations -- PATH [AUTHORITY]`, with
//! `HADOOP_CONF_DIR` set where the authority is a nameservice.
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::error::Error;

use forebay_hadoop::{Configuration, NameNode};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: locations PATH [AUTHORITY]")?;
    let authority = args.next().unwrap_or_default();
    let namenode = NameNode::connect(&Configuration::load()?, &authority)?;
    let found = namenode.block_locations(&path, 0, i64::MAX.cast_unsigned()).await?;
    println!("{path}: {} bytes", found.file_len);
    for block in &found.blocks {
        let replicas = block
            .replicas
            .iter()
            .map(|replica| format!("{}:{} {:?}", replica.hostname, replica.xfer_port, replica.storage_type));
        let replicas = replicas.collect::<Vec<_>>().join(", ");
        println!("{:>15} {:>12} {} on {replicas}", block.offset, block.block.len, block.block);
    }
    Ok(())
}
