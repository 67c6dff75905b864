//! A capture file of many conversations, and the truth about what each side said.
//!
//! Standard library only, and the same for the same seed: tests use this file too.

#![allow(dead_code, unreachable_pub)]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is made.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// At least so many packets; the last conversations are brought to their end.
    pub packets: u64,
    /// Every conversation has hosts of its own, rather than some of a few.
    pub new_hosts: bool,
    /// Of the pseudo-random numbers.
    pub seed: u64,
}

/// What one side of one conversation said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spoken {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// Of all its bytes, see [`Hash`].
    pub hash: u64,
    pub length: u64,
}

/// What was made.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub packets: u64,
    pub conversations: u64,
    /// Packets of conversations on port 2345.
    pub on_2345: u64,
    /// Two for each conversation: first the side that opened.
    pub spoken: Vec<Spoken>,
    /// Segments sent again, whole or with more around them.
    pub again: u64,
    /// Neighbours that changed places.
    pub swapped: u64,
}

/// FNV-1a, 64 bits: the truth is kept as hashes, not as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Hash(pub u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// xorshift64*.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to, and without, `end`.
    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap_or(0)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Conversations that are under way at once.
const AT_ONCE: usize = 200;
const SYN: u8 = 2;
const ACK: u8 = 16;
const PSH: u8 = 8;
const FIN: u8 = 1;
/// The most that one segment carries.
const MSS: usize = 1448;

/// Writes a capture file (pcap, Ethernet, nanoseconds).
pub fn write(plan: &Plan, out: &mut impl Write) -> io::Result<Truth> {
    let mut chance = Chance(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut truth = Truth::default();
    let mut header = Vec::new();
    for number in [0xa1b2_3c4du32, 0x0004_0002, 0, 0, 262_144, 1] {
        header.extend(number.to_le_bytes());
    }
    out.write_all(&header)?;
    let mut under_way: Vec<VecDeque<Vec<u8>>> = Vec::new();
    let mut nanos: u64 = 1_767_323_045_000_000_000;
    let mut begun = 0u64;
    loop {
        while under_way.len() < AT_ONCE && begun < plan.packets {
            let frames = conversation(plan, &mut chance, &mut truth);
            begun += frames.len() as u64;
            under_way.push(frames);
        }
        if under_way.is_empty() {
            return Ok(truth);
        }
        let turn = chance.index(under_way.len());
        let Some(frame) = under_way[turn].pop_front() else {
            under_way.swap_remove(turn);
            continue;
        };
        nanos += 500 + chance.below(4_000);
        let length = u32::try_from(frame.len()).unwrap_or(0);
        let mut record = Vec::with_capacity(16 + frame.len());
        for number in [nanos / 1_000_000_000, nanos % 1_000_000_000] {
            record.extend(u32::try_from(number).unwrap_or(0).to_le_bytes());
        }
        record.extend(length.to_le_bytes());
        record.extend(length.to_le_bytes());
        record.extend(frame);
        out.write_all(&record)?;
        truth.packets += 1;
    }
}

/// How the frames of a conversation are wrapped.
struct Wrapping {
    client: SocketAddr,
    server: SocketAddr,
    vlans: Vec<u16>,
    id: u16,
}

fn ends(plan: &Plan, chance: &mut Chance, number: u64) -> (SocketAddr, SocketAddr) {
    let port = if chance.percent(70) {
        2345
    } else {
        [22, 80, 443, 5432, 8080][chance.index(5)]
    };
    let six = chance.percent(20);
    let low = u32::try_from(number & 0xffff_ffff).unwrap_or(0);
    let (client, server, client_port) = if plan.new_hosts {
        (low, low, 40_000 + number % 20_000)
    } else {
        (
            low % 50,
            u32::try_from(chance.below(4)).unwrap_or(0),
            1024 + number / 50 % 60_000,
        )
    };
    let client_port = u16::try_from(client_port).unwrap_or(1024);
    let address = |base: u32, host: u32| -> IpAddr {
        if six {
            let [a, b, c, d] = host.to_be_bytes().map(u16::from);
            Ipv6Addr::new(0xfd00, u16::from(base == SERVERS), 0, 0, a, b, c, d + 1).into()
        } else {
            Ipv4Addr::from(base + host + 1).into()
        }
    };
    (
        SocketAddr::new(address(CLIENTS, client), client_port),
        SocketAddr::new(address(SERVERS, server), port),
    )
}

/// 10.0.0.0 and 172.16.0.0.
const CLIENTS: u32 = 0x0a00_0000;
const SERVERS: u32 = 0xac10_0000;

/// All frames of a conversation, in the order in which they pass.
fn conversation(plan: &Plan, chance: &mut Chance, truth: &mut Truth) -> VecDeque<Vec<u8>> {
    let number = truth.conversations;
    truth.conversations += 1;
    let (client, server) = ends(plan, chance, number);
    let vlans = match chance.below(50) {
        0 => vec![100, 200],
        1..5 => vec![100],
        _ => Vec::new(),
    };
    let mut wrapping = Wrapping {
        client,
        server,
        vlans,
        id: 0,
    };
    let segments = segments(chance, truth, (client, server));
    if server.port() == 2345 {
        truth.on_2345 += segments.len() as u64;
    }
    segments
        .iter()
        .map(|segment| wrapping.frame(segment))
        .collect()
}

#[derive(Debug, Clone)]
struct Segment {
    from_client: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: Vec<u8>,
}

fn segments(
    chance: &mut Chance,
    truth: &mut Truth,
    (client, server): (SocketAddr, SocketAddr),
) -> Vec<Segment> {
    let number = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
    // Some wrap around soon.
    let start = |chance: &mut Chance| {
        if chance.percent(5) {
            u32::MAX - number(chance.below(3_000))
        } else {
            number(chance.next())
        }
    };
    let mut next = [start(chance), start(chance)];
    let mut hashes = [Hash::default(); 2];
    let mut lengths = [0u64; 2];
    let mut all = Vec::new();
    let push =
        |all: &mut Vec<Segment>, next: &mut [u32; 2], side: usize, flags, payload: Vec<u8>| {
            let takes = payload.len() as u64 + u64::from(flags & (SYN | FIN) != 0);
            let seq = next[side];
            next[side] = seq.wrapping_add(number(takes));
            all.push(Segment {
                from_client: side == 0,
                seq,
                ack: if flags & ACK == 0 { 0 } else { next[1 - side] },
                flags,
                payload,
            });
        };
    push(&mut all, &mut next, 0, SYN, Vec::new());
    push(&mut all, &mut next, 1, SYN | ACK, Vec::new());
    push(&mut all, &mut next, 0, ACK, Vec::new());
    for turn in 0..3 + chance.below(9) {
        let side = usize::from(turn % 2 == 1);
        for _ in 0..1 + chance.below(4) {
            let payload = text(chance);
            hashes[side].add(&payload);
            lengths[side] += payload.len() as u64;
            push(&mut all, &mut next, side, PSH | ACK, payload);
        }
        if chance.percent(60) {
            push(&mut all, &mut next, 1 - side, ACK, Vec::new());
        }
    }
    push(&mut all, &mut next, 0, FIN | ACK, Vec::new());
    push(&mut all, &mut next, 1, FIN | ACK, Vec::new());
    push(&mut all, &mut next, 0, ACK, Vec::new());
    for (side, (from, to)) in [(client, server), (server, client)].into_iter().enumerate() {
        truth.spoken.push(Spoken {
            from,
            to,
            hash: hashes[side].0,
            length: lengths[side],
        });
    }
    disturb(chance, truth, all)
}

/// What networks do: segments come again, with what was before them, or change places.
fn disturb(chance: &mut Chance, truth: &mut Truth, all: Vec<Segment>) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::with_capacity(all.len() + 4);
    for segment in all {
        let before = out.last().filter(|before| {
            before.from_client == segment.from_client
                && !before.payload.is_empty()
                && before
                    .seq
                    .wrapping_add(u32::try_from(before.payload.len()).unwrap_or(0))
                    == segment.seq
                && before.payload.len() + segment.payload.len() <= MSS
        });
        if !segment.payload.is_empty() && chance.percent(3) {
            truth.again += 1;
            // Comes first with what was before it, and then as it was.
            if let Some(before) = before {
                let mut more = before.clone();
                more.payload.extend(&segment.payload);
                out.push(more);
            } else {
                out.push(segment.clone());
            }
        }
        let is_data = !segment.payload.is_empty();
        out.push(segment);
        if let [.., one, other] = out.as_mut_slice()
            && is_data
            && !one.payload.is_empty()
            && one.from_client == other.from_client
            && chance.percent(4)
        {
            std::mem::swap(one, other);
            truth.swapped += 1;
        }
    }
    out
}

/// Lines of words, mostly short.
fn text(chance: &mut Chance) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "GET",
        "hello",
        "hi",
        "/index.html",
        "HTTP/1.1",
        "Host:",
        "example",
        "session=",
        "0x1f",
        "SELECT",
        "name",
        "from",
        "users;",
        "\"quoted\"",
        "你好",
        "200 OK",
    ];
    let length = match chance.below(10) {
        0..4 => 5 + chance.index(60),
        4..9 => 100 + chance.index(600),
        _ => MSS,
    };
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        text.extend(WORDS[chance.index(WORDS.len())].as_bytes());
        text.extend(if chance.percent(10) {
            &b"\r\n"[..]
        } else {
            b" "
        });
    }
    text.truncate(length);
    text
}

impl Wrapping {
    fn frame(&mut self, segment: &Segment) -> Vec<u8> {
        let (from, to) = if segment.from_client {
            (self.client, self.server)
        } else {
            (self.server, self.client)
        };
        let mut tcp = Vec::with_capacity(32 + segment.payload.len());
        tcp.extend(from.port().to_be_bytes());
        tcp.extend(to.port().to_be_bytes());
        tcp.extend(segment.seq.to_be_bytes());
        tcp.extend(segment.ack.to_be_bytes());
        // With the timestamps that Linux sends: 32 bytes of header.
        tcp.extend([0x80, segment.flags]);
        tcp.extend(512u16.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
        tcp.extend(&segment.payload);

        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for (index, vlan) in self.vlans.iter().enumerate() {
            let outer = self.vlans.len() > 1 && index == 0;
            frame.extend(if outer { [0x88, 0xa8] } else { [0x81, 0] });
            frame.extend(vlan.to_be_bytes());
        }
        let length = |length: usize| u16::try_from(length).unwrap_or(0).to_be_bytes();
        match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.id = self.id.wrapping_add(1);
                frame.extend([8, 0, 0x45, 0]);
                frame.extend(length(20 + tcp.len()));
                frame.extend(self.id.to_be_bytes());
                frame.extend([0x40, 0, 64, 6, 0, 0]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            (from, to) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(length(tcp.len()));
                frame.extend([6, 64]);
                for address in [from, to] {
                    if let IpAddr::V6(address) = address {
                        frame.extend(address.octets());
                    }
                }
            }
        }
        frame.extend(tcp);
        frame
    }
}
