//! A condition -> the program by which the kernel leaves sockets out of a dump.
//!
//! A program is a list of operations `struct inet_diag_bc_op` (code u8, yes u8, no u16), each
//! followed by what it compares with (include/uapi/linux/inet_diag.h). When an operation holds,
//! the kernel goes `yes` bytes forward, else `no` bytes. A socket is listed when that leads
//! exactly to the end (net/ipv4/inet_diag.c `inet_diag_bc_run`); four bytes further is how it is
//! left out. `inet_diag_bc_audit` wants every jump to lead to the start of an operation, counted
//! by the `yes` of each: so `yes` is always the length of its operation here.

use std::net::IpAddr;

use crate::selection::{End, Network};

/// Goes on at `no`.
const JMP: u8 = 1;
/// Local and remote port at least, at most: the port stands in the `no` of a second operation.
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
/// Nobody asked for its port with bind(): no operand.
const AUTO: u8 = 6;
/// Local and remote end: `struct inet_diag_hostcond`.
const S_COND: u8 = 7;
const D_COND: u8 = 8;

/// `sizeof(struct inet_diag_bc_op)`.
const OPERATION: usize = 4;

/// The kernel runs the program for every socket: a longer one costs more than it saves.
const LONGEST: usize = 4096;

/// What the kernel can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// The end has this port.
    Port(End, u16),
    /// The end's port is at least this.
    PortFrom(End, u16),
    /// The end's port is at most this.
    PortTo(End, u16),
    /// The end's address is in this network, as [`Network::contains`] says.
    Network(End, Network),
    /// It is an IPv6 socket.
    IsV6,
    /// It has no port that bind() asked for (`SOCK_BINDPORT_LOCK`). The kernel says so of each
    /// TIME_WAIT and SYN_RECV as well, which have no such lock.
    Autobound,
}

/// A condition on the ends of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    Never,
    Is(Fact),
    Not(Box<Condition>),
    /// More than one, and none of them constant.
    All(Vec<Condition>),
    /// More than one, and none of them constant.
    Any(Vec<Condition>),
}

impl Condition {
    pub(super) fn not(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Not(part) => *part,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(parts, &Self::Always, &Self::Never, Self::All)
    }

    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(parts, &Self::Never, &Self::Always, Self::Any)
    }

    fn joined(
        parts: impl IntoIterator<Item = Self>,
        neutral: &Self,
        decisive: &Self,
        join: fn(Vec<Self>) -> Self,
    ) -> Self {
        let mut kept: Vec<Self> = Vec::new();
        for part in parts {
            if part == *decisive {
                return part;
            }
            if part != *neutral && !kept.contains(&part) {
                kept.push(part);
            }
        }
        match kept.len() {
            0 => neutral.clone(),
            1 => kept.swap_remove(0),
            _ => join(kept),
        }
    }
}

/// The program for a condition; `None` where there is none, or it would be too long.
pub(super) fn compile(condition: &Condition) -> Option<Vec<u8>> {
    let mut program = Program::default();
    let end = program.label();
    program.add(condition, end, Label::REJECT, end);
    program.place(end);
    program.bytes()
}

/// A place in the program, by number; it is placed after every jump to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Label(usize);

impl Label {
    /// Four bytes beyond the end.
    const REJECT: Self = Self(usize::MAX);
}

#[derive(Debug, Default)]
struct Program {
    operations: Vec<Operation>,
    /// Where each label stands, in bytes.
    labels: Vec<usize>,
    length: usize,
}

#[derive(Debug)]
struct Operation {
    at: usize,
    code: u8,
    operand: Vec<u8>,
    no: Label,
}

impl Program {
    fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    fn place(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = self.length;
        }
    }

    fn operation(&mut self, code: u8, operand: Vec<u8>, no: Label) {
        let at = self.length;
        self.length += OPERATION + operand.len();
        self.operations.push(Operation {
            at,
            code,
            operand,
            no,
        });
    }

    /// Operations that go to `yes` when the condition holds and else to `no`. What follows them
    /// is `next`.
    fn add(&mut self, condition: &Condition, yes: Label, no: Label, next: Label) {
        match condition {
            Condition::Always => self.jump(yes, next),
            Condition::Never => self.jump(no, next),
            Condition::Is(fact) => {
                let (code, operand) = operation(fact);
                self.operation(code, operand, no);
                self.jump(yes, next);
            }
            Condition::Not(part) => self.add(part, no, yes, next),
            Condition::All(parts) => self.chain(parts, (yes, no, next), |program, part, then| {
                program.add(part, then, no, then);
            }),
            Condition::Any(parts) => self.chain(parts, (yes, no, next), |program, part, then| {
                program.add(part, yes, then, then);
            }),
        }
    }

    fn chain(
        &mut self,
        parts: &[Condition],
        (yes, no, next): (Label, Label, Label),
        add: impl Fn(&mut Self, &Condition, Label),
    ) {
        let Some((last, earlier)) = parts.split_last() else {
            return;
        };
        for part in earlier {
            let then = self.label();
            add(self, part, then);
            self.place(then);
        }
        self.add(last, yes, no, next);
    }

    fn jump(&mut self, to: Label, next: Label) {
        if to != next {
            self.operation(JMP, Vec::new(), to);
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        if self.length > LONGEST || self.operations.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.length);
        for operation in &self.operations {
            let target = if operation.no == Label::REJECT {
                self.length + OPERATION
            } else {
                *self.labels.get(operation.no.0)?
            };
            bytes.push(operation.code);
            bytes.push(u8::try_from(OPERATION + operation.operand.len()).ok()?);
            let distance = u16::try_from(target.checked_sub(operation.at)?).ok()?;
            bytes.extend(distance.to_ne_bytes());
            bytes.extend(&operation.operand);
        }
        Some(bytes)
    }
}

/// The code of an operation, and what stands behind it.
fn operation(fact: &Fact) -> (u8, Vec<u8>) {
    let code = |end, local, remote| match end {
        End::Local => local,
        End::Remote => remote,
    };
    let bound = |port: u16| [&[0, 0][..], &port.to_ne_bytes()].concat();
    match *fact {
        Fact::PortFrom(end, port) => (code(end, S_GE, D_GE), bound(port)),
        Fact::PortTo(end, port) => (code(end, S_LE, D_LE), bound(port)),
        // `S_EQ` and `D_EQ` came with Linux 5.16.
        Fact::Port(end, port) => (code(end, S_COND, D_COND), host((0, 0), port.into(), &[])),
        Fact::Network(end, network) => {
            let prefix = network.prefix();
            let operand = match network.address() {
                IpAddr::V4(v4) => host((2, prefix), ANY_PORT, &v4.octets()),
                IpAddr::V6(v6) => host((10, prefix), ANY_PORT, &v6.octets()),
            };
            (code(end, S_COND, D_COND), operand)
        }
        Fact::Autobound => (AUTO, Vec::new()),
        // Every address of the family; no IPv4 socket is compared with it.
        Fact::IsV6 => (S_COND, host((10, 0), ANY_PORT, &[0; 16])),
    }
}

const ANY_PORT: i32 = -1;

/// `struct inet_diag_hostcond`: family u8, prefix length u8, two bytes of padding, port i32 in
/// the machine's byte order, and the address.
fn host((family, prefix): (u8, u8), port: i32, address: &[u8]) -> Vec<u8> {
    let mut operand = vec![family, prefix, 0, 0];
    operand.extend(port.to_ne_bytes());
    operand.extend(address);
    operand
}
