//! Wrong usage: exit 2, and the nearest that would be right.

use super::support::*;

#[track_caller]
fn refused(arguments: &[&str], words: &str) {
    let (code, output, errors) = Program::start(arguments).end();
    assert_code(code, 2, &errors);
    assert!(output.is_empty(), "{output:?}");
    assert_holds(&errors.join("\n"), words);
}

#[test]
fn wrong_words_are_answered_with_the_nearest_right_ones() {
    refused(&["sever"], "a similar subcommand exists: 'server'");
    refused(
        &["server", "--prot", "5"],
        "a similar argument exists: '--port'",
    );
    refused(
        &["client", "--framing", "lines"],
        "a similar value exists: 'line'",
    );
    refused(&[], "Usage: chat <COMMAND>");
}

#[test]
fn ports_that_are_none() {
    refused(
        &["server", "--port", "70000"],
        "ports are 0 to 65535; nearest: 65535",
    );
    refused(
        &["client", "--port", "70000"],
        "ports are 1 to 65535; nearest: 65535",
    );
    refused(
        &["client", "127.0.0.1:70000"],
        "ports are 1 to 65535; nearest: 65535",
    );
    refused(&["client", "--port", "0"], "only chat server can take");
    refused(&["pair", "--port", "0"], "only chat server can take");
    refused(&["server", "--port", "http"], "a port is a number");
    refused(
        &["client", ":7000", "--port", "7001"],
        "two ports, 7000 and 7001",
    );
}

#[test]
fn values_that_make_no_sense() {
    refused(&["pair", "--every", "5"], "which unit? 5s, 5ms or 5m");
    refused(&["pair", "--every=-1s"], "time goes forward");
    refused(&["pair", "--count", "0"], "--count");
    refused(
        &["pair", "--say", ""],
        "an empty message would send nothing",
    );
    refused(
        &["server", "--reply", "two\nlines"],
        "a message is one line",
    );
    refused(&["server", "--max-message", "0"], "at least 1 byte");
    refused(&["server", "--max-clients", "0"], "--max-clients");
    refused(
        &["server", "--unix", "/tmp/x", "--port", "5"],
        "cannot be used with",
    );
    refused(&["client", ""], "no host");
}

#[test]
fn what_cannot_be_meant_with_a_broken_pair() {
    refused(
        &["pair", "--break", "never-closed"],
        "a similar value exists: 'never-close'",
    );
    for fault in ["slow-reader", "no-accept"] {
        let arguments = ["pair", "--break", fault, "--count", "5"];
        refused(
            &arguments,
            &format!("--count means nothing with --break {fault}: "),
        );
    }
    for words in ["--say", "--reply"] {
        let arguments = ["pair", "--break", "reset", words, "hey"];
        refused(&arguments, "cannot be used with");
    }
}

#[test]
fn addresses_that_are_not_ours_are_refused_clearly() {
    let (code, _, errors) = Program::start(&["server", "--bind", "192.0.2.1", "--port", "0"]).end();
    assert_code(code, 1, &errors);
    assert_holds(
        &errors.join("\n"),
        "cannot listen on 192.0.2.1:0: this machine has no such address",
    );
    let (code, _, errors) = Program::start(&["server", "--bind", "no-such-name.invalid"]).end();
    assert_code(code, 1, &errors);
    assert_holds(
        &errors.join("\n"),
        "chat: cannot listen on no-such-name.invalid:2345: ",
    );
}

#[test]
fn names_full_of_escape_codes_are_inert() {
    for arguments in [
        &["client", "--unix", "/tmp/\x1b[31mred"][..],
        &["server", "--unix", "/nowhere/\x1b[31mred"],
        &["client", "\x1b[31mred"],
        &["\x1b]0;title\x07"],
        &["pair", "--port", "\u{9b}31m"],
    ] {
        let (code, output, errors) = Program::start(arguments).end();
        assert_ne!(code, Some(0));
        for line in output.iter().chain(&errors) {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn help_and_version_are_for_reading() {
    for arguments in [
        &["--help"][..],
        &["server", "--help"],
        &["client", "-h"],
        &["pair", "--help"],
        &["--version"],
    ] {
        let (code, output, errors) = Program::start(arguments).end();
        assert_code(code, 0, &errors);
        assert!(!output.is_empty() && errors.is_empty());
        assert!(
            output.iter().all(|line| line.chars().count() <= 80),
            "{output:#?}"
        );
    }
}
