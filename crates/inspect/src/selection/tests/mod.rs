//! The language as a whole.

mod language;
mod refused;
mod trees;

use std::net::IpAddr;

use super::{Names, Parsed, Selection, Test, parse};
use crate::model::{NetworkNamespace, Pid, Uid};

/// A small machine.
struct Machine;

impl Names for Machine {
    fn service(&self, name: &str) -> Vec<u16> {
        match name {
            "http" => vec![80],
            "ftp-data" => vec![20],
            "3com-tsmux" => vec![106],
            "who" => vec![513, 550],
            _ => Vec::new(),
        }
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "localhost" => vec![
                [127, 0, 0, 1].into(),
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ],
            "printer" => vec![[192, 168, 0, 9].into()],
            _ => Vec::new(),
        }
    }

    fn user(&self, name: &str) -> Option<Uid> {
        (name == "www-data").then_some(Uid(33))
    }

    fn interface(&self, name: &str) -> Option<u32> {
        (name == "lo").then_some(1)
    }

    fn network_namespace(&self, name: &str) -> Option<NetworkNamespace> {
        (name == "blue").then_some(NetworkNamespace(4_026_532_008))
    }

    fn cgroup(&self, path: &[u8]) -> Option<u64> {
        match path {
            b"/user.slice" => Some(77),
            b"" | b"/" => Some(1),
            _ => None,
        }
    }
}

fn parsed(text: &str) -> Parsed {
    match parse(text, &Machine) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{text}: {error} at {:?}", error.at),
    }
}

fn selection(text: &str) -> Selection {
    parsed(text).selection
}

fn port(number: u16) -> Selection {
    Selection::Test(Test::Port(number))
}

#[test]
fn an_unanswered_test_leaves_only_what_depends_on_it_open() {
    let pid = Selection::Test(Test::Pid(Pid(1)));
    let mut answer = |test: &Test| match test {
        Test::Port(number) => Some(*number == 2345),
        _ => None,
    };
    for (selection, expected) in [
        (Selection::All(vec![port(2345), pid.clone()]), None),
        (Selection::All(vec![port(80), pid.clone()]), Some(false)),
        (Selection::Any(vec![port(2345), pid.clone()]), Some(true)),
        (Selection::Any(vec![port(80), pid.clone()]), None),
        (Selection::Not(Box::new(pid)), None),
        (Selection::Not(Box::new(port(80))), Some(true)),
        (Selection::everything(), Some(true)),
        (Selection::Any(vec![]), Some(false)),
    ] {
        assert_eq!(selection.holds(&mut answer), expected, "{selection:?}");
    }
}

#[test]
fn a_flag_that_was_not_given_selects_everything() {
    assert_eq!(Selection::one_of([]).holds(&mut |_| None), Some(true));
}
