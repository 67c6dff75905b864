//! Many clients at once, one of which never reads.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::support::*;

const CLIENTS: usize = 200;
const TURNS: usize = 5;

fn memory_of(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let row = status
        .lines()
        .find(|row| row.starts_with("VmRSS:"))
        .unwrap();
    row.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn one_that_never_reads_delays_none_of_two_hundred() {
    let (mut server, port) = server(&["--reply", "hi"]);
    let deaf = connect(port);
    assert_holds(&server.told(), "1  127.0.0.1:");
    let mut others: Vec<TcpStream> = (1..CLIENTS).map(|_| connect(port)).collect();
    assert_holds(&server.told_of(&format!("{CLIENTS}  127.0.0.1:")), "joined");
    let before = memory_of(server.child.id());

    // More than the kernel and the server together hold for it.
    let mut input = server.input.take().unwrap();
    let flood = std::thread::spawn(move || {
        let line = format!("@1 {}\n", "x".repeat(60_000));
        for _ in 0..400 {
            if input.write_all(line.as_bytes()).is_err() {
                break;
            }
        }
        input
    });
    for turn in 0..TURNS {
        for peer in &mut others {
            peer.write_all(format!("turn {turn}\n").as_bytes()).unwrap();
        }
        for peer in &mut others {
            let mut answer = [0; 3];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hi\n");
        }
    }
    for _ in 0..TURNS * others.len() {
        assert_holds(&server.said(), ": turn ");
    }
    let told = server.told_of("not reading");
    assert!(
        told.starts_with("1  is not reading; dropped with "),
        "{told}"
    );
    let input = flood.join().unwrap();
    let grown = memory_of(server.child.id()).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more than before the flood");
    drop((input, deaf));
}

#[test]
fn a_client_that_floods_and_never_reads_the_answers_is_held_back_alone() {
    let (server, port) = server(&["--reply", &"y".repeat(1000)]);
    let mut flooder = connect(port);
    let mut writer = flooder.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        // Stuck sooner or later: nobody reads the answers, so nobody hears the questions.
        while writer.write_all(&b"question\n".repeat(1000)).is_ok() {}
    });
    let mut other = connect(port);
    let mut answer = vec![0; 1001];
    for _ in 0..20 {
        other.write_all(b"hello\n").unwrap();
        other.read_exact(&mut answer).unwrap();
    }
    // Once it reads, it is served again: nothing was lost.
    for _ in 0..2000 {
        flooder.read_exact(&mut answer).unwrap();
    }
    flooder.shutdown(std::net::Shutdown::Both).unwrap();
    flood.join().unwrap();
    drop(server);
}

#[test]
fn a_client_that_says_much_at_once_and_reads_gets_every_answer() {
    for (length, questions) in [(20, 20_000), (1000, 5000), (5000, 1000), (60_000, 200)] {
        let (server, port) = server(&["--reply", &"y".repeat(length)]);
        let mut client = connect(port);
        let mut reader = client.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut answer = vec![0; length + 1];
            (0..questions)
                .take_while(|_| reader.read_exact(&mut answer).is_ok())
                .count()
        });
        client.write_all(&b"x\n".repeat(questions)).unwrap();
        let told = || server.errors().join("; ");
        assert_eq!(
            reading.join().unwrap(),
            questions,
            "{length} bytes each: {}",
            told()
        );
    }
}
