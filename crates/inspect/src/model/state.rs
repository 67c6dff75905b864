//! The states of a socket.

use std::str::FromStr;

/// The state of a socket. TCP's are those of RFC 9293 as the kernel numbers them
/// (include/net/tcp_states.h), with the two ends of the handshake spelled the kernel's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Waits for connections.
    Listen,
    /// Bound to an address, neither listening nor connected.
    Bound,
    /// A datagram socket without a fixed peer.
    Unconnected,
    /// SYN sent, nothing heard yet.
    SynSent,
    /// SYN received and answered.
    SynRecv,
    /// Open in both directions; for datagram sockets: has a fixed peer.
    Established,
    /// We closed; our FIN is not acknowledged yet.
    FinWait1,
    /// We closed and that is acknowledged; the peer has not closed.
    FinWait2,
    /// The peer closed; this side has not called close() yet.
    CloseWait,
    /// Both closed at once.
    Closing,
    /// The peer closed, then we; our FIN is not acknowledged yet.
    LastAck,
    /// Closed; the pair of endpoints rests so that late segments cannot confuse a successor.
    TimeWait,
    /// Not connected any more, or never was.
    Closed,
}

impl State {
    /// All states, listeners first: the order of tables.
    pub const ALL: [Self; 13] = [
        Self::Listen,
        Self::Bound,
        Self::Unconnected,
        Self::SynSent,
        Self::SynRecv,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
    ];

    /// The word used in records and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::Bound => "BOUND",
            Self::Unconnected => "UNCONNECTED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::Closed => "CLOSED",
        }
    }

    /// A TCP state from the kernel's number (include/net/tcp_states.h). TCP_NEW_SYN_RECV is
    /// how the kernel keeps SYN_RECV of a half-open connection.
    pub fn from_tcp_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            13 => Self::Bound,
            _ => return None,
        })
    }
}

/// The word is no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    /// Takes our words and those of ss, in either case, with `-` or `_`.
    fn from_str(word: &str) -> Result<Self, UnknownState> {
        let word = word.to_ascii_uppercase().replace('-', "_");
        if let Some(state) = Self::ALL.into_iter().find(|state| state.word() == word) {
            return Ok(state);
        }
        // ss spells these differently (man 8 ss, STATE-FILTER, and its State column).
        Ok(match word.as_str() {
            "ESTAB" => Self::Established,
            "LISTENING" => Self::Listen,
            "UNCONN" => Self::Unconnected,
            "FIN_WAIT_1" => Self::FinWait1,
            "FIN_WAIT_2" => Self::FinWait2,
            "CLOSE" => Self::Closed,
            "BOUND_INACTIVE" => Self::Bound,
            _ => return Err(UnknownState),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_read_back_from_its_word_in_either_case() {
        for state in State::ALL {
            assert_eq!(state.word().parse(), Ok(state));
            assert_eq!(state.word().to_lowercase().parse(), Ok(state));
        }
    }

    #[test]
    fn the_words_of_ss_are_understood() {
        for (word, state) in [
            ("estab", State::Established),
            ("fin-wait-1", State::FinWait1),
            ("time-wait", State::TimeWait),
            ("syn-recv", State::SynRecv),
            ("unconn", State::Unconnected),
            ("listening", State::Listen),
            ("close-wait", State::CloseWait),
        ] {
            assert_eq!(word.parse(), Ok(state), "{word}");
        }
        assert_eq!("open".parse::<State>(), Err(UnknownState));
    }

    proptest::proptest! {
        #[test]
        fn any_word_is_a_state_or_none(word: String) {
            if let Ok(state) = word.parse::<State>() {
                proptest::prop_assert!(State::ALL.contains(&state));
            }
        }
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(State::from_tcp_number(1), Some(State::Established));
        assert_eq!(State::from_tcp_number(10), Some(State::Listen));
        assert_eq!(State::from_tcp_number(12), Some(State::SynRecv));
        assert_eq!(State::from_tcp_number(0), None);
        assert_eq!(State::from_tcp_number(14), None);
    }
}
