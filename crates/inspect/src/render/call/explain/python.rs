//! Python's module `socket` (docs.python.org/3/library/socket.html).

use std::fmt::Write;

use super::{address, argument, constant};
use crate::model::UnixAddress;
use crate::trace::{Address, Bytes, Call, Value};

/// Bytes that are shown of a text.
const SHOWN: usize = 24;

pub(super) fn words(call: &Call) -> Option<String> {
    let of = |name: &str| argument(call, name).map(constant).unwrap_or_default();
    let to = || address(call).map(place);
    Some(match call.name {
        "socket" => format!("socket({}, {})", of("domain"), of("kind")),
        "socketpair" => "socketpair()".to_owned(),
        "connect" => format!("connect({})", to()?),
        "bind" => format!("bind({})", to()?),
        "listen" => format!("listen({})", of("backlog")),
        "accept" | "accept4" => "accept()".to_owned(),
        "sendto" => match to() {
            Some(to) => format!("sendto({}, {to})", text(call)?),
            None => format!("sendall({})", text(call)?),
        },
        "recvfrom" => match argument(call, "address") {
            Some(Value::Null) | None => format!("recv({})", of("length")),
            _ => format!("recvfrom({})", of("length")),
        },
        "sendmsg" => "sendmsg([...])".to_owned(),
        "recvmsg" => "recvmsg(...)".to_owned(),
        "sendfile" => "sendfile(file)".to_owned(),
        "shutdown" => format!("shutdown({})", of("how")),
        "setsockopt" => format!(
            "setsockopt({}, {}, {})",
            of("level"),
            of("option"),
            of("value")
        ),
        // After a connect with a limit in time nobody has written it.
        "getsockopt" if of("option") != "SO_ERROR" => {
            format!("getsockopt({}, {})", of("level"), of("option"))
        }
        // These may be written; but Python asks for names of its own accord, and closes what nobody
        // has any more: that cannot be told.
        _ => return None,
    })
}

/// `("127.0.0.1", 2345)`, or the path.
fn place(address: &Address) -> String {
    match address {
        Address::Internet(end) => format!("(\"{}\", {})", end.address, end.port),
        Address::Unix(UnixAddress::Path(path)) => literal(path.as_bytes(), "\""),
        Address::Unix(UnixAddress::Abstract(name)) => {
            literal(&[b"\0", name.as_bytes()].concat(), "\"")
        }
        _ => "...".to_owned(),
    }
}

fn text(call: &Call) -> Option<String> {
    match argument(call, "buffer")? {
        Value::Bytes(Bytes { bytes, length }) => {
            let shown = &bytes[..bytes.len().min(SHOWN)];
            let is_cut = u64::try_from(shown.len()).unwrap_or(u64::MAX) < *length;
            let cut = if is_cut { "..." } else { "" };
            Some(format!("{}{cut}", literal(shown, "b\"")))
        }
        _ => None,
    }
}

/// As repr() would write it.
fn literal(bytes: &[u8], open: &str) -> String {
    let mut words = open.to_owned();
    for byte in bytes {
        let _ = match byte {
            b'\n' => words.write_str("\\n"),
            b'\r' => words.write_str("\\r"),
            b'\t' => words.write_str("\\t"),
            b'"' => words.write_str("\\\""),
            b'\\' => words.write_str("\\\\"),
            b' '..=b'~' => words.write_char(char::from(*byte)),
            _ => write!(words, "\\x{byte:02x}"),
        };
    }
    words.push('"');
    words
}
