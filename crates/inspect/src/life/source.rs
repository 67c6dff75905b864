//! The kernel tells, through a program of ours (`bpf`).

use std::path::Path;

use super::decode::{event, is_of_others};
use super::{Event, Source};
use crate::bpf::{self, Lives};
use crate::clock::{self, Boot, Bracket};
use crate::model::{Gap, NetworkNamespace, Origin};
use crate::namespaces::inode_of_link;

pub use crate::bpf::LIFE_RING as RING;

/// The wall clock is set, and slewed by half a millisecond a second at most: after so long it is
/// compared again, nanoseconds.
const COMPARE_EVERY: u64 = 20_000_000;

/// Bytes of a record in the buffer, at most.
const LONGEST_RECORD: u32 = 128;

/// Events of this machine, or of one network namespace of it.
#[derive(Debug)]
pub struct Kernel {
    lives: Lives,
    bracket: Bracket,
    compared_ns: u64,
    boot: Boot,
    unknown: u64,
    /// So many at once may have been all that there was room for.
    many: u64,
    /// Whether there were so many since it was asked what was lost, and what was lost by then.
    may_have_lost: bool,
    lost: u64,
}

impl Kernel {
    /// From now on; `forks` with which process begins which. `room` is the kernel's buffer,
    /// bytes: [`RING`], but in tests.
    ///
    /// # Errors
    /// When the rights, the kernel, or a limit do not allow it.
    pub fn open(
        network: Option<NetworkNamespace>,
        forks: bool,
        room: u32,
    ) -> Result<Self, bpf::Error> {
        let link = std::fs::read_link(Path::new("/proc/self/ns/pid")).ok();
        let own = link.and_then(|link| inode_of_link(link.as_os_str()));
        let stat = std::fs::read("/proc/stat").unwrap_or_default();
        Ok(Self {
            lives: Lives::open(own.unwrap_or(0), network, forks, room)?,
            bracket: Bracket::take(),
            compared_ns: clock::monotonic_ns(),
            boot: Boot::from_stat(&stat, procfs::ticks_per_second()),
            unknown: 0,
            many: u64::from(room / LONGEST_RECORD / 2),
            may_have_lost: false,
            lost: 0,
        })
    }
}

impl Source for Kernel {
    fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    fn drain(&mut self, tell: &mut dyn FnMut(Event)) {
        if self.lives.is_empty() {
            return;
        }
        let now = clock::monotonic_ns();
        if now.saturating_sub(self.compared_ns) > COMPARE_EVERY {
            self.bracket = Bracket::take();
            self.compared_ns = now;
        }
        let (bracket, boot, mut unknown) = (self.bracket, self.boot, 0);
        let mut count = 0;
        let garbled = self.lives.drain(|record| {
            count += 1;
            match event(&record, bracket.wall(record.time_ns), &boot) {
                Some(event) => tell(event),
                None if is_of_others(&record) => {}
                None => unknown += 1,
            }
        });
        self.unknown += unknown + garbled;
        self.may_have_lost |= count >= self.many;
    }

    /// A call, so it is made only where the buffer was half full at least.
    fn has_lost(&mut self) -> bool {
        if !std::mem::take(&mut self.may_have_lost) {
            return false;
        }
        let lost = self.lives.lost().unwrap_or(u64::MAX);
        let before = std::mem::replace(&mut self.lost, lost);
        lost > before
    }

    fn gaps(&mut self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        match self.lives.lost() {
            Ok(0) => {}
            Ok(lost) => gaps.push(Gap::counted(
                Origin::Owners,
                "events of sockets lost, owners may be missing: the buffer for them was full \
                 (--owners-buffer)",
                lost,
            )),
            Err(error) => gaps.push(Gap::uncounted(
                Origin::Owners,
                format!("events of sockets, perhaps: {error}"),
            )),
        }
        if self.unknown > 0 {
            gaps.push(Gap::counted(
                Origin::Owners,
                "events of sockets not understood",
                self.unknown,
            ));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::life::{Call, Change};
    use crate::model::{Endpoint, Pid, Protocol, State};

    fn open(room: u32) -> Option<Kernel> {
        // The tests of the program say loudly what they skip without rights.
        bpf::allowed().ok()?;
        Some(Kernel::open(crate::namespaces::current(), true, room).unwrap())
    }

    fn collect(kernel: &mut Kernel, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut events = Vec::new();
        while !enough(&events) {
            assert!(Instant::now() < deadline, "{events:#?}");
            kernel.drain(&mut |event| events.push(event));
        }
        events
    }

    #[test]
    fn connect_accept_and_send_name_their_process_and_the_rest_nobody() {
        let Some(mut kernel) = open(RING) else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(there).unwrap();
        let here = client.local_addr().unwrap();
        let client_fd = client.as_raw_fd();
        client.write_all(b"hello").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(client);
        drop(accepted);
        let end = |address: std::net::SocketAddr| Endpoint::new(address.ip(), address.port());
        let (here, there) = (end(here), end(there));
        let is_end = |event: &Event| match &event.change {
            Change::State(socket, _, State::Closed, _) => {
                socket.local == there && socket.remote == here
            }
            _ => false,
        };
        let events = collect(&mut kernel, |events| events.iter().any(is_end));
        let own = Some(Pid(std::process::id()));
        let pid = |event: &Event| event.process.as_ref().map(|it| it.pid);
        let calls_of = |local: Endpoint, remote: Endpoint| -> Vec<_> {
            let calls = events.iter().filter_map(|event| match &event.change {
                Change::Call(socket, call, fd)
                    if (socket.local, socket.remote) == (local, remote) =>
                {
                    assert!(fd.is_some() && pid(event) == own, "{event:?}");
                    Some(*call)
                }
                _ => None,
            });
            calls.collect()
        };
        assert_eq!(calls_of(here, there), [Call::Connect, Call::Send]);
        assert_eq!(calls_of(there, here), [Call::Accept]);
        let states = events.iter().filter_map(|event| match event.change {
            Change::State(socket, from, to, fd) if socket.remote == there && pid(event) == own => {
                assert_eq!(fd.map(|fd| fd.0.cast_signed()), Some(client_fd));
                Some((from, to))
            }
            _ => None,
        });
        // The port is chosen after it.
        assert!(states.eq([(State::Closed, State::SynSent)]));
        assert!(!kernel.has_lost() && kernel.gaps().is_empty());
    }

    #[test]
    fn only_the_first_datagram_is_told_and_when_is_told_by_the_wall_clock() {
        let Some(mut kernel) = open(RING) else { return };
        let before = clock::now();
        let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        for _ in 0..10 {
            socket
                .send_to(b"hello", sink.local_addr().unwrap())
                .unwrap();
        }
        let last = UdpSocket::bind("127.0.0.1:0").unwrap();
        let last = last.local_addr().unwrap().port();
        let of = |event: &Event, wanted: u16, wanted_call: Call| match &event.change {
            Change::Call(socket, call, _) => {
                socket.protocol == Protocol::Udp
                    && socket.local.port == wanted
                    && *call == wanted_call
            }
            _ => false,
        };
        let events = collect(&mut kernel, |events| {
            events.iter().any(|event| of(event, last, Call::Bind))
        });
        let after = clock::now();
        for call in [Call::Bind, Call::Send] {
            let times: Vec<_> = events
                .iter()
                .filter(|event| of(event, port, call))
                .map(|event| event.time)
                .collect();
            assert_eq!(times.len(), 1, "{call:?}");
            assert!(before <= times[0] && times[0] <= after, "{times:?}");
        }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let Some(mut kernel) = open(4096) else { return };
        for _ in 0..100 {
            UdpSocket::bind("127.0.0.1:0").unwrap();
        }
        let mut told = 0;
        kernel.drain(&mut |_| told += 1);
        assert!(kernel.has_lost() && !kernel.has_lost());
        let gaps = kernel.gaps();
        assert!(told > 0 && told <= 4096 / 120, "{told}");
        // Each makes two.
        assert!(
            gaps[0].count.is_some_and(|lost| lost + told >= 200),
            "{gaps:?}"
        );
    }
}
