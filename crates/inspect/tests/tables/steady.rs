//! While connections come and go, nothing is shown twice, and what stays is always there.

use std::collections::{BTreeSet, HashSet};

use inspect::model::{Inode, State};
use inspect::sockets::{Choice, Query, Socket, Source as _, Table};

use crate::{World, tables};

/// The end of one of the connections that stay.
fn stays(socket: &Socket) -> bool {
    socket.state == State::Established
        && socket
            .endpoints()
            .is_some_and(|(local, remote)| local.port == 2345 || remote.port == 2345)
}

fn inodes(sockets: &[Socket]) -> BTreeSet<Inode> {
    sockets
        .iter()
        .filter(|socket| stays(socket))
        .filter_map(|socket| socket.inode)
        .collect()
}

#[test]
fn nothing_is_shown_twice_and_nothing_that_stays_is_missed() {
    let test = "nothing_is_shown_twice_and_nothing_that_stays_is_missed";
    let Some(world) = World::of("churn.py", test) else {
        return;
    };
    let query = Query::all_of([Table::Tcp, Table::Tcp6]);
    let mut others = HashSet::new();
    world.within(|| {
        let mut tables = tables(Choice::Diag);
        for _ in 0..40 {
            let found = tables.look(&query);
            assert_eq!(found.gaps, []);
            assert_eq!(inodes(&found.sockets).len(), 1_000);
            let mut shown = HashSet::new();
            for socket in &found.sockets {
                assert!(shown.insert(socket.endpoints()), "{socket:?}");
                if !stays(socket) {
                    others.insert(socket.inode);
                }
            }
        }
    });
    // They do come and go.
    assert!(others.len() > 100, "{}", others.len());
}
