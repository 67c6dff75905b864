//! What waits in a socket's queues, in words.

use crate::model::{Protocol, State};
use crate::render::Style;
use crate::render::table::Note;
use crate::sockets::Socket;

/// What waits, in words and with ss's name for it.
///
/// The kernel counts sequence numbers, and an end of stream (FIN) takes one: a queue that holds
/// it has one byte less (net/ipv4/tcp_ipv4.c: `rcv_nxt - copied_seq`, `write_seq - snd_una`).
pub(in crate::render) fn queue_notes(socket: &Socket) -> Vec<Note> {
    let tcp = socket.protocol == Protocol::Tcp;
    let mut lines = Vec::new();
    if let Some(waiting @ 1..) = socket.recv_queue {
        let ended = matches!(
            socket.state,
            State::CloseWait | State::LastAck | State::Closing
        );
        lines.push(match waiting {
            _ if socket.state == State::Listen => accept_queue(waiting, socket.send_queue),
            1 if tcp && ended => "end of stream unread (Recv-Q)".to_owned(),
            _ if tcp && ended => format!("{}, end of stream unread (Recv-Q)", bytes(waiting - 1)),
            // Datagrams are charged with the memory they take, not with what they carry
            // (`sk_rmem_alloc`): a buffer of 832 bytes may hold 5.
            _ if !tcp => format!("{} of receive buffer in use (Recv-Q)", bytes(waiting)),
            _ => format!("{} unread (Recv-Q)", bytes(waiting)),
        });
    }
    if let Some(waiting @ 1..) = socket.send_queue
        && socket.state != State::Listen
    {
        let ended = matches!(
            socket.state,
            State::FinWait1 | State::LastAck | State::Closing
        );
        lines.push(match waiting {
            1 if tcp && ended => "end of stream not acknowledged (Send-Q)".to_owned(),
            _ if tcp && ended => format!(
                "{}, end of stream not acknowledged (Send-Q)",
                bytes(waiting - 1)
            ),
            _ if !tcp => format!("{} of send buffer in use (Send-Q)", bytes(waiting)),
            _ => format!("{} not acknowledged (Send-Q)", bytes(waiting)),
        });
    }
    lines
        .into_iter()
        .map(|text| Note {
            text,
            style: Some(Style::Notable),
        })
        .collect()
}

/// The kernel refuses a connection when the queue is longer than its limit
/// (include/net/sock.h `sk_acceptq_is_full`), so a full one holds one more.
fn accept_queue(waiting: u32, limit: Option<u32>) -> String {
    let waiting_words = grouped(waiting.into());
    match limit {
        Some(limit) if waiting > limit => format!(
            "accept queue {waiting_words} of {}: full, new clients wait or time out",
            grouped(limit.into())
        ),
        Some(limit) => format!(
            "accept queue {waiting_words} of {}: waiting for accept()",
            grouped(limit.into())
        ),
        None => format!("accept queue {waiting_words}: waiting for accept()"),
    }
}

fn bytes(count: u32) -> String {
    match count {
        1 => "1 byte".to_owned(),
        more => format!("{} bytes", grouped(more.into())),
    }
}

/// 212992 -> `212,992`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Endpoint, Family};
    use crate::sockets::Address;

    fn notes(state: State, recv_queue: u32, send_queue: u32) -> Vec<String> {
        let end = Endpoint::new("127.0.0.1".parse().unwrap(), 1);
        let socket = Socket {
            family: Family::Inet,
            protocol: Protocol::Tcp,
            state,
            address: Address::Inet {
                local: end,
                remote: end,
            },
            recv_queue: Some(recv_queue),
            send_queue: Some(send_queue),
            inode: None,
            cookie: None,
            uid: None,
            netns: None,
            interface: None,
            detail: None,
        };
        let notes = queue_notes(&socket);
        notes.into_iter().map(|note| note.text).collect()
    }

    #[test]
    fn an_end_of_stream_is_not_counted_as_a_byte() {
        assert!(notes(State::Established, 0, 0).is_empty());
        assert_eq!(notes(State::Established, 1, 0), ["1 byte unread (Recv-Q)"]);
        assert_eq!(
            notes(State::CloseWait, 1, 0),
            ["end of stream unread (Recv-Q)"]
        );
        assert_eq!(
            notes(State::CloseWait, 5_001, 0),
            ["5,000 bytes, end of stream unread (Recv-Q)"]
        );
        assert_eq!(
            notes(State::FinWait1, 0, 1),
            ["end of stream not acknowledged (Send-Q)"]
        );
        assert_eq!(
            notes(State::Listen, 3, 128),
            ["accept queue 3 of 128: waiting for accept()"]
        );
        assert_eq!(
            notes(State::Listen, 129, 128),
            ["accept queue 129 of 128: full, new clients wait or time out"]
        );
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (212_992, "212,992"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
