//! How netlink frames its messages and their attributes: bytes -> pieces of them.
//!
//! Layouts: include/uapi/linux/netlink.h `struct nlmsghdr`, `struct nlmsgerr`, `struct nlattr`;
//! netlink(7).

use super::bytes::{i32_at, u16_at, u32_at};

/// `sizeof(struct nlmsghdr)`: length u32, type u16, flags u16, sequence u32, port id u32.
pub(super) const HEADER: usize = 16;
/// `sizeof(struct nlattr)`: length u16, type u16.
pub(super) const ATTRIBUTE_HEADER: usize = 4;

/// `NLMSG_NOOP`: says nothing.
const NOOP: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;
/// `NLMSG_OVERRUN`: messages were lost.
const OVERRUN: u16 = 4;
/// `SOCK_DIAG_BY_FAMILY` (include/uapi/linux/sock_diag.h).
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// `TCPDIAG_GETSOCK` (include/uapi/linux/inet_diag.h): asks for TCP over both versions of IP.
pub(super) const TCPDIAG_GETSOCK: u16 = 18;

/// `NLM_F_DUMP_INTR`: the table changed while it was dumped, and the dump may contradict itself.
const DUMP_INTR: u16 = 0x10;

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` stand in the same number as the type.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// Why a message was kept out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    /// It ends before what belongs into it.
    #[error("it is cut short")]
    Short,
    /// An attribute reaches beyond the message.
    #[error("its attributes do not fit into it")]
    Attributes,
    #[error("its family is {0}")]
    Family(u8),
    #[error("its state is {0}")]
    State(u8),
    #[error("its socket type is {0}")]
    SocketType(u8),
    #[error("its type is {0}")]
    Kind(u16),
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A socket.
    Socket(&'a [u8]),
    /// The end of the dump, with an errno where it failed.
    Done(Option<i32>),
    /// The request was refused with this errno.
    Refused(i32),
    /// Messages were lost.
    Overrun,
    /// Nothing, or something that is not for us.
    Nothing,
    /// A message of this unknown type.
    Unknown(u16),
}

/// A message, and whether its dump was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) said: Said<'a>,
    pub(super) interrupted: bool,
}

/// The messages of one datagram that answer the request with a given sequence number.
pub(super) struct Messages<'a> {
    rest: &'a [u8],
    sequence: u32,
}

impl<'a> Messages<'a> {
    pub(super) fn new(datagram: &'a [u8], sequence: u32) -> Self {
        Self {
            rest: datagram,
            sequence,
        }
    }

    fn next_message(&mut self) -> Result<Message<'a>, BadMessage> {
        let (length, kind, flags, sequence) = (|| {
            let length = usize::try_from(u32_at(self.rest, 0)?).ok()?;
            let kind = u16_at(self.rest, 4)?;
            let flags = u16_at(self.rest, 6)?;
            Some((length, kind, flags, u32_at(self.rest, 8)?))
        })()
        .ok_or(BadMessage::Short)?;
        let payload = self
            .rest
            .get(HEADER..length.max(HEADER))
            .filter(|_| length >= HEADER)
            .ok_or(BadMessage::Short)?;
        self.rest = self.rest.get(align(length)..).unwrap_or_default();
        let said = match kind {
            // An answer to an older request that was given up.
            _ if sequence != self.sequence => Said::Nothing,
            NOOP => Said::Nothing,
            // Kernels before 4.16 write no errno, or the length of nothing.
            DONE => Said::Done(i32_at(payload, 0).and_then(errno)),
            ERROR => match errno(i32_at(payload, 0).ok_or(BadMessage::Short)?) {
                Some(errno) => Said::Refused(errno),
                // An acknowledgement.
                None => Said::Nothing,
            },
            OVERRUN => Said::Overrun,
            SOCK_DIAG_BY_FAMILY | TCPDIAG_GETSOCK => Said::Socket(payload),
            other => Said::Unknown(other),
        };
        Ok(Message {
            said,
            interrupted: sequence == self.sequence && flags & DUMP_INTR != 0,
        })
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, BadMessage>;

    /// After a message whose length cannot be, nothing more can be found.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.next_message();
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

/// The kernel writes errors as negative numbers.
fn errno(number: i32) -> Option<i32> {
    (number < 0).then(|| number.saturating_neg())
}

/// `NLMSG_ALIGN` and `NLA_ALIGN`: the next begins at a multiple of four.
pub(super) fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// The attributes after the fixed part of a message: number and bytes of each.
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(super) fn after(message: &'a [u8], fixed: usize) -> Self {
        Self(message.get(align(fixed)..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), BadMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let attribute = (|| {
            let length = usize::from(u16_at(self.0, 0)?);
            let kind = u16_at(self.0, 2)? & ATTRIBUTE_TYPE;
            Some((kind, length, self.0.get(ATTRIBUTE_HEADER..length)?))
        })();
        let Some((kind, length, value)) = attribute else {
            self.0 = &[];
            return Some(Err(BadMessage::Attributes));
        };
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(Ok((kind, value)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::framed;
    use super::*;

    fn said(datagram: &[u8]) -> Vec<Result<Said<'_>, BadMessage>> {
        Messages::new(datagram, 7)
            .map(|message| message.map(|message| message.said))
            .collect()
    }

    #[test]
    fn messages_say_what_their_type_says() {
        let error = (-2i32).to_ne_bytes();
        let datagram = [
            framed(SOCK_DIAG_BY_FAMILY, 2, 7, b"socket"),
            framed(SOCK_DIAG_BY_FAMILY, 2, 6, b"older"),
            framed(NOOP, 0, 7, b""),
            framed(ERROR, 0, 7, &error),
            framed(ERROR, 0, 7, &0i32.to_ne_bytes()),
            framed(OVERRUN, 0, 7, b""),
            framed(99, 0, 7, b""),
            framed(DONE, 2, 7, &error),
            framed(DONE, 2, 7, &0i32.to_ne_bytes()),
            framed(DONE, 2, 7, b""),
        ]
        .concat();
        assert_eq!(
            said(&datagram),
            [
                Said::Socket(b"socket"),
                Said::Nothing,
                Said::Nothing,
                Said::Refused(2),
                Said::Nothing,
                Said::Overrun,
                Said::Unknown(99),
                Said::Done(Some(2)),
                Said::Done(None),
                Said::Done(None),
            ]
            .map(Ok)
        );
    }

    #[test]
    fn an_interrupted_dump_is_told_by_each_of_its_messages() {
        let told = |flags, sequence| {
            let datagram = framed(DONE, flags, sequence, b"");
            let message = Messages::new(&datagram, 7).next().unwrap();
            message.unwrap().interrupted
        };
        assert!(told(2 | DUMP_INTR, 7));
        assert!(!told(2, 7));
        assert!(!told(2 | DUMP_INTR, 6), "of another dump");
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_datagram() {
        for length in [0u32, 15, 25, u32::MAX] {
            let mut datagram = framed(DONE, 2, 7, &[0; 4]);
            datagram.extend(framed(DONE, 2, 7, &[0; 4]));
            datagram[20..24].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(
                said(&datagram),
                [Ok(Said::Done(None)), Err(BadMessage::Short)],
                "{length}"
            );
        }
    }

    #[test]
    fn attributes_are_found_behind_the_fixed_part_and_their_padding() {
        let mut message = vec![0; 6];
        message.extend([0; 2]); // padding
        message.extend([5u16.to_ne_bytes(), (3u16 | 0x8000).to_ne_bytes()].concat());
        message.extend([9, 0, 0, 0]);
        message.extend([4u16.to_ne_bytes(), 4u16.to_ne_bytes()].concat());
        let found: Vec<_> = Attributes::after(&message, 6).collect();
        assert_eq!(found, [Ok((3, &[9][..])), Ok((4, &[][..]))]);
        assert_eq!(Attributes::after(&message, 99).next(), None);
    }

    #[test]
    fn an_attribute_that_does_not_fit_is_said_once() {
        for length in [0u16, 3, 9] {
            let mut message = length.to_ne_bytes().to_vec();
            message.extend([1, 0, 0, 0, 0, 0]);
            let found: Vec<_> = Attributes::after(&message, 0).collect();
            assert_eq!(found, [Err(BadMessage::Attributes)], "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_bad_and_end(bytes: Vec<u8>, sequence: u32) {
            let count = Messages::new(&bytes, sequence).count();
            prop_assert!(count <= bytes.len() / HEADER + 1);
            let count = Attributes::after(&bytes, 0).count();
            prop_assert!(count <= bytes.len() / ATTRIBUTE_HEADER + 1);
        }
    }
}
