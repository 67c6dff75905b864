//! What segments mean after those before them.

use std::net::IpAddr;

use super::*;
use crate::model::{Endpoint, Protocol};

const FORTH: Direction = Direction::Forth;
const BACK: Direction = Direction::Back;
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Direction, milliseconds, sequence number, acknowledged, flags, window, bytes.
type Passed = (Direction, i64, u32, u32, u8, u16, u32);

fn pass(course: &mut Course, passed: Passed) -> Option<Mark> {
    let (direction, millis, seq, ack, flags, window, length) = passed;
    let nowhere = Endpoint::new(IpAddr::from([127, 0, 0, 1]), 1);
    let segment = Segment {
        protocol: Protocol::Tcp,
        source: nowhere,
        destination: nowhere,
        options: Default::default(),
        tcp: Some(Tcp {
            seq,
            ack,
            flags: Flags(flags),
            window,
        }),
        length: Some(length),
        payload: &[],
        fragment: None,
    };
    course.segment(
        direction,
        Timestamp::from_nanos(millis * 1_000_000),
        &segment,
    )
}

fn marks(all: &[Passed]) -> (Course, Vec<Option<Mark>>) {
    let mut course = Course::default();
    let marks = all.iter().map(|it| pass(&mut course, *it)).collect();
    (course, marks)
}

const OPENING: [Passed; 3] = [
    (FORTH, 0, u32::MAX, 0, SYN, 512, 0),
    (BACK, 1, 99, 0, SYN | ACK, 512, 0),
    (FORTH, 3, 0, 100, ACK, 512, 0),
];

/// After the handshake.
fn then(all: &[Passed]) -> (Course, Vec<Option<Mark>>) {
    let (course, marks) = marks(&[&OPENING[..], all].concat());
    assert!(marks[..3].iter().all(Option::is_none), "{marks:?}");
    (course, marks[3..].to_vec())
}

#[test]
fn a_talk_without_trouble_has_no_mark() {
    let (course, marks) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 5),
        (BACK, 5, 100, 5, ACK, 512, 2),
        (FORTH, 6, 5, 102, ACK, 512, 0),
        (FORTH, 7, 5, 102, ACK | FIN, 512, 0),
        (BACK, 8, 102, 6, ACK | FIN, 512, 0),
        (FORTH, 9, 6, 103, ACK, 512, 0),
    ]);
    assert_eq!(marks, [None; 6]);
    assert_eq!(course.handshake(), Some(3_000_000));
    assert_eq!((course.packets(), course.bytes()), ([6, 3], [5, 2]));
    assert_eq!(course.duration(), 9_000_000);
    assert_eq!(course.ending(), Ending::Closed(FORTH));
    assert_eq!(course.troubles(), Troubles::default());
}

#[test]
fn nobody_there_and_nobody_answering_are_two_things() {
    let (course, found) = marks(&[
        (FORTH, 0, 7, 0, SYN, 512, 0),
        (BACK, 1, 0, 8, RST | ACK, 0, 0),
    ]);
    assert_eq!(found, [None, Some(Mark::Refused)]);
    assert_eq!(course.ending(), Ending::Refused);
    let (course, found) = marks(&[
        (FORTH, 0, 7, 0, SYN, 512, 0),
        (FORTH, 1000, 7, 0, SYN, 512, 0),
        (FORTH, 3000, 7, 0, SYN, 512, 0),
    ]);
    assert_eq!(
        found,
        [None, Some(Mark::Retried(2)), Some(Mark::Retried(3))]
    );
    assert_eq!(course.ending(), Ending::Unanswered(3));
    assert_eq!(course.troubles().unanswered, 1);
}

#[test]
fn what_comes_again_and_what_takes_another_way_are_two_things() {
    let (course, marks) = then(&[
        (FORTH, 10, 0, 100, ACK, 512, 10),
        (FORTH, 11, 20, 100, ACK, 512, 10),
        // Soon: it took another way.
        (FORTH, 12, 10, 100, ACK, 512, 10),
        (FORTH, 20, 40, 100, ACK, 512, 10),
        (BACK, 20, 100, 30, ACK, 512, 0),
        (BACK, 21, 100, 30, ACK, 512, 0),
        (BACK, 22, 100, 30, ACK, 512, 0),
        // Late: it was sent again.
        (FORTH, 220, 30, 100, ACK, 512, 10),
        (FORTH, 300, 0, 100, ACK, 512, 50),
    ]);
    assert_eq!(
        marks,
        [
            None,
            Some(Mark::AfterGap(10)),
            Some(Mark::OutOfOrder),
            Some(Mark::AfterGap(10)),
            None,
            Some(Mark::DuplicateAck(1)),
            Some(Mark::DuplicateAck(2)),
            Some(Mark::Retransmission),
            Some(Mark::Retransmission),
        ]
    );
    let troubles = course.troubles();
    assert_eq!((troubles.retransmissions, troubles.duplicate_acks), (2, 2));
}

#[test]
fn a_closed_window_and_its_probes() {
    let (course, marks) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 100),
        (BACK, 5, 100, 100, ACK, 0, 0),
        (BACK, 6, 100, 100, ACK, 0, 0),
        // Linux probes with a byte that was sent (net/ipv4/tcp_output.c, tcp_xmit_probe_skb).
        (FORTH, 205, 99, 100, ACK, 512, 0),
        // Others with the byte itself.
        (FORTH, 405, 99, 100, ACK, 512, 1),
        (BACK, 406, 100, 100, ACK, 512, 0),
    ]);
    assert_eq!(
        marks,
        [
            None,
            Some(Mark::ZeroWindow),
            None,
            Some(Mark::WindowProbe),
            Some(Mark::WindowProbe),
            Some(Mark::WindowOpen),
        ]
    );
    assert_eq!(course.troubles().zero_windows, 1);
}

#[test]
fn a_reset_tells_what_may_be_unread() {
    let (course, marks) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 5),
        (BACK, 5, 100, 5, RST | ACK, 0, 0),
    ]);
    assert_eq!(marks[1], Some(Mark::ResetUnread(5)));
    assert_eq!(course.ending(), Ending::Reset(BACK));
    // It had answered: nothing tells that something is unread.
    let (_, marks) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 5),
        (BACK, 5, 100, 5, ACK, 512, 2),
        (BACK, 6, 102, 5, RST | ACK, 0, 0),
    ]);
    assert_eq!(marks[2], None);
    let (_, marks) = then(&[
        (BACK, 4, 100, 0, ACK | FIN, 512, 0),
        (FORTH, 5, 0, 101, ACK, 512, 5),
        (BACK, 6, 101, 0, RST, 0, 0),
        (BACK, 7, 101, 0, RST, 0, 0),
    ]);
    assert_eq!(marks[2..], [Some(Mark::ResetAfterClose), None]);
}

#[test]
fn verdicts_need_more_than_one_direction_or_a_stranger() {
    // Only the client's side passes here: it acknowledges, so it was answered.
    let (course, _) = marks(&[
        (FORTH, 0, 7, 0, SYN, 512, 0),
        (FORTH, 1, 8, 100, ACK, 512, 0),
        (FORTH, 2, 8, 100, ACK, 512, 20),
    ]);
    assert_eq!(course.ending(), Ending::Open);
    // A reset that knows no numbers, and one behind a close of both.
    let (course, found) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 5),
        (BACK, 5, 900_000_000, 5, RST | ACK, 0, 0),
        (BACK, 6, 100, 5, ACK | FIN, 512, 0),
        (FORTH, 7, 5, 101, ACK | FIN, 512, 0),
        (BACK, 8, 101, 0, RST, 0, 0),
    ]);
    assert_eq!(found[1], None);
    assert_eq!(course.ending(), Ending::Closed(BACK));
    // What is sent again is not unread twice.
    let (_, found) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 5),
        (FORTH, 204, 0, 100, ACK, 512, 5),
        (BACK, 205, 100, 5, RST | ACK, 0, 0),
    ]);
    assert_eq!(found[2], Some(Mark::ResetUnread(5)));
}

#[test]
fn a_question_whether_somebody_is_there_is_no_retransmission() {
    let (_, marks) = then(&[
        (FORTH, 4, 0, 100, ACK, 512, 5),
        (BACK, 5, 100, 5, ACK, 512, 0),
        (FORTH, 7000, 4, 100, ACK, 512, 1),
        (BACK, 7001, 100, 5, ACK, 512, 0),
        // Linux asks without a byte.
        (FORTH, 14_000, 4, 100, ACK, 512, 0),
    ]);
    let asks = Some(Mark::KeepAlive);
    assert_eq!(marks, [None, None, asks, None, asks]);
}

#[test]
fn several_holes_are_remembered_and_too_many_are_counted() {
    let piece = |millis, number: u32| (FORTH, millis, number * 10, 100, ACK, 512, 10);
    let (course, marks) = then(&[
        piece(10, 0),
        piece(10, 2),
        piece(10, 4),
        piece(10, 7),
        piece(11, 1),
        piece(11, 5),
        piece(11, 3),
        // Filled already, and the other half of a hole.
        piece(11, 3),
        piece(11, 6),
    ]);
    let (order, gap) = (Some(Mark::OutOfOrder), |bytes| Some(Mark::AfterGap(bytes)));
    let again = Some(Mark::Retransmission);
    assert_eq!(
        marks,
        [
            None,
            gap(10),
            gap(10),
            gap(20),
            order,
            order,
            order,
            again,
            order
        ]
    );
    assert_eq!(course.troubles().holes_forgotten, 0);
    let many: Vec<Passed> = (0..20).map(|number| piece(10, 2 * number)).collect();
    let (course, _) = then(&many);
    assert_eq!(course.troubles().holes_forgotten, 3);
    let (_, marks) = then(&[&many[..], &[piece(11, 1), piece(11, 35)]].concat());
    assert_eq!(marks[20..], [again, order]);
}
