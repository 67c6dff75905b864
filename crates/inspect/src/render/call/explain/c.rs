//! The C library's (the man pages, section 3 and 2).

use super::{argument, constant};
use crate::trace::{Call, Value};

pub(super) fn words(call: &Call) -> Option<String> {
    let of = |name: &str| argument(call, name).map(constant).unwrap_or_default();
    let fd = || match argument(call, "fd") {
        Some(Value::Fd(fd)) => fd.to_string(),
        _ => "?".to_owned(),
    };
    let has_address = !matches!(argument(call, "address"), Some(Value::Null) | None);
    let address = if has_address { "&address" } else { "NULL" };
    let flags = || match argument(call, "flags") {
        Some(Value::Flags(names, 0)) if names.is_empty() => "0".to_owned(),
        Some(flags) => constant(flags),
        None => "0".to_owned(),
    };
    Some(match call.name {
        "socket" => {
            let protocol = match of("protocol").as_str() {
                "IPPROTO_IP" => "0".to_owned(),
                other => other.to_owned(),
            };
            format!("socket({}, {}, {protocol})", of("domain"), of("kind"))
        }
        "socketpair" => format!("socketpair({}, {}, 0, fds)", of("domain"), of("kind")),
        "connect" | "bind" => format!("{}({}, &address, sizeof address)", call.name, fd()),
        "listen" => format!("listen({}, {})", fd(), of("backlog")),
        "accept" | "accept4" => {
            let length = if has_address { "&length" } else { "NULL" };
            format!("accept({}, {address}, {length})", fd())
        }
        "sendto" if !has_address => {
            format!("send({}, buffer, {}, {})", fd(), of("length"), flags())
        }
        "recvfrom" if !has_address => {
            format!("recv({}, buffer, {}, {})", fd(), of("length"), flags())
        }
        "sendto" | "recvfrom" => format!(
            "{}({}, buffer, {}, {}, &address, ...)",
            call.name,
            fd(),
            of("length"),
            flags()
        ),
        "read" | "write" => format!("{}({}, buffer, {})", call.name, fd(), of("length")),
        "sendmsg" | "recvmsg" => format!("{}({}, &message, {})", call.name, fd(), flags()),
        "shutdown" => format!("shutdown({}, {})", fd(), of("how")),
        "setsockopt" | "getsockopt" => format!(
            "{}({}, {}, {}, &value, ...)",
            call.name,
            fd(),
            of("level"),
            of("option")
        ),
        "getsockname" | "getpeername" => format!("{}({}, &address, &length)", call.name, fd()),
        "close" | "dup" => format!("{}({})", call.name, fd()),
        _ => return None,
    })
}
