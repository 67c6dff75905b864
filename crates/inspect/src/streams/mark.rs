//! What a segment can mean, and how often each thing happened.

/// What a segment means after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A SYN that was sent before; the number of tries so far.
    Retried(u32),
    /// Nothing listens there, or a firewall refuses.
    Refused,
    /// All of it was sent before.
    Retransmission,
    /// It was sent before what passed earlier.
    OutOfOrder,
    /// Something before it has not passed here: bytes.
    AfterGap(u32),
    /// The same acknowledgement again, while more is under way: the so many-th.
    DuplicateAck(u32),
    /// It can take no more.
    ZeroWindow,
    /// It can take more again.
    WindowOpen,
    /// Asks whether the other side is still there.
    KeepAlive,
    /// Asks whether the other side can take more.
    WindowProbe,
    /// It breaks off, and what the other side had said since it last spoke may be unread: bytes.
    ResetUnread(u64),
    /// It had closed, and what came after that is thrown away.
    ResetAfterClose,
    /// A SYN that is no part of the conversation, which goes on: forged, or of a side that knows
    /// nothing of it any more.
    SynAmid,
    /// The same packet, seen on another interface just before.
    Copy,
}

impl Mark {
    /// The word used in records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retried(_) => "syn-retry",
            Self::Refused => "refused",
            Self::Retransmission => "retransmission",
            Self::OutOfOrder => "out-of-order",
            Self::AfterGap(_) => "after-gap",
            Self::DuplicateAck(_) => "duplicate-ack",
            Self::ZeroWindow => "zero-window",
            Self::WindowOpen => "window-open",
            Self::KeepAlive => "keep-alive",
            Self::WindowProbe => "zero-window-probe",
            Self::ResetUnread(_) => "reset-unread",
            Self::ResetAfterClose => "reset-after-close",
            Self::SynAmid => "syn-amid",
            Self::Copy => "copy",
        }
    }
}

/// How often each thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Troubles {
    /// Connections that were refused.
    pub refused: u64,
    /// Connections of which no SYN was answered.
    pub unanswered: u64,
    /// SYNs sent again.
    pub retries: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Segments that came out of order.
    pub out_of_order: u64,
    /// Duplicate acknowledgements.
    pub duplicate_acks: u64,
    /// Windows that closed.
    pub zero_windows: u64,
    /// Resets with data that may be unread.
    pub resets_unread: u64,
    /// Resets of what came after a close.
    pub resets_after_close: u64,
    /// Segments before which something had not passed.
    pub after_gap: u64,
    /// SYNs amid a conversation that went on.
    pub syns_amid: u64,
    /// Gaps in the sequence numbers that were forgotten before they were filled: there were too
    /// many, and what fills them counts as sent again.
    pub holes_forgotten: u64,
}

impl Troubles {
    /// Counts what a segment means.
    pub fn count(&mut self, mark: Mark) {
        let count = match mark {
            Mark::Retried(_) => &mut self.retries,
            Mark::Refused => &mut self.refused,
            Mark::Retransmission => &mut self.retransmissions,
            Mark::OutOfOrder => &mut self.out_of_order,
            Mark::AfterGap(_) => &mut self.after_gap,
            Mark::SynAmid => &mut self.syns_amid,
            Mark::DuplicateAck(_) => &mut self.duplicate_acks,
            Mark::ZeroWindow => &mut self.zero_windows,
            Mark::ResetUnread(_) => &mut self.resets_unread,
            Mark::ResetAfterClose => &mut self.resets_after_close,
            Mark::WindowOpen | Mark::KeepAlive | Mark::WindowProbe | Mark::Copy => return,
        };
        *count += 1;
    }

    /// Each with its word.
    pub fn counts(&self) -> [(&'static str, u64); 12] {
        [
            ("refused", self.refused),
            ("unanswered", self.unanswered),
            ("syn_retries", self.retries),
            ("retransmissions", self.retransmissions),
            ("out_of_order", self.out_of_order),
            ("duplicate_acks", self.duplicate_acks),
            ("zero_windows", self.zero_windows),
            ("resets_unread", self.resets_unread),
            ("resets_after_close", self.resets_after_close),
            ("after_gap", self.after_gap),
            ("syns_amid", self.syns_amid),
            ("holes_forgotten", self.holes_forgotten),
        ]
    }
}
