//! Delegation tokens with a real NameNode: got, used to log in, renewed, cancelled; and their files read by Java.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{blocking, conf_of, namenode};
use forebay_fixtures::{Hdfs, HdfsOptions};
use forebay_hadoop::credentials::{FileVersion, HDFS_DELEGATION_TOKEN};
use forebay_hadoop::ipc::{Failure, IpcError, Login, Reason};
use forebay_hadoop::namenode::Error;
use forebay_hadoop::sasl::SaslError;
use forebay_hadoop::{Configuration, Credentials, NameNode, Token};

/// A cluster without Kerberos whose NameNode gives out tokens nevertheless.
fn cluster(protection: &str) -> Hdfs {
    let hdfs = Hdfs::start(&HdfsOptions {
        hdfs_properties: vec![("dfs.namenode.delegation.token.always-use".into(), "true".into())],
        core_properties: vec![("hadoop.rpc.protection".into(), protection.into())],
        ..HdfsOptions::default()
    })
    .unwrap();
    hdfs.write("/secret/file", &b"x"[..], None).unwrap();
    let native = hdfs_native::ClientBuilder::new().with_url(hdfs.uri()).build().unwrap();
    blocking(native.set_permission("/secret", 0o700)).unwrap();
    hdfs
}

fn user(conf: &Configuration) -> String {
    Login::from_conf(conf).unwrap().user().to_owned()
}

/// A client that says it is a stranger: what it may do, it may by its token.
fn with_token(conf: &Configuration, token: &Token) -> NameNode {
    let mut credentials = Credentials::new();
    credentials.add_token("t", token.clone());
    let login = Login::from_conf(conf).unwrap().as_user("stranger").with_credentials(credentials);
    NameNode::connect_as(conf, "", login).unwrap()
}

#[test]
fn a_tokens_whole_life() {
    let hdfs = cluster("authentication");
    let conf = conf_of(&hdfs);
    blocking(async {
        let owner = namenode(&hdfs);
        let token = owner.delegation_token(&user(&conf)).await.unwrap();
        assert_eq!(token.kind, HDFS_DELEGATION_TOKEN);
        assert_eq!(format!("hdfs://{}", token.service), hdfs.uri());

        let holder = with_token(&conf, &token);
        let seen = holder.block_locations("/secret/file", 0, 1).await.unwrap();
        assert_eq!(seen.blocks.len(), 1);

        let end = owner.renew_delegation_token(&token).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(Duration::from_millis(end) > now + Duration::from_hours(1), "{end}");

        let forged =
            Token::new(token.identifier.clone(), &b"guess"[..], HDFS_DELEGATION_TOKEN, token.service.clone());
        let error = with_token(&conf, &forged).file_info("/").await.unwrap_err();
        assert!(error.to_string().contains("SaslException"), "{error}");
        assert!(!error.is_access_denied());

        owner.cancel_delegation_token(&token).await.unwrap();
        // Who is in stays in; nobody else gets in.
        assert!(holder.file_info("/secret/file").await.unwrap().is_some());
        let error = with_token(&conf, &token).file_info("/secret/file").await.unwrap_err();
        assert!(error.remote().unwrap().is_invalid_token(), "{error}");
        let Error::Ipc(IpcError::GaveUp { reason: Reason::Hopeless, tried, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!(tried[0].attempts, 1, "asked once, not until the deadline");
        let again = owner.renew_delegation_token(&token).await.unwrap_err();
        assert!(again.remote().unwrap().is_invalid_token(), "{again}");
    });
}

#[test]
fn without_security_there_is_no_token() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    blocking(async {
        let error = namenode(&hdfs).delegation_token("root").await.unwrap_err();
        assert!(matches!(error, Error::NoToken { .. }), "{error}");
        // A login by a token of another cluster fails by name.
        let conf = conf_of(&hdfs);
        let service = hdfs.uri().strip_prefix("hdfs://").unwrap().to_owned();
        let token = Token::new(&b"garbage"[..], &b"pw"[..], HDFS_DELEGATION_TOKEN, service);
        let error = with_token(&conf, &token).file_info("/").await.unwrap_err();
        assert!(error.to_string().contains("refused") || error.to_string().contains("closed"), "{error}");
    });
}

#[test]
fn a_secure_client_does_not_talk_to_a_server_that_proves_nothing() {
    let hdfs = Hdfs::start(&HdfsOptions::default()).unwrap();
    blocking(async {
        let mut conf = conf_of(&hdfs);
        conf.set("hadoop.security.authentication", "kerberos");
        let error = NameNode::connect(&conf, "").unwrap().file_info("/").await.unwrap_err();
        let Error::Ipc(ipc) = &error else { panic!("{error}") };
        assert!(matches!(&ipc.tried()[0].last, Failure::Login(SaslError::NoCommonMethod { .. })), "{error}");
        conf.set("ipc.client.fallback-to-simple-auth-allowed", "true");
        assert!(NameNode::connect(&conf, "").unwrap().file_info("/").await.unwrap().is_some());
    });
}

/// Integrity or privacy: many calls in flight, answers of all sizes, and a client that wants less.
fn protected(protection: &str, qop: &str) {
    let hdfs = cluster(protection);
    let conf = conf_of(&hdfs);
    for i in 0..40 {
        hdfs.mkdirs(&format!("/many/{}{i}", "long-name-".repeat(20))).unwrap();
    }
    blocking(async {
        let token = namenode(&hdfs).delegation_token("x").await.unwrap();
        let client = with_token(&conf, &token);
        let calls: Vec<_> = (0..100)
            .map(|i| {
                let client = client.clone();
                tokio::spawn(async move {
                    if i % 10 == 0 {
                        assert_eq!(client.list("/many").await.unwrap().unwrap().len(), 40);
                    }
                    client.block_locations("/secret/file", 0, 1).await.unwrap().blocks.len()
                })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), 1);
        }
        let mut bare = conf.clone();
        bare.set("hadoop.rpc.protection", "authentication");
        let error = with_token(&bare, &token).file_info("/").await.unwrap_err();
        assert!(error.to_string().contains(&format!("the server wants qop {qop}")), "{error}");
        let mut any = conf.clone();
        any.set("hadoop.rpc.protection", "authentication, privacy,integrity");
        assert!(with_token(&any, &token).file_info("/secret/file").await.unwrap().is_some());
    });
}

#[test]
fn frames_signed_after_a_login_by_token() {
    protected("integrity", "auth-int");
}

#[test]
fn frames_encrypted_after_a_login_by_token() {
    protected("privacy", "auth-conf");
}

#[test]
fn token_files_pass_between_java_and_us() {
    let hdfs = cluster("authentication");
    let conf = conf_of(&hdfs);
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours");
    let token = blocking(namenode(&hdfs).delegation_token(&user(&conf))).unwrap();
    let mut credentials = Credentials::new();
    credentials.add_token(token.service.clone(), token.clone());
    credentials.add_secret("a secret", &b"shh"[..]);
    for version in [FileVersion::Writable, FileVersion::Protobuf] {
        credentials.write_file(&ours, version).unwrap();
        let listed = java(&hdfs, "org.apache.hadoop.fs.FsShell", &["-ls", "/secret"], Some(&ours));
        assert!(listed.contains("/secret/file"), "{listed}");
    }

    let theirs = folder.path().join("theirs");
    let path = theirs.to_str().unwrap();
    java(&hdfs, "org.apache.hadoop.hdfs.tools.DelegationTokenFetcher", &["--renewer", "x", path], None);
    let mut conf_with_file = std::collections::HashMap::new();
    conf_with_file.insert("HADOOP_TOKEN_FILE_LOCATION", path.to_owned());
    conf_with_file.insert("HADOOP_CONF_DIR", hdfs.conf_dir().display().to_string());
    conf_with_file.insert("HADOOP_USER_NAME", "stranger".to_owned());
    let mut conf = Configuration::with_environment(move |name| conf_with_file.get(name).cloned());
    conf.add_file(&hdfs.conf_dir().join("core-site.xml")).unwrap();
    let found = Credentials::load(&conf).unwrap();
    let (alias, token) = found.tokens().next().unwrap();
    assert_eq!((alias, token.kind.as_str()), (token.service.as_str(), HDFS_DELEGATION_TOKEN));
    let client = NameNode::connect(&conf, "").unwrap();
    assert!(blocking(client.file_info("/secret/file")).unwrap().is_some());
}

/// Runs one of Hadoop's own tools, as a stranger when it has a token file.
fn java(hdfs: &Hdfs, class: &str, args: &[&str], tokens: Option<&Path>) -> String {
    let mut command = hdfs.java(class, args);
    if let Some(tokens) = tokens {
        command.env("HADOOP_TOKEN_FILE_LOCATION", tokens).env("HADOOP_USER_NAME", "stranger");
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
