//! The buffers of a socket, which every family describes the same way.

use super::super::{Memory, Shutdown};
use super::bytes::u32_at;

/// An array of u32 (include/uapi/linux/sock_diag.h `SK_MEMINFO_*`), longer with each kernel.
pub(super) fn memory(bytes: &[u8]) -> Memory {
    let word = |number: usize| u32_at(bytes, number * 4);
    Memory {
        receive_used: word(0),
        receive_limit: word(1),
        send_used: word(2),
        send_limit: word(3),
        // An int in the kernel, which may be below zero for a moment.
        forward_allocated: word(4).filter(|number| i32::try_from(*number).is_ok()),
        write_queued: word(5),
        options: word(6),
        backlog: word(7),
        drops: word(8),
    }
}

/// `RCV_SHUTDOWN` and `SEND_SHUTDOWN` (include/net/sock.h).
pub(super) fn shutdown(bits: u8) -> Shutdown {
    Shutdown {
        receive: bits & 1 != 0,
        send: bits & 2 != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_kernel_tells_fewer_numbers() {
        let mut bytes = Vec::new();
        for number in 1..=8u32 {
            bytes.extend(number.to_ne_bytes());
        }
        let told = memory(&bytes);
        assert_eq!((told.receive_used, told.backlog), (Some(1), Some(8)));
        assert_eq!(told.drops, None);
        assert_eq!(memory(&bytes[..7]).receive_limit, None);
    }

    #[test]
    fn directions_are_shut_down_one_by_one() {
        for (bits, receive, send) in [
            (0, false, false),
            (1, true, false),
            (2, false, true),
            (3, true, true),
        ] {
            assert_eq!(shutdown(bits), Shutdown { receive, send });
        }
    }
}
