//! Flags -> requests.

use clap::Parser;

use super::*;
use crate::cli::{Cli, View};
use crate::selection::Numbers;

fn request(words: &str) -> Result<Request, String> {
    let words = format!("inspect sockets {words}");
    let cli = Cli::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
    match cli.view {
        View::Sockets(flags) => flags.validate(&Numbers).map_err(|refused| match refused {
            Refused::Words(words) => words,
            Refused::Expression(error) => error.to_string(),
        }),
        #[allow(unreachable_patterns)]
        _ => Err("another view".to_owned()),
    }
}

#[test]
fn the_kinds_pick_tables() {
    for (words, tables) in [
        ("", vec![Table::Tcp, Table::Tcp6, Table::Udp, Table::Udp6]),
        ("-t", vec![Table::Tcp, Table::Tcp6]),
        ("-t4", vec![Table::Tcp, Table::Tcp6]),
        ("-x", vec![Table::Unix]),
        ("-tx", vec![Table::Tcp, Table::Tcp6, Table::Unix]),
        ("-a", Table::ALL.to_vec()),
        ("-s", Table::ALL.to_vec()),
        ("-t src /run/x", vec![Table::Tcp, Table::Tcp6]),
    ] {
        assert_eq!(request(words).unwrap().tables, tables, "{words}");
    }
    let bare = request("").unwrap().tables;
    for (words, more) in [
        ("state established", &[][..]),
        ("src /run/x", &[Table::Unix]),
        ("dst 10/8 or not dst @x", &[Table::Unix]),
        ("family = unix", &[Table::Unix]),
        ("protocol = unix-dgram", &[Table::Unix]),
        ("protocol = icmp", &[Table::Icmp, Table::Icmp6]),
        ("family = packet", &[Table::Packet]),
        ("protocol = packet-raw", &[Table::Packet]),
        ("family = netlink", &[Table::Netlink]),
    ] {
        let mut tables = request(words).unwrap().tables;
        tables.retain(|table| !bare.contains(table));
        assert_eq!(tables, more, "{words}");
    }
}

#[test]
fn words_are_joined_to_one_expression() {
    for (words, selection) in [
        ("", "state all"),
        (":2345", ":2345"),
        (":80 :443", ":80 or :443"),
        (
            "dst 127.0.0.0/8 and not dport = :22",
            "dst 127.0.0.0/8 and not dport = :22",
        ),
        (
            "state established ( sport = :2345 or dport = :2345 )",
            "state established and ( sport = :2345 or dport = :2345 )",
        ),
        ("-x src *bus", "src unix:*bus"),
    ] {
        let Selection::All(parts) = request(words).unwrap().selection else {
            panic!("{words}");
        };
        let expression = parts
            .iter()
            .find(|part| part.to_string() == selection)
            .unwrap_or_else(|| panic!("{words}: {parts:?}"));
        assert_eq!(expression.to_string(), selection);
    }
}

#[test]
fn what_an_expression_asks_for_is_asked_of_the_source() {
    for (words, tcp, extended) in [
        (":80", false, false),
        ("rtt > 20ms", true, false),
        ("not retrans = 0", true, false),
        ("fwmark = 1", false, true),
        ("autobound or cgroup = 1", false, true),
        ("peer = nginx", false, false),
    ] {
        let request = request(words).unwrap();
        let details = request.details_to_decide;
        assert_eq!((details.tcp, details.extended), (tcp, extended), "{words}");
        assert_eq!(request.details, Details::default());
    }
}

#[test]
fn what_is_read_otherwise_than_the_man_page_says_is_told() {
    let understood = |words: &str| request(words).unwrap().understood;
    assert_eq!(
        understood("pid 1 or pid 2 and pid 3").as_deref(),
        Some("( pid = 1 or pid = 2 ) and pid = 3")
    );
    assert_eq!(understood("pid 1 and pid 2 or pid 3"), None);
}

#[test]
fn nothing_is_told_in_the_words_of_the_question() {
    for (words, nothing) in [
        (":2345", "uses port 2345"),
        ("--port 2345", "uses port 2345"),
        ("-l :2345", "listens on port 2345"),
        ("-l", "listens"),
        ("sport = :2345", "matches"),
        (":2345 state established", "matches"),
        ("-l state established", "matches"),
        ("-t :2345", "matches"),
    ] {
        assert_eq!(request(words).unwrap().nothing, nothing, "{words}");
    }
}

#[test]
fn the_summary_tells_of_what_is_read() {
    use Family::{Inet, Inet6, Unix};
    for (words, families) in [
        ("-s", Family::ALL.to_vec()),
        ("-s -t", vec![Inet, Inet6]),
        ("-s -4", vec![Inet]),
        ("-s -6", vec![Inet6]),
        ("-s -x", vec![Unix]),
    ] {
        assert_eq!(request(words).unwrap().families, families, "{words}");
    }
}

#[test]
fn a_name_is_cut_where_the_kernel_cuts_it() {
    assert_eq!(
        process_name("a-very-long-process-name"),
        ForeignText::from("a-very-long-pro")
    );
}

#[test]
fn processes_are_asked_only_when_something_of_theirs_is_shown() {
    for (words, extended, asked) in [
        ("", false, false),
        ("-i", false, false),
        ("-e", true, true),
        ("--columns local,unit", false, true),
        ("--columns local,v6only", true, false),
    ] {
        let request = request(words).unwrap();
        let told = (request.details.extended, request.processes);
        assert_eq!(told, (extended, asked), "{words}");
    }
}

#[test]
fn time_wait_is_folded_for_people_who_did_not_ask_for_it() {
    for (words, folded) in [
        ("", true),
        (":2345", true),
        ("-a", false),
        ("--state time-wait", false),
        ("state time-wait", false),
        ("exclude established", false),
        ("state established", true),
        ("--json", false),
        ("-tanp", false),
    ] {
        assert_eq!(request(words).unwrap().fold_time_wait, folded, "{words}");
    }
}

#[test]
fn wrong_values_are_refused_in_words() {
    for (words, part) in [
        (":70000", "70000 is no port"),
        (":0", "port 0"),
        ("--port 70000", "70000 is no port"),
        ("2345", "a port is written :2345"),
        ("sprot = :1", "did you mean sport?"),
        ("--no-owners peer = nginx", "peer needs owners"),
        ("--owners none --pid 1", "pid needs owners"),
        ("--state open", "is no state"),
        ("--sort colour", "queue"),
        ("--stat x", "--state"),
    ] {
        let error = request(words).unwrap_err();
        assert!(error.contains(part), "{words}: {error}");
    }
}
