//! Runs `tcp.bpf.c`.

use std::io::{self, Read};

use super::super::tcp_record::{TcpSocket, records};
use super::loader::Loader;
use super::task_file::Aligned;
use super::{Error, allowed};

/// Built from its source by `make bpf`.
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../tcp.bpf.o"));

/// The sockets of TCP in the calling thread's network namespace that have one of these ports on
/// their side, but for those that are bound and no more.
///
/// # Errors
/// When the rights, the kernel, or a limit do not allow it.
pub fn tcp_sockets(ports: &[u16]) -> Result<Vec<TcpSocket>, Error> {
    allowed()?;
    let mut loader = Loader::new(&OBJECT.0, &["bpf_iter_tcp"])?;
    let wanted: Vec<u64> = ports.iter().copied().map(u64::from).collect();
    loader.table("wanted", &wanted)?;
    let mut file = loader.run_iterator("sockets_of_ports")?;
    let mut bytes = Vec::new();
    loop {
        match file.read_to_end(&mut bytes) {
            Ok(_) => break,
            // The kernel pauses after a million sockets of which none was reported.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Error::Read(error)),
        }
    }
    let (found, rest) = records(&bytes);
    if rest > 0 {
        return Err(Error::Read(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_listener_its_connections_and_what_is_left_of_them_are_told() {
        if allowed().is_err() {
            // The tests of the program say loudly what they skip without rights.
            return;
        }
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // The standard library sets SO_REUSEADDR.
            let listener = TcpListener::bind(address).unwrap();
            let here = listener.local_addr().unwrap();
            let client = TcpStream::connect(here).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let there = client.local_addr().unwrap();
            // Who closes first waits.
            drop(accepted);
            drop(client);
            let mut found = tcp_sockets(&[here.port()]).unwrap();
            // Others may have the same number for what they talk to.
            found.retain(|it| it.remote.port == 0 || it.remote.port == there.port());
            assert_eq!(found.len(), 2, "{found:?}");
            for socket in &found {
                assert_eq!(socket.local.address, here.ip());
                assert!(socket.reuse_address && !socket.reuse_port);
                assert_eq!(socket.v6_only, address.starts_with('['));
            }
            drop(listener);
        }
    }
}
