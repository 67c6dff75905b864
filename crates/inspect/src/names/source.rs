//! Asks the system's databases (NSS: passwd, services, hosts), each question once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::model::{Protocol, Uid};

mod addresses;
mod interfaces;

pub use addresses::addresses;
pub use interfaces::Interfaces;

/// Users by id.
#[derive(Debug, Default)]
pub struct Users {
    known: HashMap<Uid, Option<String>>,
    recorded: bool,
}

impl Users {
    /// The users of this machine.
    pub fn of_this_machine() -> Self {
        Self::default()
    }

    /// For a tree recorded elsewhere: this machine's names would be wrong there, and only the
    /// name of user 0 is the same everywhere.
    pub fn of_another_machine() -> Self {
        Self {
            known: HashMap::from([(Uid(0), Some("root".to_owned()))]),
            recorded: true,
        }
    }

    /// The user's name.
    pub fn name(&mut self, uid: Uid) -> Option<&str> {
        let recorded = self.recorded;
        self.known
            .entry(uid)
            .or_insert_with(|| {
                if recorded {
                    return None;
                }
                let user = uzers::get_user_by_uid(uid.0)?;
                Some(user.name().to_string_lossy().into_owned())
            })
            .as_deref()
    }

    /// The id of a user of this machine.
    pub fn id(name: &str) -> Option<Uid> {
        uzers::get_user_by_name(name).map(|user| Uid(user.uid()))
    }
}

/// Service names by port and protocol (services(5)).
#[derive(Debug, Default)]
pub struct Services {
    names: HashMap<(u16, Protocol), String>,
    ports: HashMap<String, Vec<u16>>,
}

impl Services {
    /// Reads /etc/services; without one there are no names.
    pub fn read() -> Self {
        let text = std::fs::read("/etc/services").unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Self {
        let mut names = HashMap::new();
        let mut ports: HashMap<String, Vec<u16>> = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(number)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((port, protocol)) = number.split_once('/') else {
                continue;
            };
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => continue,
            };
            let Ok(port) = port.parse() else { continue };
            names
                .entry((port, protocol))
                .or_insert_with(|| name.to_owned());
            // What follows the number are other names for the same.
            for name in std::iter::once(name).chain(words) {
                let known = ports.entry(name.to_owned()).or_default();
                if !known.contains(&port) {
                    known.push(port);
                }
            }
        }
        Self { names, ports }
    }

    /// The ports of a name, each once: mostly one, that of TCP and UDP alike.
    pub fn ports(&self, name: &str) -> &[u16] {
        self.ports.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The name of a port.
    pub fn name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        self.names.get(&(port, protocol)).map(String::as_str)
    }
}

/// Host names by address.
#[derive(Debug, Default)]
pub struct Hosts {
    names: HashMap<IpAddr, String>,
}

/// Questions under way at once.
const RESOLVERS: usize = 16;

impl Hosts {
    /// Asks for all addresses at once and keeps what is answered within `limit`; a name server
    /// that does not answer costs no more than that.
    pub fn resolve(addresses: impl IntoIterator<Item = IpAddr>, limit: Duration) -> Self {
        let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        let (answers, received) = mpsc::channel();
        let share = addresses.len().div_ceil(RESOLVERS).max(1);
        for part in addresses.chunks(share) {
            let part = part.to_vec();
            let answers = answers.clone();
            // Left behind when the time is over: getnameinfo(3) cannot be interrupted.
            std::thread::spawn(move || {
                for address in part {
                    if let Ok(name) = dns_lookup::lookup_addr(&address)
                        && answers.send((address, name)).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(answers);
        let deadline = Instant::now() + limit;
        let mut names = HashMap::new();
        while let Ok((address, name)) =
            received.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            // getnameinfo answers with the number itself when there is no name.
            if name.parse::<IpAddr>().is_err() {
                names.insert(address, name);
            }
        }
        Self { names }
    }

    /// The addresses of a name, each once; none when nobody answers within `limit`.
    pub fn addresses(name: &str, limit: Duration) -> Vec<IpAddr> {
        let (answer, received) = mpsc::channel();
        let name = name.to_owned();
        // Left behind when the time is over: getaddrinfo(3) cannot be interrupted.
        std::thread::spawn(move || {
            let found = dns_lookup::lookup_host(&name).map(Iterator::collect::<Vec<_>>);
            let _ = answer.send(found.unwrap_or_default());
        });
        let mut addresses = received.recv_timeout(limit).unwrap_or_default();
        // One for each kind of socket (getaddrinfo(3)).
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The name of an address. It comes from whoever runs the name server: hostile text.
    pub fn name(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&address).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_port_counts_and_comments_do_not() {
        let services = Services::parse("http 80/tcp www # web\nwww2 80/tcp\n# ssh 22/tcp\nbad\n");
        assert_eq!(services.name(80, Protocol::Tcp), Some("http"));
        assert_eq!(services.name(80, Protocol::Udp), None);
        assert_eq!(services.name(22, Protocol::Tcp), None);
    }

    #[test]
    fn a_service_is_found_by_each_of_its_names() {
        let services = Services::parse(
            "http 80/tcp www # web\nhttp 80/udp\nwho 513/udp whod\nwho 550/tcp\n# ssh 22/tcp\n",
        );
        assert_eq!(services.ports("http"), [80]);
        assert_eq!(services.ports("www"), [80]);
        assert_eq!(services.ports("who"), [513, 550]);
        assert_eq!(services.ports("ssh"), [] as [u16; 0]);
        assert_eq!(services.ports("web"), [] as [u16; 0]);
    }

    proptest::proptest! {
        #[test]
        fn any_services_file_is_read(text in "(\\PC|[ \t\n#/0-9a-z]){0,200}") {
            let services = Services::parse(&text);
            let _ = services.name(80, Protocol::Tcp);
        }
    }

    #[test]
    fn this_machine_knows_root_and_its_loopback() {
        assert_eq!(Users::of_this_machine().name(Uid(0)), Some("root"));
        assert_eq!(Users::id("root"), Some(Uid(0)));
        assert_eq!(Users::of_another_machine().name(Uid(1)), None);
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let hosts = Hosts::resolve([loopback], Duration::from_secs(5));
        assert_eq!(hosts.name(loopback), Some("localhost"));
        let limit = Duration::from_secs(5);
        assert!(Hosts::addresses("localhost", limit).contains(&loopback));
        assert!(Hosts::addresses("no such host", limit).is_empty());
    }
}
