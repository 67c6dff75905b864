//! Whole conversations with a kernel that is written down.

use std::io;

use super::super::{Exchange, Refused, Share, Wire};
use super::*;
use crate::selection::{Numbers, parse};
use crate::sockets::{Query, Snapshot};

const DONE: u16 = 3;
const INTERRUPTED: u16 = 2 | 0x10;

/// The datagrams of an answer, by the sequence number of the request.
type Answer = Box<dyn Fn(u32) -> Vec<Vec<u8>>>;

/// Answers each request with datagrams that are made of its sequence number.
struct Script {
    answers: Vec<Answer>,
    /// What is left of the current answer, the next at the end.
    coming: Vec<Vec<u8>>,
    asked: Vec<Vec<u8>>,
    current: Vec<u8>,
    broken: bool,
}

impl Script {
    fn new(answers: Vec<Answer>) -> Self {
        Self {
            answers,
            coming: Vec::new(),
            asked: Vec::new(),
            current: Vec::new(),
            broken: false,
        }
    }
}

impl Wire for Script {
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let sequence = u32::from_ne_bytes(request[8..12].try_into().unwrap());
        let answer = &self.answers[self.asked.len()];
        self.asked.push(request.to_vec());
        self.coming = answer(sequence);
        self.coming.reverse();
        Ok(())
    }

    /// What is not written down is a stop signal.
    fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        match self.coming.pop() {
            Some(datagram) => {
                self.current = datagram;
                Ok(Some(&self.current))
            }
            None => Ok(None),
        }
    }
}

fn tcp(cookie: u8) -> Vec<u8> {
    let mut message = bytes(include_str!("recorded/tcp-established.hex"));
    message[44] = cookie;
    message[7] = cookie;
    message
}

/// Sockets with these cookies, and the end.
fn whole(cookies: &'static [u8], flags: u16) -> Answer {
    Box::new(move |sequence| {
        let mut datagrams: Vec<Vec<u8>> = cookies
            .iter()
            .map(|cookie| framed(SOCK_DIAG_BY_FAMILY, flags, sequence, &tcp(*cookie)))
            .collect();
        datagrams.push(framed(DONE, flags, sequence, &0i32.to_ne_bytes()));
        datagrams
    })
}

fn refusal(cookies: &'static [u8], errno: i32) -> Answer {
    let whole = whole(cookies, 2);
    Box::new(move |sequence| {
        let mut datagrams = whole(sequence);
        datagrams.pop();
        datagrams.push(framed(DONE, 2, sequence, &(-errno).to_ne_bytes()));
        datagrams
    })
}

struct Told {
    result: Result<(), Refused>,
    snapshot: Snapshot,
    asked: usize,
}

fn exchange(table: Table, words: &str, script: Script) -> Told {
    let mut query = Query::all_of([table]);
    if !words.is_empty() {
        query.selection = parse(words, &Numbers).unwrap().selection;
    }
    let mut exchange = Exchange::new(script);
    let mut snapshot = Snapshot::default();
    let what = (Scope::Table(table), Share::Whole);
    let result = exchange.dump(what, &query, Some(NAMESPACE), &mut snapshot);
    Told {
        result,
        snapshot,
        asked: exchange.wire().asked.len(),
    }
}

#[test]
fn a_table_is_asked_for_once() {
    let told = exchange(Table::Tcp, "", Script::new(vec![whole(&[1, 2, 3], 2)]));
    told.result.unwrap();
    assert_eq!((told.snapshot.sockets.len(), told.asked), (3, 1));
    assert_eq!((told.snapshot.gaps, told.snapshot.cut), (vec![], vec![]));
}

#[test]
fn listeners_and_the_rest_are_two_dumps_of_one_table() {
    // What was a listener at the first dump is a connection at the second.
    let script = Script::new(vec![whole(&[1, 2], 2), whole(&[2, 3], 2)]);
    let told = exchange(Table::Tcp, "sport = :2345", script);
    assert_eq!((told.snapshot.sockets.len(), told.asked), (3, 2));
}

#[test]
fn an_interrupted_dump_is_asked_for_again() {
    let script = Script::new(vec![
        whole(&[1, 2, 3], INTERRUPTED),
        whole(&[1, 2], INTERRUPTED),
        whole(&[4], 2),
    ]);
    let told = exchange(Table::Tcp, "", script);
    told.result.unwrap();
    assert_eq!((told.snapshot.sockets.len(), told.asked), (1, 3));
    assert_eq!(told.snapshot.gaps, []);
}

#[test]
fn a_table_that_never_rests_is_a_gap() {
    let answers = (0..9).map(|_| whole(&[1, 2], INTERRUPTED)).collect();
    let told = exchange(Table::Tcp, "", Script::new(answers));
    told.result.unwrap();
    assert_eq!((told.snapshot.sockets.len(), told.asked), (2, 4));
    assert_eq!(told.snapshot.cut, [Table::Tcp]);
    assert_eq!(
        told.snapshot.gaps[0].reason,
        "the table of tcp sockets changed while it was read, 4 times"
    );
}

#[test]
fn a_refusal_leaves_nothing_behind() {
    for (errno, words, want) in [
        (2, "this kernel's sock_diag has no such table", true),
        (
            1,
            "sock_diag refused: Operation not permitted (os error 1)",
            false,
        ),
    ] {
        let told = exchange(Table::Tcp, "", Script::new(vec![refusal(&[1, 2], errno)]));
        let refused = told.result.unwrap_err();
        assert_eq!(refused.to_string(), words);
        assert_eq!(refused.is_for_want_of_a_table(), want);
        assert_eq!(told.snapshot, Snapshot::default());
    }
    let told = exchange(Table::Icmp, "", Script::new(vec![]));
    assert!(told.result.unwrap_err().is_for_want_of_a_table());
    let mut script = Script::new(vec![]);
    script.broken = true;
    let refused = exchange(Table::Tcp, "", script).result.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "sock_diag cannot be asked: broken pipe"
    );
}

#[test]
fn a_stop_keeps_what_came_and_says_so() {
    let half = Box::new(|sequence| vec![framed(SOCK_DIAG_BY_FAMILY, 2, sequence, &tcp(1))]);
    let told = exchange(Table::Tcp, "", Script::new(vec![half]));
    told.result.unwrap();
    assert_eq!(told.snapshot.sockets.len(), 1);
    assert_eq!(told.snapshot.cut, [Table::Tcp]);
    assert!(
        told.snapshot.gaps[0]
            .reason
            .ends_with("left early: stopped")
    );
}

#[test]
fn messages_that_do_not_parse_are_a_counted_gap() {
    let bad = Box::new(|sequence| {
        let mut message = tcp(1);
        message[1] = 99;
        vec![
            framed(SOCK_DIAG_BY_FAMILY, 2, sequence, &message),
            framed(DONE, 2, sequence, &0i32.to_ne_bytes()),
        ]
    });
    let told = exchange(Table::Tcp, "", Script::new(vec![bad]));
    let gap = &told.snapshot.gaps[0];
    assert_eq!(gap.count, Some(1));
    assert_eq!(
        gap.reason,
        "message of sock_diag about tcp sockets that did not parse; the first: its state is 99"
    );
    assert_eq!(told.snapshot.cut, []);
}

#[test]
fn a_table_that_nothing_is_selected_of_is_not_asked_for() {
    let told = exchange(Table::Unix, "sport = :80", Script::new(vec![]));
    told.result.unwrap();
    assert_eq!((told.snapshot, told.asked), (Snapshot::default(), 0));
}
