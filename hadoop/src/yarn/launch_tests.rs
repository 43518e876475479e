//! What a launch context says to a NodeManager.

use bytes::Bytes;

use super::*;
use crate::credentials::Token;

fn context() -> ContainerLaunchContext {
    ContainerLaunchContext::new(Command::new("./forebay").arg("it's $HOME").arg_shell("$PWD/x"))
}

fn file() -> LocalResource {
    LocalResource::hdfs("ns", "/a", 1, 2).unwrap()
}

#[test]
fn commands_pass_both_shells() {
    let command = Command::new("a b").arg("it's").arg_shell("$PWD/x").output_to("stdout", "stderr");
    let wire = command.to_wire().unwrap();
    let wanted = concat!(
        "exec 1>\\\"<LOG_DIR>/stdout\\\"\n",
        "exec 2>\\\"<LOG_DIR>/stderr\\\"\n",
        r#"exec 'a b' 'it'\\''s' \"\$PWD/x\""#
    );
    assert_eq!(wire, wanted);
    for name in ["", "../x", "a/b", "a b", "$x"] {
        assert!(Command::new("x").output_to(name, "e").to_wire().is_err(), "{name}");
    }
    assert!(Command::script("a\0b").to_wire().is_err());
}

#[test]
fn an_environment_has_each_name_once() {
    let wire = context().env_literal("A", "1").env_shell("B", "$A").env_literal("A", "$").to_wire().unwrap();
    let entries: Vec<_> =
        wire.environment.iter().map(|e| (e.key.as_deref().unwrap(), e.value.as_deref().unwrap())).collect();
    assert_eq!(entries, [("B", "$A"), ("A", "\\$")]);
    let error = context().env_literal("A B", "hush").to_wire().unwrap_err().to_string();
    assert!(error.starts_with("the environment variable \"A B\" cannot be sent") && !error.contains("hush"));
}

#[test]
fn files_have_names_that_lead_nowhere_else() {
    let with = |link: &str| context().resource(link, file()).to_wire();
    for link in ["a", "lib/x.so", "my file", "it's", "ä/ö"] {
        assert!(with(link).is_ok(), "{link}");
    }
    for link in [
        "", "/a", "a/", "../a", "a/../b", "./a", "a\"b", "$a", "a`b", "a\\b", "a:b", "a\nb", "a b/c",
        "a/$(x)",
    ] {
        assert!(with(link).is_err(), "{link}");
    }
    let twice = context().resource("a", file()).resource("a", file());
    assert!(twice.to_wire().unwrap_err().to_string().contains("two files have this name"));
}

#[test]
fn a_nameservice_has_no_port() {
    let url = |authority: &str| {
        let url = LocalResource::hdfs(authority, "/a", 1, 2).unwrap().to_wire().resource.unwrap();
        (url.host.unwrap(), url.port.unwrap())
    };
    assert_eq!(url("ns"), ("ns".to_owned(), -1));
    assert_eq!(url("nn:8020"), ("nn".to_owned(), 8020));
    assert!(LocalResource::hdfs("", "/a", 1, 2).is_err());
}

#[test]
fn tokens_are_left_out_or_a_whole_blob_and_never_shown() {
    assert_eq!(context().to_wire().unwrap().tokens, None);
    let mut credentials = Credentials::new();
    credentials.add_secret("key", Bytes::from_static(b"hush-hush"));
    credentials.add_token("t", Token::new("id", "hush-hush", "K", "s"));
    let context = context().credentials(credentials.clone()).env_literal("PASSWORD", "hush-hush");
    let wire = context.to_wire().unwrap();
    assert_eq!(Credentials::decode(wire.tokens.clone().unwrap()).unwrap(), credentials);
    let shown = format!("{context:?} {wire:?}");
    assert!(!shown.contains("hush") && !shown.contains("104, 117"), "{shown}");
    assert!(shown.contains("PASSWORD"));
}

#[test]
fn access_lists_as_hadoop_reads_them() {
    let list = |users: &[&str], groups: &[&str], everybody| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        AccessList { users: own(users), groups: own(groups), everybody }.to_wire()
    };
    assert_eq!(list(&["a", "b"], &["g"], false).unwrap(), "a,b g");
    assert_eq!(list(&[], &[], false).unwrap(), " ");
    assert_eq!(list(&[], &[], true).unwrap(), "*");
    for wrong in ["", "a b", "a,b", "*"] {
        assert!(list(&[wrong], &[], false).is_err());
    }
}
