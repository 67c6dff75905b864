//! What the kernel does with a program: its audit and its run, written down once more.

use std::net::IpAddr;

use crate::sockets::Socket;

/// What `inet_diag_bc_audit` (net/ipv4/inet_diag.c) asks of a program.
pub(super) fn audit(program: &[u8]) {
    assert!(!program.is_empty());
    let starts: Vec<usize> = std::iter::successors(Some(0), |at| {
        (*at < program.len()).then(|| at + usize::from(program[at + 1]))
    })
    .collect();
    assert_eq!(*starts.last().unwrap(), program.len());
    for at in starts.iter().copied().filter(|at| *at < program.len()) {
        let length = usize::from(program[at + 1]);
        let operand = &program[at + 4..at + length];
        let least = match program[at] {
            1 => 4,
            2..=5 => 8,
            7 | 8 => {
                let (bytes, bits) = match operand[0] {
                    0 => (0, 0),
                    2 => (4, 32),
                    10 => (16, 128),
                    other => panic!("family {other}"),
                };
                assert!(operand[1] <= bits);
                12 + bytes
            }
            other => panic!("operation {other}"),
        };
        assert_eq!(length, least);
        let no = usize::from(u16::from_ne_bytes([program[at + 2], program[at + 3]]));
        assert!(no >= least && no.is_multiple_of(4));
        let left = program.len() - at;
        assert!(no <= left + 4);
        assert!(no > left || starts.contains(&(at + no)), "{at} + {no}");
    }
}

/// What `inet_diag_bc_run` does with a program.
pub(super) fn run(program: &[u8], socket: &Socket) -> bool {
    let (local, remote) = socket.endpoints().unwrap();
    let mut at = 0;
    while at < program.len() {
        let word = |place: usize| u16::from_ne_bytes([program[place], program[place + 1]]);
        let end = match program[at] {
            2 | 3 | 7 => local,
            _ => remote,
        };
        let yes = match program[at] {
            1 => false,
            2 | 4 => end.port >= word(at + 6),
            3 | 5 => end.port <= word(at + 6),
            _ => {
                let operand = &program[at + 4..];
                let port = i32::from_ne_bytes(operand[4..8].try_into().unwrap());
                (port == -1 || port == i32::from(end.port))
                    && in_network(end.address, operand[0], operand[1], &operand[8..])
            }
        };
        at += if yes {
            usize::from(program[at + 1])
        } else {
            usize::from(word(at + 2))
        };
    }
    at == program.len()
}

fn in_network(address: IpAddr, family: u8, prefix: u8, network: &[u8]) -> bool {
    let same = |address: &[u8]| {
        (0..usize::from(prefix))
            .all(|bit| (address[bit / 8] ^ network[bit / 8]) & (0x80 >> (bit % 8)) == 0)
    };
    match (family, address) {
        (0, _) => true,
        (2, IpAddr::V4(v4)) => same(&v4.octets()),
        (2, IpAddr::V6(v6)) => v6.to_ipv4_mapped().is_some_and(|v4| same(&v4.octets())),
        (10, IpAddr::V6(v6)) => same(&v6.octets()),
        _ => false,
    }
}
