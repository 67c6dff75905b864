//! Peers that do not answer.

use super::*;

fn trying(kind: TimerKind, retransmits: u8, heard_ms: u32) -> Machine {
    Machine::new()
        .with(
            connection(11, "10.0.0.2:5000", 0, 5)
                .timing(kind, retransmits)
                .knowing(|tcp| tcp.last_ack_ms = Some(heard_ms)),
        )
        .held(11, 100, 4, "sender")
}

#[test]
fn a_peer_that_does_not_answer_again_and_again_is_found() {
    for (kind, tries) in [
        (TimerKind::Retransmit, 4),
        (TimerKind::Keepalive, 3),
        (TimerKind::Persist, 3),
    ] {
        let found = trying(kind, tries, 9_000).still();
        assert_eq!(names(&found), ["half-open"], "{kind:?}");
        let Evidence::HalfOpen {
            tries: told,
            silent,
            ..
        } = found[0].evidence
        else {
            panic!("{found:?}")
        };
        assert_eq!(told, tries);
        assert_eq!(silent, Some(Duration::from_secs(9)));
        let fewer = trying(kind, tries - 1, 9_000).still();
        assert!(!names(&fewer).contains(&"half-open"), "{kind:?}");
    }
}

#[test]
fn silence_alone_is_no_finding() {
    // A terminal at night, with and without keepalive.
    for kind in [TimerKind::Off, TimerKind::Keepalive] {
        assert_eq!(names(&trying(kind, 0, 9 * 3_600_000).still()), NOTHING);
    }
}

#[test]
fn a_peer_that_was_heard_just_now_is_not_gone() {
    assert_eq!(
        names(&trying(TimerKind::Retransmit, 9, 100).still()),
        NOTHING
    );
}

#[test]
fn connections_to_one_host_that_is_gone_are_one_finding() {
    let mut machine = trying(TimerKind::Retransmit, 5, 9_000);
    for number in 0..4u64 {
        let remote = format!("10.0.0.2:{}", 6_000 + number);
        machine = machine
            .with(connection(20 + number, &remote, 0, 5).timing(TimerKind::Retransmit, 6))
            .held(20 + number, 100, 5, "sender");
    }
    let other = connection(30, "10.0.0.3:1", 0, 5).timing(TimerKind::Retransmit, 6);
    machine = machine.with(other).held(30, 100, 9, "sender");
    let found = machine.still();
    assert_eq!(names(&found), ["half-open", "half-open"]);
    assert!(matches!(
        found[0].evidence,
        Evidence::HalfOpen {
            sockets: 5,
            tries: 6,
            ..
        }
    ));
}

fn connecting(retransmits: Option<u8>) -> Machine {
    let mut socket = Socket {
        state: State::SynSent,
        ..connection(11, "10.0.0.9:80", 0, 1)
    };
    match retransmits {
        Some(number) => socket = socket.timing(TimerKind::Retransmit, number),
        None => socket = socket.blind(),
    }
    Machine::new().with(socket).held(11, 100, 4, "curl")
}

#[test]
fn a_syn_sent_again_and_again_is_found_and_one_that_was_lost_is_not() {
    let found = connecting(Some(2)).still();
    assert_eq!(names(&found), ["syn-sent-stuck"]);
    assert!(matches!(
        found[0].evidence,
        Evidence::SynSent { tries: Some(3), .. }
    ));
    assert_eq!(names(&connecting(Some(1)).still()), NOTHING);
}

#[test]
fn without_a_count_a_syn_takes_three_seconds_to_be_stuck() {
    let one = connecting(None);
    assert_eq!(names(&looks(&[&one, &one, &one])), NOTHING);
    assert_eq!(names(&looks(&[&one, &one, &one, &one])), ["syn-sent-stuck"]);
}

#[test]
fn who_waits_for_a_full_accept_queue_here_is_not_told_again() {
    let here = |address: &str| {
        let mut machine = connecting(Some(3));
        let syn = tcp(
            State::SynSent,
            &format!("{address}:40000"),
            &format!("{address}:80"),
            11,
        )
        .timing(TimerKind::Retransmit, 3);
        machine.sockets = vec![syn, queue(10, "0.0.0.0:80", 129, 128)];
        machine
    };
    for address in ["127.0.0.1", "10.0.0.1"] {
        assert_eq!(names(&here(address).still()), ["accept-queue-full"]);
    }
    // Another machine's port 80 is not ours.
    let mut elsewhere = here("10.0.0.1");
    elsewhere.sockets[0] = connecting(Some(3)).sockets[0].clone();
    assert_eq!(
        names(&elsewhere.still()),
        ["accept-queue-full", "syn-sent-stuck"]
    );
}
