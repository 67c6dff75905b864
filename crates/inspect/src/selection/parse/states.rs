//! States and groups of them.

use super::{Parser, Range};
use crate::model::State;
use crate::selection::error::{Expected, Kind, Problem};
use crate::selection::token::{Fault, Sign, Token, Word};
use crate::selection::{Selection, Test};

/// Whether a word begins a test of states.
pub(super) fn begins(word: &Word) -> bool {
    matches!(
        word.keyword().as_deref(),
        Some("state" | "exclude" | "excl")
    )
}

/// The states that a word of ss stands for (man 8 ss, STATE-FILTER).
pub(super) fn of_word(word: &str) -> Option<Vec<State>> {
    let all_but = |out: &[State]| -> Vec<State> {
        let kept = State::ALL.into_iter().filter(|state| !out.contains(state));
        kept.collect()
    };
    // For ss these are one state, the kernel's TCP_CLOSE; a socket that is bound only is in it
    // as well where the kernel does not tell it apart.
    const CLOSED: [State; 2] = [State::Unconnected, State::Closed];
    const UNUSED: [State; 4] = [
        State::Listen,
        State::Bound,
        State::Unconnected,
        State::Closed,
    ];
    Some(match word.to_ascii_lowercase().as_str() {
        "all" => State::ALL.to_vec(),
        "connected" => all_but(&UNUSED),
        "synchronized" => all_but(&[&UNUSED[..], &[State::SynSent]].concat()),
        "bucket" => vec![State::SynRecv, State::TimeWait],
        "big" => all_but(&[State::SynRecv, State::TimeWait]),
        "closed" | "close" | "unconnected" | "unconn" => CLOSED.to_vec(),
        "syn-rcv" => vec![State::SynRecv],
        _ => vec![word.parse().ok()?],
    })
}

/// The words that [`of_word`] knows, as ss writes them.
pub(super) const WORDS: [&str; 18] = [
    "all",
    "connected",
    "synchronized",
    "bucket",
    "big",
    "listening",
    "bound",
    "unconnected",
    "syn-sent",
    "syn-recv",
    "established",
    "fin-wait-1",
    "fin-wait-2",
    "close-wait",
    "closing",
    "last-ack",
    "time-wait",
    "closed",
];

impl Parser<'_> {
    /// `state A state B exclude C`: the set it builds up, word by word. It begins empty, or
    /// with every state where the first word takes out.
    pub(super) fn states(&mut self) -> Result<Selection, Fault> {
        let mut chosen: Option<Vec<State>> = None;
        while let (_, Token::Word(word)) = self.tokens.peek()? {
            if !begins(&word) {
                break;
            }
            self.tokens.next()?;
            let sign = self.sign()?;
            let named = self.named_states(sign.as_ref())?;
            let unequal = matches!(sign, Some((_, Sign::Unequal)));
            let takes_out = (word.keyword().as_deref() != Some("state")) != unequal;
            let start = if takes_out {
                State::ALL.to_vec()
            } else {
                Vec::new()
            };
            let chosen = chosen.get_or_insert(start);
            chosen.retain(|state| !named.contains(state));
            if !takes_out {
                chosen.extend(named);
            }
        }
        let chosen = chosen.unwrap_or_default();
        let in_order = State::ALL
            .into_iter()
            .filter(|state| chosen.contains(state));
        let mut tests: Vec<Selection> = in_order
            .map(|state| Selection::Test(Test::State(state)))
            .collect();
        Ok(match tests.len() {
            1 => tests.remove(0),
            many if many == State::ALL.len() => Selection::everything(),
            _ => Selection::Any(tests),
        })
    }

    fn named_states(&mut self, sign: Option<&(Range<usize>, Sign)>) -> Result<Vec<State>, Fault> {
        if let Some((at, Sign::Is(is))) = sign
            && *is != super::Comparison::Equal
        {
            return Err((at.clone(), Problem::NoOrder { word: "state" }));
        }
        let value = self.value(Expected::State)?;
        let word = super::numbers::text(&value)?;
        // With its sign it is one state, as the table shows it, where ss has one for two.
        if let (Some(_), Ok(state)) = (sign, word.parse::<State>()) {
            return Ok(vec![state]);
        }
        of_word(&word).ok_or_else(|| {
            let kind = Kind::State;
            let meant = super::lookup::nearest(&word, WORDS);
            (value.at.clone(), Problem::Unknown { kind, word, meant })
        })
    }
}
