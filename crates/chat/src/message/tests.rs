//! What peers of every habit send, cut anywhere.

use super::*;
use proptest::prelude::*;

fn drain(decoder: &mut Decoder) -> Vec<Result<String, TooLong>> {
    std::iter::from_fn(|| decoder.message())
        .map(|message| message.map(|text| String::from_utf8(text).unwrap()))
        .collect()
}

fn heard(framing: Framing, chunks: &[&[u8]]) -> (Decoder, Vec<Result<String, TooLong>>) {
    let mut decoder = Decoder::new(framing, 16);
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        messages.extend(drain(&mut decoder));
    }
    (decoder, messages)
}

fn said(texts: &[&str]) -> Vec<Result<String, TooLong>> {
    texts.iter().map(|&text| Ok(text.to_owned())).collect()
}

#[test]
fn a_newline_ends_a_message_and_a_carriage_return_goes_with_it() {
    let (decoder, messages) = heard(Framing::Auto, &[b"one\ntw", b"o\r\n\nthree"]);
    assert_eq!(messages, said(&["one", "two", ""]));
    assert_eq!(decoder.patience(), Some(QUIET_AMID_LINES));
    assert!(decoder.peer_expects_newline());
}

#[test]
fn a_first_message_without_newline_makes_the_peer_bare() {
    let (mut decoder, messages) = heard(Framing::Auto, &[b"hello"]);
    assert_eq!(messages, said(&[]));
    assert!(decoder.peer_expects_newline(), "not known yet");
    assert_eq!(decoder.patience(), Some(QUIET));
    assert_eq!(decoder.fragment().as_deref(), Some(&b"hello"[..]));
    assert!(!decoder.peer_expects_newline());
    assert_eq!(decoder.patience(), None);
}

#[test]
fn a_late_newline_belongs_to_the_fragment_shown_before_it() {
    let (mut decoder, _) = heard(Framing::Auto, &[b"hel"]);
    assert_eq!(decoder.fragment().as_deref(), Some(&b"hel"[..]));
    decoder.push(b"\nnext\n\n");
    assert_eq!(drain(&mut decoder), said(&["next", ""]));
}

#[test]
fn line_framing_waits_for_the_newline_however_long() {
    let (mut decoder, messages) = heard(Framing::Line, &[b"hello"]);
    assert_eq!((messages, decoder.patience()), (said(&[]), None));
    assert_eq!(
        decoder.fragment().as_deref(),
        Some(&b"hello"[..]),
        "at the end of input"
    );
}

#[test]
fn raw_framing_takes_what_comes_at_once_but_joins_split_characters() {
    let text = "你好".as_bytes();
    let (decoder, messages) = heard(Framing::Raw, &[b"hello", &text[..4], &text[4..]]);
    assert_eq!(messages, said(&["hello", "你好"]));
    assert!(!decoder.peer_expects_newline());

    let (mut decoder, messages) = heard(Framing::Raw, &[b"half \xe4"]);
    assert_eq!(messages, said(&[]));
    assert_eq!(decoder.patience(), Some(QUIET_AMID_CHARACTER));
    assert_eq!(decoder.fragment().as_deref(), Some(&b"half \xe4"[..]));
}

#[test]
fn half_a_character_is_waited_for_longer_than_a_pause_between_turns() {
    let (decoder, _) = heard(Framing::Auto, &[b"ni \xe4\xbd"]);
    assert_eq!(decoder.patience(), Some(QUIET_AMID_CHARACTER));
    let (decoder, _) = heard(Framing::Auto, &[b"bad \xff"]);
    assert_eq!(decoder.patience(), Some(QUIET), "no byte can complete 0xff");
}

#[test]
fn a_message_over_the_limit_is_told_once_and_skipped_to_its_newline() {
    let long = [b'x'; 40];
    let (_, messages) = heard(Framing::Auto, &[&long, &long, b"\nok\n"]);
    let mut expected = vec![Err(TooLong { limit: 16 })];
    expected.extend(said(&["ok"]));
    assert_eq!(messages, expected);

    let (_, messages) = heard(Framing::Line, &[b"0123456789abcdef\r\n"]);
    assert_eq!(
        messages,
        said(&["0123456789abcdef"]),
        "exactly the limit is allowed"
    );
    let (_, messages) = heard(Framing::Raw, &[b"0123456789abcdefg"]);
    assert_eq!(messages, [Err(TooLong { limit: 16 })]);
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![Just(Framing::Auto), Just(Framing::Line), Just(Framing::Raw)]
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_stay_within_bounds(
        framing in framing(),
        pieces in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..64), any::<bool>()), 0..40),
    ) {
        let mut decoder = Decoder::new(framing, 32);
        for (piece, pause) in &pieces {
            decoder.push(piece);
            while let Some(message) = decoder.message() {
                if let Ok(text) = message {
                    prop_assert!(text.len() <= 32);
                }
            }
            prop_assert!(decoder.waiting().len() <= 33);
            if *pause && decoder.patience().is_some() {
                let waiting = decoder.waiting().to_vec();
                let fragment = decoder.fragment().unwrap();
                prop_assert!(waiting.starts_with(&fragment));
                prop_assert!(decoder.patience().is_none());
            }
        }
    }

    #[test]
    fn lines_survive_being_cut_anywhere(
        lines in prop::collection::vec("[^\r\n]{0,10}", 1..8),
        cuts in prop::collection::vec(1usize..9, 1..30),
    ) {
        let mut bytes: Vec<u8> = lines.iter().flat_map(|l| encode(l.as_bytes(), true)).collect();
        let mut decoder = Decoder::new(Framing::Auto, 64);
        let mut messages = Vec::new();
        let mut cuts = cuts.into_iter().cycle();
        while !bytes.is_empty() {
            let cut = cuts.next().unwrap().min(bytes.len());
            decoder.push(&bytes.drain(..cut).collect::<Vec<_>>());
            messages.extend(drain(&mut decoder));
        }
        prop_assert_eq!(messages, lines.into_iter().map(Ok).collect::<Vec<_>>());
    }
}
