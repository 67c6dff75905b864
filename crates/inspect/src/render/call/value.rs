//! What arguments say, as C would write it.

use std::fmt::Write;

use crate::model::{Fd, UnixAddress};
use crate::render::{Charset, Escaped};
use crate::trace::{Address, Bytes, Socket, Value};

/// Whether a value is this descriptor.
pub(super) fn is_fd(value: &Value, fd: Fd) -> bool {
    matches!(value, Value::Fd(number) if u32::try_from(*number) == Ok(fd.0))
}

/// Whether a call may have to wait for somebody else.
pub(super) fn can_wait(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept4"
            | "connect"
            | "read"
            | "readv"
            | "recvfrom"
            | "recvmsg"
            | "recvmmsg"
            | "poll"
            | "ppoll"
            | "select"
            | "pselect6"
            | "epoll_wait"
            | "epoll_pwait"
            | "epoll_pwait2"
    )
}

/// What a socket is that has no ends: by its protocol, or its family.
pub(super) fn kind(socket: &Socket) -> &'static str {
    match (
        i32::from(socket.family),
        i32::from(socket.protocol),
        i32::from(socket.kind),
    ) {
        (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_TCP, _) => "tcp",
        (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_UDP, _) => "udp",
        (libc::AF_INET | libc::AF_INET6, libc::IPPROTO_MPTCP, _) => "mptcp",
        (libc::AF_INET | libc::AF_INET6, _, libc::SOCK_RAW) => "raw",
        (libc::AF_INET | libc::AF_INET6, ..) => "inet",
        (libc::AF_UNIX, ..) => "unix",
        (libc::AF_NETLINK, ..) => "netlink",
        (libc::AF_PACKET, ..) => "packet",
        (libc::AF_VSOCK, ..) => "vsock",
        _ => "socket",
    }
}

/// How text is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) charset: Charset,
}

impl Text {
    pub(super) fn write(self, out: &mut String, value: &Value) {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::Number(number) => write!(out, "{number}"),
            Value::Hex(number) => write!(out, "{number:#x}"),
            Value::Constant(name) => out.write_str(name),
            Value::Flags(names, rest) => {
                self.flags(out, names, *rest);
                Ok(())
            }
            Value::Fd(number) => write!(out, "{number}"),
            Value::Bytes(bytes) => self.bytes(out, bytes),
            Value::Address(address) => self.address(out, address),
            Value::Null => out.write_str("NULL"),
            Value::Pointer(at) => write!(out, "{at:#x}"),
            Value::Unread(at) => write!(out, "{at:#x} (could not be read)"),
            Value::List(values, more) => {
                self.list(out, values, *more);
                Ok(())
            }
            Value::Fields(fields) => {
                self.fields(out, fields);
                Ok(())
            }
        };
    }

    fn flags(self, out: &mut String, names: &[&str], rest: u64) {
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                out.push('|');
            }
            out.push_str(name);
        }
        if rest != 0 || names.is_empty() {
            if !names.is_empty() {
                out.push('|');
            }
            let _ = match rest {
                0 => out.write_str("0"),
                _ => write!(out, "{rest:#x}"),
            };
        }
    }

    fn bytes(self, out: &mut String, bytes: &Bytes) -> std::fmt::Result {
        write!(out, "{}", Escaped::quoted(&bytes.bytes, self.charset))?;
        let shown = u64::try_from(bytes.bytes.len()).unwrap_or(u64::MAX);
        if shown < bytes.length {
            out.push_str(match self.charset {
                Charset::Utf8 => "…",
                Charset::Ascii => "...",
            });
        }
        Ok(())
    }

    fn list(self, out: &mut String, values: &[Value], more: u64) {
        out.push('[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            self.write(out, value);
        }
        if more > 0 {
            let _ = write!(out, ", and {more} more");
        }
        out.push(']');
    }

    fn fields(self, out: &mut String, fields: &[(&str, Value)]) {
        out.push('{');
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            let _ = write!(out, "{name}=");
            self.write(out, value);
        }
        out.push('}');
    }

    fn address(self, out: &mut String, address: &Address) -> std::fmt::Result {
        match address {
            Address::Internet(end) => {
                let family = match end.address {
                    std::net::IpAddr::V4(_) => "AF_INET",
                    std::net::IpAddr::V6(_) => "AF_INET6",
                };
                let whole = std::net::SocketAddr::new(end.address, end.port);
                write!(out, "{{{family}, {whole}")?;
                if let Some(scope) = end.scope {
                    write!(out, ", interface {scope}")?;
                }
                out.write_char('}')
            }
            Address::Unix(UnixAddress::Path(path)) => {
                let path = Escaped::quoted(path.as_bytes(), self.charset);
                write!(out, "{{AF_UNIX, {path}}}")
            }
            Address::Unix(UnixAddress::Abstract(name)) => {
                let name = Escaped::quoted(name.as_bytes(), self.charset);
                write!(out, "{{AF_UNIX, @{name}}}")
            }
            Address::Unix(UnixAddress::Unnamed) => out.write_str("{AF_UNIX}"),
            Address::Netlink(port, groups) => {
                write!(out, "{{AF_NETLINK, port {port}, groups {groups:#x}}}")
            }
            Address::Packet(protocol, interface, hardware) => {
                write!(
                    out,
                    "{{AF_PACKET, protocol {protocol:#06x}, interface {interface}"
                )?;
                for (index, byte) in hardware.iter().enumerate() {
                    let between = if index == 0 { ", " } else { ":" };
                    write!(out, "{between}{byte:02x}")?;
                }
                out.write_char('}')
            }
            Address::Unspecified => out.write_str("{AF_UNSPEC}"),
            Address::Other(family, bytes) => {
                let bytes = Escaped::quoted(bytes, self.charset);
                write!(out, "{{family {family}, {bytes}}}")
            }
        }
    }
}
