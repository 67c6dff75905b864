//! The rows of lsof on the same state: one for each descriptor.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::World;
use crate::support::have_program;

/// What lsof writes of a socket: its type, inode, and where its ends are.
fn row(record: &Value) -> String {
    let inode = &record["inode"];
    let protocol = record["protocol"].as_str().unwrap();
    let end = |side: &str| {
        let end = &record[side];
        let address = end["address"].as_str().unwrap();
        let address = address.strip_prefix("::ffff:").unwrap_or(address);
        let address = match address {
            "0.0.0.0" | "::" => "*".to_owned(),
            v6 if v6.contains(':') => format!("[{v6}]"),
            v4 => v4.to_owned(),
        };
        format!("{address}:{}", end["port"])
    };
    match record["family"].as_str().unwrap() {
        "inet" | "inet6" if matches!(protocol, "raw" | "icmp") => format!("{protocol} {inode}"),
        family @ ("inet" | "inet6") => {
            let kind = if family == "inet" { "IPv4" } else { "IPv6" };
            let mut ends = end("local");
            if record["remote"]["port"] != 0 {
                ends += &format!("->{}", end("remote"));
            }
            let state = match record["state"].as_str().unwrap() {
                _ if protocol != "tcp" => "",
                state => state,
            };
            format!("{kind} {inode} {} {ends} {state}", protocol.to_uppercase())
        }
        "unix" => {
            let kind = match protocol {
                "unix-stream" => "STREAM",
                "unix-dgram" => "DGRAM",
                _ => "SEQPACKET",
            };
            let state = match record["state"].as_str().unwrap() {
                "LISTEN" => "LISTEN",
                "ESTABLISHED" => "CONNECTED",
                _ => "UNCONNECTED",
            };
            format!("unix {inode} {kind} {state}")
        }
        "netlink" => format!("netlink {inode}"),
        "packet" => format!("pack {inode}"),
        other => panic!("{other}"),
    }
}

/// A line of `lsof -F`: fields that begin with a letter and end with a NUL.
fn row_of_lsof(line: &str) -> Option<(String, String)> {
    let fields: Vec<&str> = line.split('\0').collect();
    let field = |letter: char| fields.iter().find_map(|field| field.strip_prefix(letter));
    let state = fields.iter().find_map(|it| it.strip_prefix("TST="));
    let (kind, name) = (field('t')?, field('n').unwrap_or_default());
    let inode = match kind {
        "IPv4" | "IPv6" | "pack" => field('d')?,
        _ => field('i')?,
    };
    let words = match kind {
        "IPv4" | "IPv6" => {
            let protocol = field('P')?;
            format!(
                "{kind} {inode} {protocol} {name} {}",
                state.unwrap_or_default()
            )
        }
        "unix" => {
            let (_, rest) = name.rsplit_once("type=")?;
            format!("unix {inode} {rest} {}", state?)
        }
        "raw" | "raw6" => format!("raw {inode}"),
        "icmp" | "icmp6" => format!("icmp {inode}"),
        "netlink" | "pack" => format!("{kind} {inode}"),
        // A socket that lsof does not find in the tables of /proc/net.
        "sock" => "sock".to_owned(),
        _ => return None,
    };
    Some((field('f')?.to_owned(), words))
}

#[test]
fn every_descriptor_is_that_of_lsof() {
    let test = "every_descriptor_is_that_of_lsof";
    let Some(world) = World::new(test) else {
        return;
    };
    if !have_program("lsof", test) {
        return;
    }
    let pid = world.pid().to_string();
    let ours = || -> BTreeMap<String, String> {
        let printed = world.output(
            env!("CARGO_BIN_EXE_inspect"),
            &["sockets", "-a", "--json", "--pid", &pid],
        );
        let printed = String::from_utf8(printed).unwrap();
        let records = printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let sockets = records.filter(|record: &Value| record["type"] == "socket");
        // Of an MPTCP connection lsof knows the descriptor alone.
        let sockets = sockets.filter(|record| record["protocol"] != "mptcp");
        sockets
            .flat_map(|record| {
                let owners = record["owners"].as_array().unwrap().clone();
                let of_this = owners.into_iter().filter(|it| it["pid"] == world.pid());
                let words = row(&record);
                of_this
                    .map(|owner| (owner["fd"].to_string(), words.clone()))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let before = ours();
    let printed = world.output("lsof", &["-nP", "-a", "-p", &pid, "-FftdinPT0"]);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let theirs: BTreeMap<String, String> = printed.lines().filter_map(row_of_lsof).collect();
    assert!(theirs.len() > 50, "{theirs:#?}");
    let ours = if theirs
        .iter()
        .all(|(fd, words)| words == "sock" || before.get(fd) == Some(words))
    {
        before
    } else {
        // Timers may move a connection on between two looks.
        ours()
    };
    for (fd, words) in &theirs {
        // What lsof cannot find, for it is bound and no more, may have a row here or none.
        if words != "sock" {
            assert_eq!(ours.get(fd), Some(words), "descriptor {fd}");
        }
    }
    for (fd, words) in &ours {
        assert!(theirs.contains_key(fd), "descriptor {fd}: {words}");
    }
}
