//! What is refused: where, and in which words.

use proptest::prelude::*;

use super::super::{parse, parse_for_unix};
use super::{Machine, selection};

/// The message, and the piece of the text that it is about.
fn refused(text: &str) -> (String, String) {
    let error = parse(text, &Machine).unwrap_err();
    assert_eq!(error.text, text);
    let piece = text.get(error.at.clone()).unwrap().to_owned();
    assert!(error.at.start <= text.len());
    (error.to_string(), piece)
}

#[test]
fn the_place_and_the_way_out_are_told() {
    for (text, piece, message) in [
        (
            "sprot = :2345",
            "sprot",
            "unknown word \"sprot\": did you mean sport?",
        ),
        (
            "pid 1 and Dsport = :1",
            "Dsport",
            "unknown word \"Dsport\": did you mean dport?",
        ),
        ("frobnicate", "frobnicate", "unknown word \"frobnicate\""),
        (
            "\"sport\" = :1",
            "\"sport\"",
            "expected a test, such as sport = :80, dst 10.0.0.0/8 or state established, found \"\\\"sport\\\"\"",
        ),
        ("2345", "2345", "a port is written :2345"),
        ("state established 2345", "2345", "a port is written :2345"),
        (
            "10.0.0.1",
            "10.0.0.1",
            "an address follows src, dst or host",
        ),
        (
            "10.0.0.0/8",
            "10.0.0.0/8",
            "an address follows src, dst or host",
        ),
        (
            "10.0.0.0:80",
            "10.0.0.0:80",
            "an address follows src, dst or host",
        ),
        ("/run/x", "/run/x", "an address follows src, dst or host"),
        (
            "established",
            "established",
            "a state follows its word: state established",
        ),
        (
            "ESTAB",
            "ESTAB",
            "a state follows its word: state established",
        ),
        (
            "connected",
            "connected",
            "a state follows its word: state connected",
        ),
        ("state open", "open", "\"open\" is no state"),
        (
            "state establisht",
            "establisht",
            "\"establisht\" is no state: did you mean established?",
        ),
        (
            "state",
            "",
            "expected a state, such as established, listening or connected, and here it ends",
        ),
        (
            "state and pid 1",
            "and",
            "expected a state, such as established, listening or connected, found \"and\"",
        ),
        (
            "state > established",
            ">",
            "state is the same or not: = or !=",
        ),
        (
            "sport =",
            "",
            "expected a port, such as :80, :http or :8000-8999, and here it ends",
        ),
        (
            "sport = )",
            ")",
            "expected a port, such as :80, :http or :8000-8999, found \")\"",
        ),
        (
            "sport = = :1",
            "=",
            "expected a port, such as :80, :http or :8000-8999, found \"=\"",
        ),
        (
            "sport = 127.0.0.1:80",
            "127.0.0.1:80",
            "expected a port, such as :80, :http or :8000-8999, found \"127.0.0.1:80\"",
        ),
        (
            "sport = :nosuch",
            ":nosuch",
            "no service \"nosuch\" on this machine",
        ),
        (
            "sport = :who",
            ":who",
            "service \"who\" has several ports (513, 550): write the number",
        ),
        (
            "sport = :70000",
            ":70000",
            "70000 is no port: ports go up to 65535",
        ),
        (":70000", ":70000", "70000 is no port: ports go up to 65535"),
        (
            ":0",
            ":0",
            "port 0 means \"any free port\" and is never used itself",
        ),
        (
            ":",
            ":",
            "expected a port, such as :80, :http or :8000-8999, found \":\"",
        ),
        (
            "sport = :080",
            ":080",
            "a number does not begin with 0 here (ss reads it as octal)",
        ),
        (
            "sport = :90-80",
            ":90-80",
            "a range goes from the lower to the higher port",
        ),
        (
            "sport > :80-90",
            ">",
            "a range takes = or !=; for an order write one port",
        ),
        ("src > 127.0.0.1", ">", "src is the same or not: = or !="),
        (
            "src 127",
            "127",
            "expected an address, such as 10.0.0.0/8, 127.0.0.1:80, [::1] or /run/x*, found \"127\"",
        ),
        (
            "src 127.0.0.0/33",
            "127.0.0.0/33",
            "this address has 32 bits, so its prefix is /0 to /32",
        ),
        (
            "src [::1]/129",
            "[::1]/129",
            "this address has 128 bits, so its prefix is /0 to /128",
        ),
        (
            "src 10.0.0.0/255.0.255.0",
            "10.0.0.0/255.0.255.0",
            "expected the length of a prefix, such as /8, found \"255.0.255.0\"",
        ),
        (
            "src 10.0.0.0/x",
            "10.0.0.0/x",
            "expected the length of a prefix, such as /8, found \"x\"",
        ),
        (
            "src 10.0.0.256",
            "10.0.0.256",
            "expected an address, such as 10.0.0.0/8, 127.0.0.1:80, [::1] or /run/x*, found \"10.0.0.256\"",
        ),
        (
            "src ::1",
            "::1",
            "an IPv6 address stands in brackets: [::1]",
        ),
        (
            "src fe80::1:80",
            "fe80::1:80",
            "an IPv6 address stands in brackets: [fe80::1:80]",
        ),
        (
            "src [fe80::1%eth0]",
            "[fe80::1%eth0]",
            "the interface stands apart from the address: dev \"eth0\"",
        ),
        (
            "src [::1",
            "[::1",
            "expected an address, such as 10.0.0.0/8, 127.0.0.1:80, [::1] or /run/x*, found \"[::1\"",
        ),
        (
            "src [::1]x",
            "[::1]x",
            "expected an address, such as 10.0.0.0/8, 127.0.0.1:80, [::1] or /run/x*, found \"[::1]x\"",
        ),
        (
            "src nosuch.example",
            "nosuch.example",
            "no host \"nosuch.example\" on this machine",
        ),
        (
            "src inet6:printer",
            "inet6:printer",
            "no host \"printer\" on this machine",
        ),
        (
            "src netlink:route",
            "netlink:route",
            "addresses of family netlink are not understood here",
        ),
        (
            "dev nosuch0",
            "nosuch0",
            "no interface \"nosuch0\" on this machine",
        ),
        (
            "user nosuch",
            "nosuch",
            "no user \"nosuch\" on this machine",
        ),
        (
            "user 99999999999",
            "99999999999",
            "\"99999999999\" is too great: the greatest user id is 4294967295",
        ),
        (
            "netns red",
            "red",
            "no network namespace \"red\" on this machine",
        ),
        (
            "cgroup = '/a b'",
            "'/a b'",
            "no control group \"/a b\" on this machine",
        ),
        ("pid x", "x", "expected a number, found \"x\""),
        ("pid -1", "-1", "expected a number, found \"-1\""),
        (
            "fwmark x",
            "x",
            "expected a mark, such as 1 or 0x1/0x3, found \"x\"",
        ),
        (
            "family inte",
            "inte",
            "\"inte\" is no family: did you mean inet?",
        ),
        (
            "protocol tpc",
            "tpc",
            "\"tpc\" is no protocol: did you mean tcp?",
        ),
        ("process =", "", "expected a name, and here it ends"),
        ("process = and", "and", "expected a name, found \"and\""),
        ("process > a", ">", "process is the same or not: = or !="),
        (
            "recvq > lots",
            "lots",
            "expected a number of bytes, such as 0, 64k or 1M, found \"lots\"",
        ),
        (
            "recvq > 1x",
            "1x",
            "expected a number of bytes, such as 0, 64k or 1M, found \"1x\"",
        ),
        ("recvq > 1.5", "1.5", "nothing finer than one byte is known"),
        (
            "recvq > 99999999999999999999",
            "99999999999999999999",
            "\"99999999999999999999\" is too great: the greatest byte is 18446744073709551615",
        ),
        (
            "rtt > 20",
            "20",
            "expected a time with its unit, such as 20ms, 500us or 1s, found \"20\"",
        ),
        (
            "rtt > 0.5us",
            "0.5us",
            "nothing finer than one microsecond is known",
        ),
        ("( pid 1", "(", "this parenthesis is never closed"),
        ("pid 1 )", ")", "this parenthesis was never opened"),
        (
            "( )",
            ")",
            "expected a test, such as sport = :80, dst 10.0.0.0/8 or state established, found \")\"",
        ),
        (
            "pid 1 and",
            "",
            "expected a test, such as sport = :80, dst 10.0.0.0/8 or state established, and here it ends",
        ),
        (
            "pid 1 or or pid 2",
            "or",
            "expected a test, such as sport = :80, dst 10.0.0.0/8 or state established, found \"or\"",
        ),
        (
            "pid 1 = 2",
            "=",
            "expected and, or, or another test, found \"=\"",
        ),
        (
            "= 1",
            "=",
            "expected a test, such as sport = :80, dst 10.0.0.0/8 or state established, found \"=\"",
        ),
        ("process = 'a", "'", "this quote is never closed"),
        (
            "user = '\\xff'",
            "'\\xff'",
            "no user \"\\\\xff\" on this machine",
        ),
        ("user = \"\\xff\"", "\"\\xff\"", "this is no text"),
    ] {
        assert_eq!(
            refused(text),
            (message.to_owned(), piece.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn long_words_are_cut_in_messages() {
    let (message, piece) = refused(&"x".repeat(5000));
    assert!(message.len() < 80, "{message}");
    assert_eq!(piece.len(), 5000);
}

#[test]
fn the_stack_is_safe_from_depth_and_the_memory_from_length() {
    let deep = |text: &str| refused(text).0;
    assert!(deep(&"(".repeat(60_000)).starts_with("nested too deep"));
    assert!(deep(&"! ".repeat(30_000)).starts_with("nested too deep"));
    assert!(deep(&"pid 1 or pid 2 and ".repeat(3_000)).starts_with("nested too deep"));
    assert!(deep(&"x".repeat(70_000)).starts_with("too long"));
    // Width is no depth.
    let wide = ["pid 1"; 7_000].join(" or ");
    assert_eq!(selection(&wide).tests().len(), 7_000);
    let open = "(".repeat(99) + "pid 1" + &")".repeat(99);
    assert_eq!(selection(&open).to_string(), "pid = 1");
}

/// Pieces that make sense together often enough.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "state", "exclude", "established", "all", "bucket", "sport", "dport", "src", "dst",
            "host", "port", "dev", "fwmark", "cgroup", "autobound", "process", "pid", "user",
            "container", "unit", "netns", "peer", "recvq", "sendq", "rtt", "retrans", "family",
            "protocol", "and", "or", "not", "&", "||", "!", "(", ")", "=", "!=", "<", ">=", "ge",
            ":80", ":http", "80", "10.0.0.0/8", "[::1]:80", "*", "/run/x*", "lo", "0x1/0x3",
            "nginx", "64k", "20ms", "'a b'", "\"\\xff\"", "\\ ", "unix:", "inet:",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => "[ \t\n'\"\\\\()=<>!&|:/\\[\\]*?0-9a-f.%-]{0,10}",
    ];
    prop::collection::vec(piece, 0..12).prop_flat_map(|pieces| {
        prop::sample::select(vec!["", " ", "  "]).prop_map(move |space| pieces.join(space))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_understood_or_refused_at_a_place(text in pieces()) {
        for read in [parse, parse_for_unix] {
            match read(&text, &Machine) {
                Ok(parsed) => {
                    // And what was understood says the same when it is written out.
                    let written = parsed.selection.to_string();
                    let again = read(&written, &Machine).unwrap();
                    prop_assert_eq!(again.selection, parsed.selection);
                    prop_assert_eq!(again.left_to_right, None);
                }
                Err(error) => {
                    prop_assert!(text.get(error.at.clone()).is_some());
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn any_bytes_of_a_name_can_be_written(name in prop::collection::vec(any::<u8>(), 1..15)) {
        use super::super::{Selection, Test};
        use crate::model::ForeignText;
        let tree = Selection::Test(Test::Process(ForeignText::new(name)));
        prop_assert_eq!(selection(&tree.to_string()), tree);
    }
}
