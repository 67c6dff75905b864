//! Datagrams -> sockets, each once, and how the dump ended.

use proptest::prelude::*;

use super::super::dump::{Dump, Ended, Progress};
use super::super::message::{Messages, TCPDIAG_GETSOCK};
use super::*;

const DONE: u16 = 3;
const ERROR: u16 = 2;
const INTERRUPTED: u16 = 2 | 0x10;

fn tcp() -> Vec<u8> {
    bytes(include_str!("recorded/tcp-established.hex"))
}

/// The same with another cookie and another remote port.
fn other_tcp(cookie: u8, port: u8) -> Vec<u8> {
    let mut message = tcp();
    message[44] = cookie;
    message[7] = port;
    message
}

fn done() -> Vec<u8> {
    framed(DONE, 2, 7, &0i32.to_ne_bytes())
}

fn dump(table: Table, datagrams: &[Vec<u8>]) -> (Dump, Vec<Socket>, Progress) {
    let mut dump = Dump::new(asked(table, NO_DETAILS));
    let mut sockets = Vec::new();
    let mut progress = Progress::More;
    for datagram in datagrams {
        assert_eq!(progress, Progress::More, "it went on after its end");
        progress = dump.take(datagram, 7, &mut sockets);
    }
    (dump, sockets, progress)
}

#[test]
fn a_dump_goes_on_until_it_is_done() {
    let first = [about_socket(&tcp()), about_socket(&other_tcp(1, 1))].concat();
    let second = [about_socket(&other_tcp(2, 2)), done()].concat();
    let (_, sockets, progress) = dump(Table::Tcp, std::slice::from_ref(&first));
    assert_eq!((sockets.len(), progress), (2, Progress::More));
    let (dump, sockets, progress) = dump(Table::Tcp, &[first, second]);
    assert_eq!(sockets.len(), 3);
    assert_eq!(progress, Progress::Ended(Ended::Complete));
    assert_eq!(dump.lost(), None);
}

#[test]
fn the_answer_to_the_old_request_for_tcp_is_understood() {
    let datagram = [framed(TCPDIAG_GETSOCK, 2, 7, &tcp()), done()].concat();
    let (_, sockets, _) = dump(Table::Tcp, &[datagram]);
    assert_eq!(sockets.len(), 1);
}

#[test]
fn a_refusal_has_its_errno_wherever_it_stands() {
    for (kind, expected) in [(ERROR, 2), (DONE, 2)] {
        let datagram = framed(kind, 2, 7, &(-2i32).to_ne_bytes());
        let (_, _, progress) = dump(Table::Tcp, &[datagram]);
        assert_eq!(progress, Progress::Ended(Ended::Refused(expected)));
    }
}

#[test]
fn an_interrupted_dump_is_known_at_its_end() {
    let interrupted = framed(SOCK_DIAG_BY_FAMILY, INTERRUPTED, 7, &tcp());
    let (_, sockets, progress) = dump(Table::Tcp, &[interrupted, done()]);
    assert_eq!(progress, Progress::Ended(Ended::Interrupted));
    assert_eq!(sockets.len(), 1);
    let overrun = framed(4, 2, 7, &[]);
    let (_, _, progress) = dump(Table::Tcp, &[overrun, done()]);
    assert_eq!(progress, Progress::Ended(Ended::Interrupted));
}

#[test]
fn a_bad_message_is_counted_and_the_good_ones_stay() {
    let mut bad = tcp();
    bad[1] = 99;
    let datagram = [
        about_socket(&bad),
        about_socket(&tcp()),
        about_socket(&bad[..20]),
        framed(77, 2, 7, &[]),
        done(),
    ]
    .concat();
    let (dump, sockets, progress) = dump(Table::Tcp, &[datagram]);
    assert_eq!(progress, Progress::Ended(Ended::Complete));
    assert_eq!(sockets.len(), 1);
    let lost = dump.lost().unwrap();
    assert_eq!((lost.count, lost.cut), (3, false));
    assert_eq!(lost.first, "its state is 99");
}

#[test]
fn a_datagram_that_is_cut_short_is_a_cut_table() {
    let mut datagram = [about_socket(&tcp()), about_socket(&other_tcp(1, 1))].concat();
    datagram.truncate(datagram.len() - 10);
    let (dump, sockets, progress) = dump(Table::Tcp, &[datagram, done()]);
    assert_eq!(progress, Progress::Ended(Ended::Complete));
    assert_eq!(sockets.len(), 1);
    let lost = dump.lost().unwrap();
    assert_eq!((lost.count, lost.cut), (1, true));
}

#[test]
fn answers_to_older_requests_are_passed_over() {
    let datagram = [
        framed(SOCK_DIAG_BY_FAMILY, 2, 6, &tcp()),
        framed(DONE, INTERRUPTED, 6, &0i32.to_ne_bytes()),
        framed(ERROR, 2, 6, &(-2i32).to_ne_bytes()),
    ]
    .concat();
    let (dump, sockets, progress) = dump(Table::Tcp, &[datagram]);
    assert_eq!((sockets.len(), progress), (0, Progress::More));
    assert_eq!(dump.lost(), None);
}

#[test]
fn a_socket_that_is_listed_twice_is_kept_once() {
    let once = about_socket(&tcp());
    // It has moved to another place of the table, with another state and peer.
    let mut moved = tcp();
    moved[1] = 8;
    moved[7] = 99;
    let between: Vec<u8> = (1..60)
        .flat_map(|n| about_socket(&other_tcp(n, n)))
        .collect();
    let datagram = [once.clone(), once, between, about_socket(&moved), done()].concat();
    let (_, sockets, _) = dump(Table::Tcp, &[datagram]);
    assert_eq!(sockets.len(), 60);
}

#[test]
fn what_takes_the_place_of_a_connection_is_no_second_one() {
    // The ends of the first, and a cookie of its own: a TIME_WAIT.
    let mut successor = tcp();
    successor[1] = 6;
    successor[44] = 200;
    let some: Vec<u8> = (1..8)
        .flat_map(|n| about_socket(&other_tcp(n, n)))
        .collect();
    let datagram = [about_socket(&tcp()), some, about_socket(&successor)].concat();
    let (_, sockets, _) = dump(Table::Tcp, std::slice::from_ref(&datagram));
    assert_eq!(sockets.len(), 8);
    // On another interface it is another connection.
    successor[40] = 3;
    successor[44] = 201;
    let datagram = [datagram, about_socket(&successor)].concat();
    let (_, sockets, _) = dump(Table::Tcp, &[datagram]);
    assert_eq!(sockets.len(), 9);
}

#[test]
fn many_datagram_sockets_may_share_both_ends() {
    let udp = bytes(include_str!("recorded/udp-connected.hex"));
    let mut other = udp.clone();
    other[44] ^= 1;
    let datagram = [about_socket(&udp), about_socket(&other), done()].concat();
    let (_, sockets, _) = dump(Table::Udp, &[datagram]);
    assert_eq!(sockets.len(), 2);
}

#[test]
fn only_a_unix_listener_with_clients_asks_for_a_second_dump() {
    let listener = bytes(include_str!("recorded/unix-listen.hex"));
    let datagram = [about_socket(&listener), done()].concat();
    let (mut waited, mut sockets, _) = dump(Table::Unix, &[datagram]);
    assert!(waited.has_pending());
    let clients = bytes(include_str!("recorded/unix-pending.hex"));
    let datagram = [about_socket(&clients), done()].concat();
    let progress = waited.take_pending(&datagram, 7, &mut sockets);
    assert_eq!(progress, Progress::Ended(Ended::Complete));
    assert_eq!(sockets.len(), 3, "the listener and two that wait for it");

    let connected = bytes(include_str!("recorded/unix-abstract.hex"));
    let (idle, _, _) = dump(Table::Unix, &[about_socket(&connected)]);
    assert!(!idle.has_pending());
}

proptest! {
    /// Recorded messages, some of them harmed: those that are whole are all there, those that are
    /// not are counted.
    #[test]
    fn every_message_is_a_socket_or_counted(
        harmed in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let mut datagram = Vec::new();
        for (number, harmed) in (0u8..).zip(&harmed) {
            let mut message = other_tcp(number, number);
            if *harmed {
                message[0] = 99;
            }
            datagram.extend(about_socket(&message));
        }
        let (dump, sockets, progress) = dump(Table::Tcp, &[datagram]);
        let bad = harmed.iter().filter(|harmed| **harmed).count();
        prop_assert_eq!(progress, Progress::More);
        prop_assert_eq!(sockets.len(), harmed.len() - bad);
        let lost = dump.lost().map_or(0, |lost| lost.count);
        prop_assert_eq!(lost, u64::try_from(bad).unwrap());
    }

    #[test]
    fn any_datagram_is_taken(
        datagram in proptest::collection::vec(any::<u8>(), 0..400),
        at in any::<proptest::sample::Index>(),
        table in proptest::sample::select(Table::ALL.to_vec()),
    ) {
        let _ = dump(table, std::slice::from_ref(&datagram));
        // And one that begins well.
        let mut begun: Vec<u8> = RECORDED.iter().flat_map(|(hex, _)| about_socket(&bytes(hex))).collect();
        begun.truncate(at.index(begun.len()));
        begun.extend(&datagram);
        let messages = Messages::new(&begun, 7).count();
        let (dump, sockets, _) = dump(table, &[begun]);
        let lost = dump.lost().map_or(0, |lost| lost.count);
        prop_assert!(sockets.len() + usize::try_from(lost).unwrap() <= messages);
    }
}
