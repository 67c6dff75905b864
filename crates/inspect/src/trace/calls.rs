//! The calls that are about sockets: their names, and what their arguments are.
//!
//! Names and order of the arguments are those of the man pages (section 2), the numbers those of
//! x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).

use crate::bpf::{CallFd, Layout, Measure, WantedCall, WantedPiece};

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A descriptor of the process.
    Fd,
    /// A signed number.
    Int,
    /// A number that counts something.
    Size,
    /// Where something is in the process's memory.
    Pointer,
    /// AF_.
    Domain,
    /// SOCK_ with flags.
    SocketType,
    /// IPPROTO_, or another family's own.
    Protocol,
    /// SOCK_NONBLOCK and SOCK_CLOEXEC alone.
    SocketFlags,
    /// MSG_.
    MessageFlags,
    /// SHUT_.
    How,
    /// The level of an option: SOL_SOCKET, or a protocol.
    Level,
    /// An option of that level.
    OptionName,
    /// What an option is set to; this piece.
    OptionValue(u8),
    /// Text of the process or of its peer; this piece.
    Buffer(u8),
    /// A vector of them; this piece.
    Vectors(u8),
    /// A message; this piece.
    Message(u8),
    /// Several; this piece.
    Messages(u8),
    /// A `struct sockaddr`; this piece.
    Address(u8),
    /// The int that is pointed to: the length of the address in this piece.
    AddressLength(u8),
    /// Two descriptors; this piece.
    Pair(u8),
    /// Descriptors and what is awaited of them; this piece.
    PollFds(u8),
    /// Set of descriptors (select(2)); this piece.
    FdSet(u8),
    /// Events of epoll(7) that came; this piece.
    EpollEvents(u8),
    /// EPOLL_CTL_.
    EpollOperation,
    /// Milliseconds; less than 0 is for ever.
    Milliseconds,
    /// A command of fcntl(2).
    FcntlCommand,
    /// Its argument.
    FcntlArgument,
    /// SPLICE_F_.
    SpliceFlags,
    /// O_CLOEXEC.
    DupFlags,
}

/// One argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a call is for, as `-e` may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Sockets alone have it.
    Network,
    /// Every descriptor has it.
    Descriptor,
    /// It waits for several.
    Wait,
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) number: u16,
    pub(super) name: &'static str,
    pub(super) purpose: Purpose,
    pub(super) fd: CallFd,
    pub(super) other_fd: Option<u8>,
    pub(super) parameters: &'static [Parameter],
    pub(super) pieces: &'static [WantedPiece],
}

impl Signature {
    pub(super) fn wanted(&self) -> WantedCall<'static> {
        WantedCall {
            number: self.number,
            fd: self.fd,
            other_fd: self.other_fd,
            pieces: self.pieces,
        }
    }
}

/// The call of this number, if it is one of ours.
pub(super) fn by_number(number: u16) -> Option<&'static Signature> {
    let index = CALLS.binary_search_by_key(&number, |call| call.number);
    index.ok().map(|index| &CALLS[index])
}

const fn at(is_end: bool, argument: u8, layout: Layout, measure: Measure) -> WantedPiece {
    WantedPiece {
        at_end: is_end,
        argument,
        layout,
        measure,
    }
}

/// There when the call begins.
const fn input(argument: u8, layout: Layout, length: u8) -> WantedPiece {
    at(false, argument, layout, Measure::Argument(length, 1))
}

/// There when it ends, as long as the call returned.
const fn output(argument: u8, layout: Layout) -> WantedPiece {
    at(true, argument, layout, Measure::Result(1))
}

/// An address that the kernel wrote.
const fn address_out(argument: u8, length: u8) -> WantedPiece {
    at(true, argument, Layout::Bytes, Measure::Pointed(length))
}

const FIRST: CallFd = CallFd::Argument(0);

macro_rules! call {
    ($number:literal $name:ident $purpose:ident $fd:expr, $other:expr,
     ($($parameter:ident: $kind:expr),*), [$($piece:expr),*]) => {
        Signature {
            number: $number,
            name: stringify!($name),
            purpose: Purpose::$purpose,
            fd: $fd,
            other_fd: $other,
            parameters: &[$(Parameter { name: stringify!($parameter), kind: $kind }),*],
            pieces: &[$($piece),*],
        }
    };
}

use Kind::{
    Address, AddressLength, Buffer, Domain, DupFlags, EpollEvents, EpollOperation, FcntlArgument,
    FcntlCommand, Fd, FdSet, How, Int, Level, Message, MessageFlags, Messages, Milliseconds,
    OptionName, OptionValue, Pair, Pointer, PollFds, Protocol, Size, SocketFlags, SocketType,
    SpliceFlags, Vectors,
};

/// A set of descriptors is 128 bytes (FD_SETSIZE of 1,024 bits); what a smaller one is followed
/// by is not looked at.
const fn fd_set(argument: u8) -> WantedPiece {
    at(true, argument, Layout::Bytes, Measure::Fixed(128))
}

/// All of them, by number.
pub(super) static CALLS: &[Signature] = &[
    call!(0 read Descriptor FIRST, None, (fd: Fd, buffer: Buffer(0), length: Size), [output(1, Layout::Bytes)]),
    call!(1 write Descriptor FIRST, None, (fd: Fd, buffer: Buffer(0), length: Size), [input(1, Layout::Bytes, 2)]),
    call!(3 close Descriptor FIRST, None, (fd: Fd), []),
    call!(7 poll Wait CallFd::None, None, (fds: PollFds(0), count: Size, timeout: Milliseconds),
        [at(true, 0, Layout::Bytes, Measure::Argument(1, 8))]),
    call!(19 readv Descriptor FIRST, None, (fd: Fd, buffers: Vectors(0), count: Size), [at(true, 1, Layout::Vectors, Measure::Argument(2, 1))]),
    call!(20 writev Descriptor FIRST, None, (fd: Fd, buffers: Vectors(0), count: Size), [input(1, Layout::Vectors, 2)]),
    call!(23 select Wait CallFd::None, None,
        (count: Int, read: FdSet(0), write: FdSet(1), except: FdSet(2), timeout: Pointer), [fd_set(1), fd_set(2), fd_set(3)]),
    call!(32 dup Descriptor FIRST, None, (fd: Fd), []),
    call!(33 dup2 Descriptor FIRST, None, (fd: Fd, new_fd: Fd), []),
    call!(40 sendfile Descriptor FIRST, None, (fd: Fd, from_fd: Fd, offset: Pointer, length: Size), []),
    call!(41 socket Network CallFd::Returned, None, (domain: Domain, kind: SocketType, protocol: Protocol), []),
    call!(42 connect Network FIRST, None, (fd: Fd, address: Address(0), address_length: Int), [input(1, Layout::Bytes, 2)]),
    call!(43 accept Network FIRST, None, (fd: Fd, address: Address(0), address_length: AddressLength(0)), [address_out(1, 2)]),
    call!(44 sendto Network FIRST, None,
        (fd: Fd, buffer: Buffer(0), length: Size, flags: MessageFlags, address: Address(1), address_length: Int),
        [input(1, Layout::Bytes, 2), input(4, Layout::Bytes, 5)]),
    call!(45 recvfrom Network FIRST, None,
        (fd: Fd, buffer: Buffer(0), length: Size, flags: MessageFlags, address: Address(1), address_length: AddressLength(1)),
        [output(1, Layout::Bytes), address_out(4, 5)]),
    call!(46 sendmsg Network FIRST, None, (fd: Fd, message: Message(0), flags: MessageFlags), [at(false, 1, Layout::Message, Measure::Fixed(1))]),
    call!(47 recvmsg Network FIRST, None, (fd: Fd, message: Message(0), flags: MessageFlags), [at(true, 1, Layout::Message, Measure::Fixed(1))]),
    call!(48 shutdown Network FIRST, None, (fd: Fd, how: How), []),
    call!(49 bind Network FIRST, None, (fd: Fd, address: Address(0), address_length: Int), [input(1, Layout::Bytes, 2)]),
    call!(50 listen Network FIRST, None, (fd: Fd, backlog: Int), []),
    call!(51 getsockname Network FIRST, None, (fd: Fd, address: Address(0), address_length: AddressLength(0)), [address_out(1, 2)]),
    call!(52 getpeername Network FIRST, None, (fd: Fd, address: Address(0), address_length: AddressLength(0)), [address_out(1, 2)]),
    call!(53 socketpair Network CallFd::None, None,
        (domain: Domain, kind: SocketType, protocol: Protocol, fds: Pair(0)), [at(true, 3, Layout::Bytes, Measure::Fixed(8))]),
    call!(54 setsockopt Network FIRST, None,
        (fd: Fd, level: Level, option: OptionName, value: OptionValue(0), value_length: Int), [input(3, Layout::Bytes, 4)]),
    call!(55 getsockopt Network FIRST, None,
        (fd: Fd, level: Level, option: OptionName, value: OptionValue(0), value_length: AddressLength(0)), [address_out(3, 4)]),
    call!(72 fcntl Descriptor FIRST, None, (fd: Fd, command: FcntlCommand, argument: FcntlArgument), []),
    call!(232 epoll_wait Wait CallFd::None, None,
        (fd: Fd, events: EpollEvents(0), count: Int, timeout: Milliseconds), [at(true, 1, Layout::Bytes, Measure::Result(12))]),
    call!(233 epoll_ctl Wait CallFd::Argument(2), None,
        (epoll_fd: Fd, operation: EpollOperation, fd: Fd, event: EpollEvents(0)), [at(false, 3, Layout::Bytes, Measure::Fixed(12))]),
    call!(270 pselect6 Wait CallFd::None, None,
        (count: Int, read: FdSet(0), write: FdSet(1), except: FdSet(2), timeout: Pointer, mask: Pointer), [fd_set(1), fd_set(2), fd_set(3)]),
    call!(271 ppoll Wait CallFd::None, None,
        (fds: PollFds(0), count: Size, timeout: Pointer, mask: Pointer, mask_length: Size),
        [at(true, 0, Layout::Bytes, Measure::Argument(1, 8))]),
    call!(275 splice Descriptor FIRST, Some(2),
        (from_fd: Fd, from_offset: Pointer, to_fd: Fd, to_offset: Pointer, length: Size, flags: SpliceFlags), []),
    call!(281 epoll_pwait Wait CallFd::None, None,
        (fd: Fd, events: EpollEvents(0), count: Int, timeout: Milliseconds, mask: Pointer, mask_length: Size),
        [at(true, 1, Layout::Bytes, Measure::Result(12))]),
    call!(288 accept4 Network FIRST, None,
        (fd: Fd, address: Address(0), address_length: AddressLength(0), flags: SocketFlags), [address_out(1, 2)]),
    call!(292 dup3 Descriptor FIRST, None, (fd: Fd, new_fd: Fd, flags: DupFlags), []),
    call!(299 recvmmsg Network FIRST, None,
        (fd: Fd, messages: Messages(0), count: Size, flags: MessageFlags, timeout: Pointer), [at(true, 1, Layout::Messages, Measure::Result(1))]),
    call!(307 sendmmsg Network FIRST, None,
        (fd: Fd, messages: Messages(0), count: Size, flags: MessageFlags), [input(1, Layout::Messages, 2)]),
    call!(441 epoll_pwait2 Wait CallFd::None, None,
        (fd: Fd, events: EpollEvents(0), count: Int, timeout: Pointer, mask: Pointer, mask_length: Size),
        [at(true, 1, Layout::Bytes, Measure::Result(12))]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::PIECES;

    #[test]
    fn calls_are_found_by_number() {
        assert!(CALLS.is_sorted_by_key(|call| call.number));
        for call in CALLS {
            assert_eq!(by_number(call.number), Some(call));
        }
        assert_eq!(by_number(2), None);
    }

    #[test]
    fn numbers_are_those_of_this_machine() {
        for (number, name) in [
            (libc::SYS_read, "read"),
            (libc::SYS_sendfile, "sendfile"),
            (libc::SYS_recvmsg, "recvmsg"),
            (libc::SYS_fcntl, "fcntl"),
            (libc::SYS_epoll_wait, "epoll_wait"),
            (libc::SYS_pselect6, "pselect6"),
            (libc::SYS_ppoll, "ppoll"),
            (libc::SYS_splice, "splice"),
            (libc::SYS_accept4, "accept4"),
            (libc::SYS_dup3, "dup3"),
            (libc::SYS_recvmmsg, "recvmmsg"),
            (libc::SYS_sendmmsg, "sendmmsg"),
            (libc::SYS_epoll_pwait2, "epoll_pwait2"),
        ] {
            let found = CALLS.iter().find(|call| call.name == name);
            let found = found.map(|call| i64::from(call.number));
            assert_eq!(found, Some(number), "{name}");
        }
    }

    #[test]
    fn arguments_and_pieces_point_to_each_other() {
        for call in CALLS {
            assert!(call.parameters.len() <= 6 && call.pieces.len() <= PIECES);
            for (index, piece) in call.pieces.iter().enumerate() {
                let argument = usize::from(piece.argument);
                assert!(argument < call.parameters.len(), "{}", call.name);
                let index = u8::try_from(index).unwrap();
                let is_meant = matches!(
                    call.parameters[argument].kind,
                    Kind::Buffer(piece)
                    | Kind::Vectors(piece)
                    | Kind::Message(piece)
                    | Kind::Messages(piece)
                    | Kind::Address(piece)
                    | Kind::Pair(piece)
                    | Kind::PollFds(piece)
                    | Kind::FdSet(piece)
                    | Kind::EpollEvents(piece)
                    | Kind::OptionValue(piece) if piece == index
                );
                assert!(is_meant, "{} {index}", call.name);
            }
        }
    }
}
