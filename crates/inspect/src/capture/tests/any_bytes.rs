//! Any bytes are a packet.

use proptest::prelude::*;

use super::super::crafted::*;
use super::super::*;
use super::*;

const LINKS: [Link; 7] = [
    Link::Ethernet,
    Link::Sll,
    Link::Sll2,
    Link::Raw,
    Link::Null,
    Link::Loop,
    Link::Other(147),
];

/// Decodes, and checks what holds of every packet.
fn check(link: Link, bytes: &[u8], original_length: u32) {
    let frame = Frame {
        original_length,
        ..framed(bytes)
    };
    let packet = decode(link, &frame);
    let payload = packet.payload();
    assert!(
        u32::try_from(payload.len()).unwrap() <= packet.payload_length().unwrap_or(0),
        "{packet:?}"
    );
    assert!(payload.len() <= bytes.len());
    let _ = selects(&port(2345), &packet);
    let mut conversations = Conversations::<()>::new();
    let seen = conversations.see(&packet).map(|seen| seen.relative);
    let has_conversation = packet.ends().is_some() && packet.icmp_error().is_none();
    assert_eq!(seen.is_some(), has_conversation);
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet(bytes in proptest::collection::vec(any::<u8>(), 0..200), more in 0u32..2000) {
        let length = u32::try_from(bytes.len()).unwrap();
        for link in LINKS {
            check(link, &bytes, length + more);
        }
    }

    #[test]
    fn a_good_frame_gone_bad_is_a_packet(
        which in 0usize..20,
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..6),
        cut in 0usize..120,
        more in 0u32..100,
    ) {
        let (_, mut frame) = hello_in_every_wrapping().swap_remove(which);
        for (at, value) in changes {
            let at = at % frame.len();
            frame[at] = value;
        }
        frame.truncate(frame.len().saturating_sub(cut).max(1));
        let length = u32::try_from(frame.len()).unwrap();
        check(Link::Ethernet, &frame, length + more);
        check(Link::Raw, &frame[14.min(frame.len())..], length + more);
    }

    /// The kernel is asked for at least what is shown.
    #[test]
    fn what_is_selected_passes_the_kernel_filter(
        which in 0usize..20,
        changes in proptest::collection::vec((0usize..80, any::<u8>()), 0..3),
    ) {
        thread_local! {
            static PROGRAM: Program = Program::compile(
                Link::Ethernet,
                &kernel_filter(&port(2345), Link::Ethernet).unwrap(),
            ).unwrap();
        }
        let (_, mut frame) = hello_in_every_wrapping().swap_remove(which);
        for (at, value) in changes {
            let at = at % frame.len();
            frame[at] = value;
        }
        let packet = decoded(Link::Ethernet, &frame);
        if packet.fault.is_none() && selects(&port(2345), &packet) == Some(true) {
            prop_assert!(PROGRAM.with(|program| program.passes(&frame)), "{:?}", packet);
        }
    }
}
