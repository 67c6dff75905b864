//! Names of numbers, as C spells them.
//!
//! The numbers are those of the kernel's headers (include/uapi/linux, include/linux/socket.h) as
//! libc has them.

use libc::c_int;

use super::Value;

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

type Names = &'static [(c_int, &'static str)];

const DOMAINS: Names = names! {
    AF_UNSPEC AF_UNIX AF_INET AF_AX25 AF_IPX AF_APPLETALK AF_X25 AF_INET6 AF_KEY AF_NETLINK
    AF_PACKET AF_RDS AF_PPPOX AF_LLC AF_IB AF_MPLS AF_CAN AF_TIPC AF_BLUETOOTH AF_ALG AF_NFC
    AF_VSOCK AF_XDP
};

const SOCKET_TYPES: Names = names! {
    SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP
};

const SOCKET_FLAGS: Names = names! { SOCK_CLOEXEC SOCK_NONBLOCK };

const PROTOCOLS: Names = names! {
    IPPROTO_IP IPPROTO_ICMP IPPROTO_IGMP IPPROTO_TCP IPPROTO_UDP IPPROTO_DCCP IPPROTO_IPV6
    IPPROTO_GRE IPPROTO_ESP IPPROTO_AH IPPROTO_ICMPV6 IPPROTO_SCTP IPPROTO_UDPLITE IPPROTO_MPTCP
    IPPROTO_RAW
};

const NETLINK: Names = names! {
    NETLINK_ROUTE NETLINK_USERSOCK NETLINK_FIREWALL NETLINK_SOCK_DIAG NETLINK_NFLOG NETLINK_XFRM
    NETLINK_SELINUX NETLINK_ISCSI NETLINK_AUDIT NETLINK_FIB_LOOKUP NETLINK_CONNECTOR
    NETLINK_NETFILTER NETLINK_KOBJECT_UEVENT NETLINK_GENERIC NETLINK_CRYPTO
};

const MESSAGE_FLAGS: Names = names! {
    MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_TRUNC MSG_DONTWAIT MSG_EOR MSG_WAITALL MSG_FIN
    MSG_SYN MSG_CONFIRM MSG_RST MSG_ERRQUEUE MSG_NOSIGNAL MSG_MORE MSG_WAITFORONE MSG_ZEROCOPY
    MSG_FASTOPEN MSG_CMSG_CLOEXEC
};

const HOW: Names = names! { SHUT_RD SHUT_WR SHUT_RDWR };

const LEVELS: Names = names! {
    SOL_SOCKET IPPROTO_IP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 IPPROTO_ICMPV6 IPPROTO_RAW
    SOL_PACKET SOL_NETLINK SOL_TLS IPPROTO_MPTCP
};

const OF_SOCKET: Names = names! {
    SO_DEBUG SO_REUSEADDR SO_TYPE SO_ERROR SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF
    SO_KEEPALIVE SO_OOBINLINE SO_NO_CHECK SO_PRIORITY SO_LINGER SO_REUSEPORT SO_PASSCRED
    SO_PEERCRED SO_RCVLOWAT SO_SNDLOWAT SO_RCVTIMEO SO_SNDTIMEO SO_BINDTODEVICE SO_ATTACH_FILTER
    SO_DETACH_FILTER SO_PEERNAME SO_TIMESTAMP SO_ACCEPTCONN SO_PEERSEC SO_SNDBUFFORCE
    SO_RCVBUFFORCE SO_PASSSEC SO_TIMESTAMPNS SO_MARK SO_TIMESTAMPING SO_PROTOCOL SO_DOMAIN
    SO_RXQ_OVFL SO_PEEK_OFF SO_LOCK_FILTER SO_BUSY_POLL SO_INCOMING_CPU SO_ATTACH_BPF
    SO_ATTACH_REUSEPORT_CBPF SO_ATTACH_REUSEPORT_EBPF SO_MEMINFO SO_COOKIE SO_PEERGROUPS
    SO_ZEROCOPY SO_TXTIME SO_BINDTOIFINDEX SO_PREFER_BUSY_POLL SO_BUSY_POLL_BUDGET
};

const OF_TCP: Names = names! {
    TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2
    TCP_DEFER_ACCEPT TCP_WINDOW_CLAMP TCP_INFO TCP_QUICKACK TCP_CONGESTION TCP_MD5SIG
    TCP_THIN_LINEAR_TIMEOUTS TCP_THIN_DUPACK TCP_USER_TIMEOUT TCP_REPAIR TCP_REPAIR_QUEUE
    TCP_QUEUE_SEQ TCP_REPAIR_OPTIONS TCP_FASTOPEN TCP_TIMESTAMP TCP_NOTSENT_LOWAT TCP_CC_INFO
    TCP_SAVE_SYN TCP_SAVED_SYN TCP_REPAIR_WINDOW TCP_FASTOPEN_CONNECT TCP_ULP TCP_MD5SIG_EXT
    TCP_FASTOPEN_KEY TCP_FASTOPEN_NO_COOKIE TCP_ZEROCOPY_RECEIVE TCP_INQ
};

const OF_IP: Names = names! {
    IP_TOS IP_TTL IP_HDRINCL IP_OPTIONS IP_RECVOPTS IP_RETOPTS IP_PKTINFO IP_MTU_DISCOVER
    IP_RECVERR IP_RECVTTL IP_RECVTOS IP_MTU IP_FREEBIND IP_IPSEC_POLICY IP_XFRM_POLICY
    IP_TRANSPARENT IP_ORIGDSTADDR IP_MINTTL IP_NODEFRAG IP_BIND_ADDRESS_NO_PORT IP_MULTICAST_IF
    IP_MULTICAST_TTL IP_MULTICAST_LOOP IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP IP_UNBLOCK_SOURCE
    IP_BLOCK_SOURCE IP_ADD_SOURCE_MEMBERSHIP IP_DROP_SOURCE_MEMBERSHIP IP_MULTICAST_ALL
    IP_UNICAST_IF
};

const OF_IPV6: Names = names! {
    IPV6_ADDRFORM IPV6_2292PKTINFO IPV6_CHECKSUM IPV6_UNICAST_HOPS IPV6_MULTICAST_IF
    IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_ADD_MEMBERSHIP IPV6_DROP_MEMBERSHIP
    IPV6_ROUTER_ALERT IPV6_MTU_DISCOVER IPV6_MTU IPV6_RECVERR IPV6_V6ONLY IPV6_RECVPKTINFO
    IPV6_PKTINFO IPV6_RECVHOPLIMIT IPV6_HOPLIMIT IPV6_RECVTCLASS IPV6_TCLASS IPV6_FREEBIND
    IPV6_TRANSPARENT IPV6_UNICAST_IF
};

const EPOLL_OPERATIONS: Names = names! { EPOLL_CTL_ADD EPOLL_CTL_DEL EPOLL_CTL_MOD };

const EPOLL_EVENTS: Names = names! {
    EPOLLIN EPOLLPRI EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDNORM EPOLLRDBAND EPOLLWRNORM EPOLLWRBAND
    EPOLLMSG EPOLLRDHUP EPOLLEXCLUSIVE EPOLLWAKEUP EPOLLONESHOT EPOLLET
};

const FCNTL_COMMANDS: Names = names! {
    F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN
    F_DUPFD_CLOEXEC F_SETPIPE_SZ F_GETPIPE_SZ
};

const FILE_FLAGS: Names = names! {
    O_WRONLY O_RDWR O_APPEND O_NONBLOCK O_ASYNC O_CLOEXEC O_DIRECT O_NOATIME
};

fn name_in(names: Names, number: i64) -> Option<&'static str> {
    let mut all = names.iter();
    let found = all.find(|(known, _)| i64::from(*known) == number);
    found.map(|(_, name)| *name)
}

fn named(names: Names, number: i64) -> Value {
    name_in(names, number).map_or(Value::Number(number), Value::Constant)
}

/// The low 32 bits, as a C int.
pub(super) fn int(register: u64) -> i64 {
    let [low, _]: [u32; 2] = halves(register);
    i64::from(low.cast_signed())
}

fn halves(register: u64) -> [u32; 2] {
    let bytes = register.to_le_bytes();
    let half = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    [0, 4].map(|at| u32::from_le_bytes(half(at)))
}

fn flags(names: Names, number: i64) -> Value {
    let [mut rest, _] = halves(number.cast_unsigned());
    let mut set = Vec::new();
    for (bits, name) in names {
        let bits = bits.cast_unsigned();
        if bits != 0 && rest & bits == bits {
            set.push(*name);
            rest &= !bits;
        }
    }
    Value::Flags(set, u64::from(rest))
}

pub(super) fn domain(number: i64) -> Value {
    named(DOMAINS, number)
}

/// The type, and the flags that may be set beside it (socket(2)).
pub(super) fn socket_type(number: i64) -> Value {
    let mask = i64::from(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let Some(kind) = name_in(SOCKET_TYPES, number & !mask) else {
        return Value::Hex(number.cast_unsigned());
    };
    match flags(SOCKET_FLAGS, number & mask) {
        Value::Flags(mut set, rest) if !set.is_empty() => {
            set.insert(0, kind);
            Value::Flags(set, rest)
        }
        _ => Value::Constant(kind),
    }
}

/// What the third argument of socket(2) means depends on the first.
pub(super) fn protocol(domain: i64, number: i64) -> Value {
    match i32::try_from(domain) {
        Ok(libc::AF_INET | libc::AF_INET6) => named(PROTOCOLS, number),
        Ok(libc::AF_NETLINK) => named(NETLINK, number),
        _ => Value::Number(number),
    }
}

pub(super) fn socket_flags(number: i64) -> Value {
    flags(SOCKET_FLAGS, number)
}

pub(super) fn message_flags(number: i64) -> Value {
    flags(MESSAGE_FLAGS, number)
}

pub(super) fn how(number: i64) -> Value {
    named(HOW, number)
}

pub(super) fn level(number: i64) -> Value {
    match i32::try_from(number) {
        // strace writes SOL_IP, SOL_TCP and the like; the numbers are one.
        Ok(libc::SOL_SOCKET) => Value::Constant("SOL_SOCKET"),
        _ => named(LEVELS, number),
    }
}

pub(super) fn option(level: i64, number: i64) -> Value {
    let names = match i32::try_from(level) {
        Ok(libc::SOL_SOCKET) => OF_SOCKET,
        Ok(libc::IPPROTO_TCP) => OF_TCP,
        Ok(libc::IPPROTO_IP) => OF_IP,
        Ok(libc::IPPROTO_IPV6) => OF_IPV6,
        _ => return Value::Number(number),
    };
    named(names, number)
}

pub(super) fn epoll_operation(number: i64) -> Value {
    named(EPOLL_OPERATIONS, number)
}

pub(super) fn epoll_events(bits: u32) -> Value {
    flags(EPOLL_EVENTS, i64::from(bits))
}

/// Those of poll(2) have the same numbers and other names.
pub(super) fn poll_events(bits: u16) -> Value {
    const POLL: Names = &[
        (0x0001, "POLLIN"),
        (0x0002, "POLLPRI"),
        (0x0004, "POLLOUT"),
        (0x0008, "POLLERR"),
        (0x0010, "POLLHUP"),
        (0x0020, "POLLNVAL"),
        (0x0040, "POLLRDNORM"),
        (0x0080, "POLLRDBAND"),
        (0x0100, "POLLWRNORM"),
        (0x0200, "POLLWRBAND"),
        (0x0400, "POLLMSG"),
        (0x2000, "POLLRDHUP"),
    ];
    flags(POLL, i64::from(bits))
}

pub(super) fn fcntl_command(number: i64) -> Value {
    named(FCNTL_COMMANDS, number)
}

/// What F_GETFL gives and F_SETFL takes.
pub(super) fn file_flags(number: i64) -> Value {
    match flags(FILE_FLAGS, number) {
        // O_RDONLY is no bit.
        Value::Flags(set, rest) if !set.contains(&"O_RDWR") && !set.contains(&"O_WRONLY") => {
            let mut with = vec!["O_RDONLY"];
            with.extend(set);
            Value::Flags(with, rest)
        }
        value => value,
    }
}

pub(super) fn dup_flags(number: i64) -> Value {
    flags(names! { O_CLOEXEC }, number)
}

pub(super) fn descriptor_flags(number: i64) -> Value {
    flags(names! { FD_CLOEXEC }, number)
}

pub(super) fn splice_flags(number: i64) -> Value {
    flags(
        &[
            (1, "SPLICE_F_MOVE"),
            (2, "SPLICE_F_NONBLOCK"),
            (4, "SPLICE_F_MORE"),
            (8, "SPLICE_F_GIFT"),
        ],
        number,
    )
}

/// What goes with a message (cmsg(3)), by its level and type.
pub(super) fn control(level: i32, kind: i32) -> Value {
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_RIGHTS) => Value::Constant("SCM_RIGHTS"),
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => Value::Constant("SCM_CREDENTIALS"),
        _ => option(i64::from(level), i64::from(kind)),
    }
}

/// Errors by their names: `ECONNREFUSED`.
pub fn error_name(number: i32) -> Option<&'static str> {
    const KERNELS_OWN: Names = &[
        (512, "ERESTARTSYS"),
        (513, "ERESTARTNOINTR"),
        (514, "ERESTARTNOHAND"),
        (516, "ERESTART_RESTARTBLOCK"),
    ];
    const ERRORS: Names = names! {
        EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
        ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG
        ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY
        ELOOP ENOMSG ENODATA ETIME ENONET ENOLINK EPROTO EBADMSG EOVERFLOW ENOTUNIQ ENOTSOCK
        EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP
        EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET
        ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT
        ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EOWNERDEAD
        ENOTRECOVERABLE ERFKILL
    };
    name_in(ERRORS, number.into()).or_else(|| name_in(KERNELS_OWN, number.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_spelled_as_in_c() {
        assert_eq!(domain(2), Value::Constant("AF_INET"));
        assert_eq!(domain(99), Value::Number(99));
        assert_eq!(socket_type(1), Value::Constant("SOCK_STREAM"));
        assert_eq!(
            socket_type(0o2_000_001),
            Value::Flags(vec!["SOCK_STREAM", "SOCK_CLOEXEC"], 0)
        );
        assert_eq!(protocol(2, 0), Value::Constant("IPPROTO_IP"));
        assert_eq!(protocol(16, 4), Value::Constant("NETLINK_SOCK_DIAG"));
        assert_eq!(protocol(1, 0), Value::Number(0));
        assert_eq!(
            message_flags(0x4040),
            Value::Flags(vec!["MSG_DONTWAIT", "MSG_NOSIGNAL"], 0)
        );
        assert_eq!(
            message_flags(0x0100_0000),
            Value::Flags(vec![], 0x0100_0000)
        );
        assert_eq!(option(1, 2), Value::Constant("SO_REUSEADDR"));
        assert_eq!(option(6, 1), Value::Constant("TCP_NODELAY"));
        assert_eq!(option(41, 26), Value::Constant("IPV6_V6ONLY"));
        assert_eq!(
            file_flags(0o4002),
            Value::Flags(vec!["O_RDWR", "O_NONBLOCK"], 0)
        );
        assert_eq!(error_name(111), Some("ECONNREFUSED"));
        assert_eq!(error_name(512), Some("ERESTARTSYS"));
        assert_eq!(error_name(4_095), None);
    }

    #[test]
    fn an_int_is_the_low_half_of_its_register() {
        assert_eq!(int(0xdead_beef_ffff_ffff), -1);
        assert_eq!(int(7), 7);
    }
}
