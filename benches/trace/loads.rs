//! The programs that are followed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Options;

/// What can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    /// Hello and hi, in turns
    Turns,
    /// recv(2) that finds nothing
    Again,
    /// send(2) as fast as it goes
    Flood,
}

impl Load {
    pub(crate) fn run(self, options: &Options) -> anyhow::Result<()> {
        let (number, took) = match self {
            Self::Turns => (options.turns, turns(options.turns)?),
            Self::Again => (options.calls, again(options.calls)?),
            Self::Flood => (options.calls, flood(options.calls)?),
        };
        writeln!(std::io::stderr(), "took {:.1}", took / f64::from(number))?;
        Ok(())
    }
}

/// Threads that are made later stay there, too.
fn pin(processor: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

fn turns(number: u32) -> anyhow::Result<f64> {
    pin(1)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let client = std::thread::spawn(move || -> std::io::Result<()> {
        let mut client = TcpStream::connect(address)?;
        client.set_nodelay(true)?;
        let mut buffer = [0; 64];
        for _ in 0..number {
            client.write_all(b"hello")?;
            client.read_exact(&mut buffer[..2])?;
        }
        Ok(())
    });
    let (mut server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    let begun = Instant::now();
    let mut buffer = [0; 64];
    while server.read(&mut buffer)? > 0 {
        server.write_all(b"hi")?;
    }
    let took = begun.elapsed().as_secs_f64() * 1e9;
    client
        .join()
        .map_err(|_| anyhow::anyhow!("the client broke off"))??;
    Ok(took)
}

fn again(number: u32) -> anyhow::Result<f64> {
    pin(0)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let mut buffer = [0; 8];
    let begun = Instant::now();
    for _ in 0..number {
        if socket.recv(&mut buffer).is_ok() {
            anyhow::bail!("somebody says something");
        }
    }
    Ok(begun.elapsed().as_secs_f64() * 1e9)
}

fn flood(number: u32) -> anyhow::Result<f64> {
    pin(1)?;
    let deaf = UdpSocket::bind("127.0.0.1:0")?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(deaf.local_addr()?)?;
    let begun = Instant::now();
    for _ in 0..number {
        socket.send(b"hello")?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e9)
}
